"""Write a run's networks as one file that other programs run: ONNX or TorchScript."""

from maskfold.cli.commands.export import main
from maskfold.cli.script import run_script

if __name__ == "__main__":
    run_script(main)
