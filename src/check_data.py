"""Show what a competition's files hold and everything that is wrong with them, before a night is lost."""

from maskfold.cli.commands.check_data import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
