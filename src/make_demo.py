"""Draw the demo data: aerial scenes with buildings, in the files of Tianchi competition 531872."""

from maskfold.cli.commands.make_demo import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
