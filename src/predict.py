"""Predict the test images with a run's (or several runs') folds and write a validated submission."""

from maskfold.cli.commands.predict import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
