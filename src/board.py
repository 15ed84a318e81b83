"""All runs and submissions beside each other: what differs, what it scores, and whether that is more than noise."""

from maskfold.cli.commands.board import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
