"""Score a run out of fold, or a submission whose truth is at hand; note the leaderboard's score."""

from maskfold.cli.commands.evaluate import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
