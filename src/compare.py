"""Compare two submissions: where they differ, as figures and as a picture; with the truth, which one is better."""

from maskfold.cli.commands.compare import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
