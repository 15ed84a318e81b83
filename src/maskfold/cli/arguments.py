"""What commands take: a config or runs, with dotted overrides."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskfold.cli.found import competition_of_submissions, default_config, default_run
from maskfold.cli.options import COMMON, command_parser
from maskfold.config import Config, load_config, option_keys
from maskfold.ensembling.finished import folds_of
from maskfold.errors import SubmissionError, nearest
from maskfold.runs.run import Run
from maskfold.steps.competition import ROOT
from maskfold.steps.matching import matching_runs

EVERYTHING = tuple(dict.fromkeys(key.split(".")[0] for key in option_keys()))


def config_parser(
    description: str | None, common: Sequence[str] = COMMON, *, name: str = "the config file's name"
) -> argparse.ArgumentParser:
    """A parser with ``--config`` and ``--name``, of which ``name`` is the default, told in its help.

    The help also explains the options of the config, ``common`` alone where it is plain.
    """
    parser = command_parser(description, EVERYTHING, common)
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="experiment: a YAML file, or the name of one that comes with maskfold (demo); default: that of the one "
        "competition under data/",
    )
    parser.add_argument("--name", help=f"name of the run, runs/NAME; default: {name}")
    return parser


def add_competition(parser: argparse.ArgumentParser) -> None:
    """``--config``, which names the competition of submissions; see `competition_config`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="config of the competition, also a run's config.yaml; default: that of the one competition under data/, "
        "else of the runs, if they are of one",
    )


def competition_config(arguments: argparse.Namespace) -> Config:
    """The config that `add_competition`'s option names."""
    return load_config(arguments.config) if arguments.config else competition_of_submissions()


def parse(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Config]:
    """Parse the command line and load the config that it asks for."""
    arguments, rest = parser.parse_known_args()
    arguments.overrides = dotted_overrides(rest, parser)
    if arguments.config:
        return arguments, load_config(arguments.config, arguments.overrides, name=arguments.name)
    return arguments, default_config(arguments.overrides, name=arguments.name)


def dotted_overrides(words: list[str], parser: argparse.ArgumentParser) -> dict[str, Any]:
    """``--train.epochs 3`` or ``--train.epochs=3`` as a mapping; anything else is a usage error (exit code 2)."""
    overrides = {}
    words = list(words)
    while words:
        word = words.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            parser.error(f"unexpected argument {word}")
        if key.split(".")[0] not in EVERYTHING:
            known = [*option_keys(), *(option.removeprefix("--") for option in parser._option_string_actions)]
            parser.error(f"unknown option --{key}: {nearest(key, known, otherwise='--help all lists them all')}")
        if not equals:
            if not words:
                parser.error(f"--{key} needs a value")
            value = words.pop(0)
        overrides[key] = value
    return overrides


def config_flags(arguments: argparse.Namespace) -> list[str]:
    """What the user gave that makes the config, for the next command."""
    flags = [("config", arguments.config), ("name", arguments.name), *arguments.overrides.items()]
    return [word for flag, value in flags if value is not None for word in (f"--{flag}", str(value))]


def runs_parser(description: str | None, sections: Sequence[str] = ()) -> argparse.ArgumentParser:
    """A parser with ``--runs``, whose help lists `ROOT` and the config options of some sections."""
    parser = command_parser(description, (*sections, ROOT), None)
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="run folders; default: the run of the competition's config, or the only one there is",
    )
    return parser


def parse_sections(
    parser: argparse.ArgumentParser, sections: Sequence[str] = ()
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Parse arguments and dotted overrides; an override outside ``sections``, but `ROOT`, is a usage error."""
    arguments, rest = parser.parse_known_args()
    overrides = dotted_overrides(rest, parser)
    for key in overrides:
        if key.split(".")[0] not in sections and key != ROOT:
            parser.error(
                f"--{key} cannot be changed here, the run's own config holds (only {', '.join((*sections, ROOT))})"
            )
    return arguments, overrides


def open_runs(paths: Sequence[Path] | None, overrides: Mapping[str, Any] | None = None) -> list[Run]:
    """The runs named; by default that of the competition's config, or the only one there is.

    Raises:
        RunError: a folder is not a run, or runs that do not go together, see `maskfold.steps.matching`.
    """
    return matching_runs([Run.open(path) for path in paths or [default_run()]], overrides)


def add_ensemble(parser: argparse.ArgumentParser) -> None:
    """Options that choose among the networks of runs."""
    parser.add_argument(
        "--folds", nargs="+", metavar="K", help="folds whose networks are averaged; default: all trained"
    )
    parser.add_argument("--untuned", action="store_true", help="ignore ensemble.yaml: the config's own settings")


def listed(runs: Sequence[Run]) -> str:
    """The folders of runs, for a message: ``runs/A + runs/B``."""
    return " + ".join(str(run.path) for run in runs)


def listed_folds(runs: Sequence[Run], asked: Sequence[str] | None) -> str:
    """The folders of runs, and the folds whose networks predict: those ``asked`` for, else all that are trained.

    Raises:
        InferenceError: a run without any.
        FoldsError: one is asked for twice.
    """
    return " and ".join(f"{run.path} (folds {', '.join(map(str, folds_of(run, asked)))})" for run in runs)


def run_flags(runs: Sequence[Run], overrides: dict[str, Any]) -> list[str]:
    """``--runs …`` for the next command, and where the competition is if the user said it."""
    place = [f"--{ROOT}", str(overrides[ROOT])] if ROOT in overrides else []
    return ["--runs", *(str(run.path) for run in runs), *place]


def check_submissions(*paths: Path | None) -> None:
    """Refuse submissions and truths that are not there, before anything slow is imported.

    Raises:
        SubmissionError: the first file (or folder of masks) that is missing.
    """
    for path in paths:
        if path is not None and not path.exists():
            raise SubmissionError(f"there is no file {path}: give a submission, or true masks in the same form")
