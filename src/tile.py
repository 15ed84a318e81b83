"""Cut large rasters into tiles to train on; predict rasters by windows, as masks or polygons."""

from maskfold.cli.commands.tile import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
