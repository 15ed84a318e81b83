"""Label images without masks by a run's networks, and write what is sure enough as a folder to train on."""

from maskfold.cli.commands.pseudo_label import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
