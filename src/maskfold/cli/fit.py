"""What a config needs of this device, told by the commands that inspect and train."""

import argparse
import sys

from maskfold.cli.script import next_command, starting
from maskfold.config import Config


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """``--dry-run`` of a command that trains."""
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="train nothing: measure on this device, in a minute or more, what memory (GB) training and prediction "
        "take and how long a fold, all folds, out-of-fold maps and the test images will",
    )


def measure(config: Config, folds: int | None = None) -> list[str]:
    """Print what fits and what it takes for so many folds; returns what has to be changed to make it fit."""
    with starting("Measuring training and prediction …"):
        from maskfold.steps.fit import advice, describe_fit, measure_fit

    found = measure_fit(config, folds)
    print(describe_fit(found))
    return advice(found)


def dry_run(config: Config, command: str, folds: int | None = None) -> None:
    """Measure for so many folds (None: all), and name the next command: ``command``, after what has to be changed.

    That is exit code 1.
    """
    changes = measure(config, folds)
    next_command("; then ".join(["; ".join(changes), command] if changes else [command]))
    if changes:
        sys.exit(1)
