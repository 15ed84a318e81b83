"""What all scripts share: the config on the command line, errors without traceback, the next command."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maskfold.competitions import CompetitionError, find_competitions
from maskfold.config import Config, describe_options, load_config, nearest, option_keys

CONFIGS = Path(__file__).parents[2] / "configs"
DATA = Path("data")
DEMO = DATA / "demo"


def run_script(main: Callable[[], None]) -> None:
    """Run a script's main function; every failure is one message on stderr and exit code 1."""
    try:
        main()
    except KeyboardInterrupt:
        _fail("interrupted: the same command goes on where it stopped")
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if os.environ.get("MASKFOLD_DEBUG"):
            raise
        _fail(describe_error(error))


def describe_error(error: Exception) -> str:
    """One message for the user: ours as it stands, others with their type."""
    # A data worker's exception arrives with its traceback in the text; the last line is the message.
    text = str(error)
    if "Original Traceback" in text:
        text = text.strip().splitlines()[-1].split(": ", 1)[-1]
    if isinstance(error, ValueError) and type(error) is not ValueError:
        return text
    return f"{type(error).__name__}: {text} (set MASKFOLD_DEBUG=1 for the traceback)"


def config_parser(description: str) -> argparse.ArgumentParser:
    """A parser with ``--config`` and ``--name``, whose help lists every option of the config."""
    parser = argparse.ArgumentParser(
        description=description, epilog=_options_help(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="experiment YAML; default: that of the one contest under data/",
    )
    parser.add_argument("--name", help="name of the run, runs/NAME; default: the config file's name")
    return parser


def parse(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Config]:
    """Parse the command line and load the config that it asks for."""
    arguments, rest = parser.parse_known_args()
    overrides = dotted_overrides(rest, parser)
    path = arguments.config or default_config()
    return arguments, load_config(path, overrides, name=arguments.name)


def dotted_overrides(words: list[str], parser: argparse.ArgumentParser) -> dict[str, Any]:
    """``--train.epochs 3`` or ``--train.epochs=3`` as a mapping; anything else is a usage error (exit code 2)."""
    overrides = {}
    words = list(words)
    while words:
        word = words.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            parser.error(f"unexpected argument {word}")
        if (
            key.split(".")[0] not in {known.split(".")[0] for known in option_keys()}
            or "." not in key
            and key != "seed"
        ):
            known = [*option_keys(), *(option.removeprefix("--") for option in parser._option_string_actions)]
            parser.error(f"unknown option --{key}: {nearest(key, known)}")
        if not equals:
            if not words:
                parser.error(f"--{key} needs a value")
            value = words.pop(0)
        overrides[key] = value
    return overrides


def default_config() -> Path:
    """The config of the one contest recognised under ``data/``; the demo's where there is none.

    Raises:
        CompetitionError: several contests were found.
    """
    found = find_competitions(DATA)
    if len(found) > 1:
        listed = ", ".join(f"{folder} ({profile})" for folder, profile in found)
        raise CompetitionError(
            f"several contests are under {DATA}: {listed}; choose one with --config FILE, and set competition.root "
            "if two share a profile"
        )
    if not found:
        print(f"No contest found under {DATA}/: this is the demo ({DEMO}).")
        return CONFIGS / "demo.yaml"
    folder, profile = found[0]
    path = CONFIGS / f"{profile.replace('-', '_')}.yaml"
    print(f"Contest: {folder} ({profile}), config {path.relative_to(CONFIGS.parent)}")
    return path


def next_command(command: str) -> None:
    """The last line of every script."""
    print(f"Next: {command}")


def config_flags(arguments: argparse.Namespace) -> str:
    """``--config`` and ``--name`` as given, for the next command."""
    flags = [("--config", arguments.config), ("--name", arguments.name)]
    return "".join(f" {flag} {value}" for flag, value in flags if value is not None)


def _options_help() -> str:
    lines = ["options of the config, as in the YAML file (--train.epochs 3):"]
    for key, kind, default, text in describe_options():
        default = "" if key == "loss" else f"; default {_default(default)}"
        lines.append(f"  --{key}  ({kind}{default})\n      {text}")
    return "\n".join(lines)


def _default(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return "null" if value is None else "''" if value == "" else str(value)


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)
