"""How commands are called: ``python src/train_fold.py`` in the repository, ``maskfold train-fold`` once installed."""

import shlex
import sys
from pathlib import Path

PROGRAM = "maskfold"
_SCRIPTS = Path(__file__).parents[1]  # beside the package in the repository; a wheel leaves them out


def command_line(name: str, *words: str) -> str:
    """What to type to run a command, for messages: in the form in which the program was started.

    Args:
        name: of the command, such as ``train-fold``.
        words: what follows it, each quoted where a shell needs that.
    """
    script = script_of(name)
    installed = sys.argv[0].startswith(f"{PROGRAM} ") or not script.exists()
    start = f"{PROGRAM} {name}" if installed else f"python src/{script.name}"
    return f"{start} {shlex.join(words)}" if words else start


def script_of(name: str) -> Path:
    """A command's doorway in the repository, which need not be there."""
    return _SCRIPTS / f"{name.replace('-', '_')}.py"
