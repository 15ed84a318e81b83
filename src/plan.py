"""Write a config for so many hours, made from the data and this device, every value with its reason."""

from maskfold.cli.commands.plan import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
