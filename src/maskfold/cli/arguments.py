"""What scripts take: a config or runs, with dotted overrides, and the competition that belongs to them."""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from maskfold.competitions import Competition, find_competitions, open_competition
from maskfold.config import Config, describe_options, load_config, option_keys
from maskfold.demo import make_demo
from maskfold.errors import CompetitionError, RunError, nearest
from maskfold.runs import Run

CONFIGS = Path(__file__).parents[3] / "configs"
DATA = Path("data")
RUNS = Path("runs")
SUBMISSIONS = Path("submissions")
# The one key of a run's config that any script may change: the competition may lie elsewhere than it was trained.
ROOT = "competition.root"
DEMO = DATA / "demo"


def config_parser(description: str) -> argparse.ArgumentParser:
    """A parser with ``--config`` and ``--name``, whose help lists every option of the config."""
    parser = argparse.ArgumentParser(
        description=description, epilog=_options_help(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="experiment YAML; default: that of the one competition under data/",
    )
    parser.add_argument("--name", help="name of the run, runs/NAME; default: the config file's name")
    return parser


def parse(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Config]:
    """Parse the command line and load the config that it asks for."""
    arguments, rest = parser.parse_known_args()
    arguments.overrides = dotted_overrides(rest, parser)
    path = arguments.config or default_config()
    return arguments, load_config(path, arguments.overrides, name=arguments.name)


def dotted_overrides(words: list[str], parser: argparse.ArgumentParser) -> dict[str, Any]:
    """``--train.epochs 3`` or ``--train.epochs=3`` as a mapping; anything else is a usage error (exit code 2)."""
    overrides = {}
    words = list(words)
    while words:
        word = words.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            parser.error(f"unexpected argument {word}")
        if key.split(".")[0] not in {known.split(".")[0] for known in option_keys()}:
            known = [*option_keys(), *(option.removeprefix("--") for option in parser._option_string_actions)]
            parser.error(f"unknown option --{key}: {nearest(key, known, otherwise='--help lists them all')}")
        if not equals:
            if not words:
                parser.error(f"--{key} needs a value")
            value = words.pop(0)
        overrides[key] = value
    return overrides


def default_config() -> Path:
    """The config of the one competition recognised under ``data/``; the demo's where there is none.

    Raises:
        CompetitionError: several competitions were found.
    """
    found = find_competitions(DATA)
    if len(found) > 1:
        listed = ", ".join(f"{folder} ({profile})" for folder, profile in found)
        raise CompetitionError(
            f"several competitions are under {DATA}: {listed}; choose one with --config FILE, and set competition.root "
            "if two share a profile"
        )
    if not found:
        print(f"No competition found under {DATA}/: this is the demo ({DEMO}).")
        return CONFIGS / "demo.yaml"
    folder, profile = found[0]
    path = CONFIGS / f"{profile.replace('-', '_')}.yaml"
    print(f"Competition: {folder} ({profile}), config {path.relative_to(CONFIGS.parent)}")
    return path


def config_flags(arguments: argparse.Namespace) -> str:
    """What the user gave that makes the config, for the next command."""
    flags = [("config", arguments.config), ("name", arguments.name), *arguments.overrides.items()]
    return "".join(f" --{flag} {shlex.quote(str(value))}" for flag, value in flags if value is not None)


def _options_help(sections: tuple[str, ...] | None = None) -> str:
    lines = ["options of the config, as in the YAML file (--tta.views d4):"]
    for key, kind, default, text in describe_options():
        if sections is not None and key.split(".")[0] not in sections and key != ROOT:
            continue
        lines.append(f"  --{key}  ({kind}; default {_default(default)})\n      {text}")
    return "\n".join(lines)


def _default(value: Any) -> str:
    """As it may stand in the YAML file: JSON is YAML, and words need no quotes."""
    return value if isinstance(value, str) and value else json.dumps(value)


def competition_of(config: Config) -> Competition:
    """The competition of a config; the demo's files are drawn where they are not there yet."""
    if config.competition.root == DEMO and not DEMO.exists():
        print(f"Drawing the demo data into {DEMO} (python src/make_demo.py does the same).")
        make_demo(DEMO)
    return open_competition(config.competition, data_root=DATA)


def with_root(config: Config, competition: Competition) -> Config:
    """The config with the competition's folder written down, so that a run finds it again."""
    section = config.competition.model_copy(update={"root": competition.root})
    return config.model_copy(update={"competition": section})


def runs_parser(description: str, sections: tuple[str, ...] = ()) -> argparse.ArgumentParser:
    """A parser with ``--runs``, whose help lists `ROOT` and the config options of some sections."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=_options_help(sections),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="run folders; default: the run of the competition's config, or the only one there is",
    )
    return parser


def parse_sections(parser: argparse.ArgumentParser, sections: tuple[str, ...] = ()) -> tuple[argparse.Namespace, dict]:
    """Parse arguments and dotted overrides; an override outside ``sections``, but `ROOT`, is a usage error."""
    arguments, rest = parser.parse_known_args()
    overrides = dotted_overrides(rest, parser)
    for key in overrides:
        if key.split(".")[0] not in sections and key != ROOT:
            parser.error(
                f"--{key} cannot be changed here, the run's own config holds (only {', '.join((*sections, ROOT))})"
            )
    return arguments, overrides


def open_runs(paths: list[Path] | None) -> list[Run]:
    """The runs named; by default that of the competition's config, or the only one there is.

    Raises:
        RunError: a folder is no run, or the runs are of several competitions.
    """
    runs = [Run.open(path) for path in paths or [_default_run()]]
    roots = {run.config.competition.root for run in runs}
    if len(roots) > 1:
        raise RunError(f"the runs are of several competitions ({', '.join(map(str, sorted(roots)))}): name runs of one")
    return runs


def _default_run() -> Path:
    path = RUNS / load_config(default_config()).name
    others = sorted(config.parent for config in RUNS.glob("*/config.yaml"))
    if path in others or not others:
        return path
    if len(others) > 1:
        raise RunError(f"there is no {path}, but {', '.join(map(str, others))}: choose with --runs")
    print(f"Run: {others[0]} (the only one)")
    return others[0]


def run_flags(runs: list[Run], overrides: dict[str, Any]) -> str:
    """``--runs …`` for the next command, and where the competition lies if the user said it."""
    place = f" --{ROOT} {shlex.quote(str(overrides[ROOT]))}" if ROOT in overrides else ""
    return " --runs " + " ".join(shlex.quote(str(run.path)) for run in runs) + place
