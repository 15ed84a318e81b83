"""Compare variants of a config on the same folds and seeds; interrupted, the same command goes on where it stopped."""

from maskfold.cli.commands.study import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
