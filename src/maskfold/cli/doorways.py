"""The two doorways to every command: ``python src/train_fold.py`` and, installed, ``maskfold train-fold``."""

import argparse
import sys
from collections.abc import Callable
from importlib import import_module

from maskfold import __version__
from maskfold.cli.script import run_script
from maskfold.errors import nearest
from maskfold.program import PROGRAM

COMMANDS = (
    "make-demo",
    "check-data",
    "plan",
    "autopilot",
    "tile",
    "make-folds",
    "train-fold",
    "train-all",
    "study",
    "tune",
    "predict",
    "vote",
    "pseudo-label",
    "evaluate",
    "compare",
    "report",
    "board",
    "export",
    "pack",
)


def main() -> None:
    """The entry point ``maskfold``: run the command that the first word names."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="From a segmentation competition's files to a validated, locally scored submission.",
        epilog=_listed_commands(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("command", metavar="COMMAND", nargs="?", help="what to do; its own options follow")
    word = parser.parse_args(sys.argv[1:2]).command
    if word is None:
        parser.error("a command is missing: maskfold --help lists them")
    if word not in COMMANDS:
        hint = nearest(word, COMMANDS, otherwise="maskfold --help lists them")
        parser.error(f"there is no command {word}: {hint}")
    sys.argv = [f"{PROGRAM} {word}", *sys.argv[2:]]
    run_script(command(word))


def command(word: str) -> Callable[[], None]:
    """The main function of a command."""
    return import_module(f"maskfold.cli.commands.{word.replace('-', '_')}").main


def _listed_commands() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {word:{width}}{_first_line(command(word))}" for word in COMMANDS]
    return "\n".join(
        ["commands, in the order in which they are used:", *lines, "", "maskfold COMMAND --help tells more."]
    )


def _first_line(main: Callable[[], None]) -> str:
    return (sys.modules[main.__module__].__doc__ or "").partition("\n")[0]
