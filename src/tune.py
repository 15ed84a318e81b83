"""Choose checkpoints, weights and decoding on out-of-fold predictions, and write ensemble.yaml."""

from maskfold.cli.commands.tune import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
