"""The help of a command: its own options, the config's most used ones, and all of them on demand."""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from maskfold.config import describe_options
from maskfold.steps.competition import ROOT

# What most trainings change.
COMMON = (
    "competition.profile",
    ROOT,
    "folds.count",
    "data.crop",
    "data.augment",
    "model.architecture",
    "model.encoder",
    "loss",
    "optim.lr",
    "train.epochs",
    "train.batch_size",
    "tta.views",
    "seed",
)
# What inspecting and dividing the data depends on.
DATA_OPTIONS = ("competition.profile", ROOT, "competition.class_names", "folds.kind", "folds.count", "folds.seed")


def command_parser(
    description: str | None, allowed: Sequence[str], common: Sequence[str] | None
) -> argparse.ArgumentParser:
    """A parser whose ``--help`` takes a section of the config.

    Args:
        allowed: sections and keys of the config that the command takes.
        common: the keys that plain ``--help`` explains; None: all that the command takes.
    """
    parser = argparse.ArgumentParser(
        description=description, add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-h",
        "--help",
        nargs="?",
        metavar="SECTION",
        action=_Help,
        allowed=allowed,
        common=common,
        help="explain the command and exit; SECTION: all, or a section of the config such as "
        + (allowed[0].partition(".")[0] if common is None else "train"),
    )
    return parser


class _Help(argparse.Action):
    """Print the help, with the config's options that were asked for, and exit."""

    def __init__(self, *arguments: Any, allowed: Sequence[str], common: Sequence[str] | None, **named: Any) -> None:
        super().__init__(*arguments, default=argparse.SUPPRESS, **named)
        self.allowed, self.common = allowed, common

    def __call__(self, parser: argparse.ArgumentParser, namespace: object, values: Any, option: Any = None) -> None:
        sections = list(dict.fromkeys(key.split(".")[0] for key, *_ in describe_options() if self._takes(key)))
        if values is None:
            parser.epilog = self._short(sections)
        elif values == "all":
            parser.epilog = _explain(self._takes)
        elif values in sections:
            print(_explain(lambda key: self._takes(key) and key.split(".")[0] == values))
            parser.exit()
        else:
            parser.error(f"--help {values}: there is no such section here: known are all, {', '.join(sections)}")
        parser.print_help()
        parser.exit()

    def _takes(self, key: str) -> bool:
        return key in self.allowed or key.split(".")[0] in self.allowed

    def _short(self, sections: Sequence[str]) -> str:
        if self.common is None:
            return _explain(self._takes)
        common = self.common
        return (
            f"{_explain(lambda key: key in common)}\n\nThese are the most used ones. All options: --help all. Those of "
            f"a section: --help SECTION, one of\n{', '.join(sections)}."
        )


def _explain(wanted: Callable[[str], bool]) -> str:
    lines = ["options of the config, written as in the YAML file (--tta.views d4):"]
    for key, kind, default, text in describe_options():
        if wanted(key):
            value = "no default" if default is ... else f"default {_default(default)}"
            lines.append(f"  --{key}  ({kind}; {value})\n      {text}")
    return "\n".join(lines)


def _default(value: Any) -> str:
    """As it may stand in the YAML file: JSON is YAML, and words need no quotes."""
    return value if isinstance(value, str) and value else json.dumps(value)
