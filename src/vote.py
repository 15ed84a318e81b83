"""Merge submissions by vote, pixel by pixel, into one that is validated."""

from maskfold.cli.commands.vote import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
