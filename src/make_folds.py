"""Split the training images into folds and write them to runs/NAME/folds.csv."""

from maskfold.cli.commands.make_folds import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
