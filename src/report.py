"""Write one self-contained HTML page about one or several runs: scores, curves, errors, what to try next."""

from maskfold.cli.commands.report import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
