"""From the competition's files to a submission within so many hours; interrupted, the same command goes on."""

from maskfold.cli.commands.autopilot import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
