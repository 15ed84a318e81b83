"""Train one fold; interrupted, the same command goes on from the last complete epoch."""

from maskfold.cli.commands.train_fold import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
