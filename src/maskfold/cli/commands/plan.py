"""Write a config for so many hours, made from the data and this device, every value with its reason."""

import argparse
from pathlib import Path

from maskfold.cli.arguments import config_parser, parse
from maskfold.cli.options import DATA_OPTIONS
from maskfold.cli.script import next_command, starting
from maskfold.cli.values import above_zero
from maskfold.errors import ConfigError
from maskfold.program import command_line
from maskfold.steps.competition import check_competition
from maskfold.steps.places import CONFIGS

GIVEN = ("competition", "folds")  # sections whose options a plan may be given


def main() -> None:
    """Run the command."""
    parser = config_parser(__doc__, DATA_OPTIONS)
    add_hours(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="config to write; default: configs/NAME_plan.yaml")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 …; default: the accelerator that is there, else the CPU")
    parser.add_argument("--overwrite", action="store_true", help="replace the config if it exists")
    arguments, config = parse(parser)
    refuse_decided(arguments.overrides)
    path = arguments.out or CONFIGS / f"{config.name}_plan.yaml"
    if path.exists() and not arguments.overwrite:
        raise ConfigError(f"{path} exists: choose another --out, or replace it with --overwrite")
    check_competition(config)
    with starting(f"Planning {config.name} for {arguments.hours:g} hours …"):
        from maskfold.steps.plan import plan

    plan(config, arguments.hours, path, device=arguments.device, overwrite=arguments.overwrite)
    print(f"Plan: {path}")
    next_command(command_line("train-all", "--config", str(path)))


def add_hours(parser: argparse.ArgumentParser) -> None:
    """``--hours``."""
    parser.add_argument(
        "--hours",
        type=above_zero,
        required=True,
        metavar="H",
        help="hours for everything: folds, scores, out-of-fold maps, tuning, the test images",
    )


def refuse_decided(overrides: dict[str, object]) -> None:
    """Refuse options of the config that a plan decides.

    Raises:
        ConfigError: the first ones.
    """
    if wrong := [key for key in overrides if key.split(".")[0] not in GIVEN]:
        raise ConfigError(
            f"--{', --'.join(wrong)}: a plan decides that; give options of {' and '.join(GIVEN)} only, and change the "
            "file that it writes"
        )
