"""Pack finished runs as one folder or archive that predicts elsewhere, with a model card."""

from maskfold.cli.commands.pack import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
