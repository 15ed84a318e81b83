"""Train all folds, one after the other or several at a time; interrupted, the same command goes on where it stopped."""

from maskfold.cli.commands.train_all import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
