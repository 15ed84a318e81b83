"""A plan made from the competition's files and this device, and written as a config."""

from pathlib import Path

import torch

from maskfold.config import Config
from maskfold.errors import ConfigError
from maskfold.files import write_file
from maskfold.planning import MeasuredSpeed, Plan, make_plan, take_fingerprint
from maskfold.planning.plan import describe
from maskfold.planning.write import plan_yaml
from maskfold.steps.competition import open_competition, with_root


def plan(
    config: Config,
    hours: float,
    out: Path,
    *,
    device: str | None = None,
    overwrite: bool = False,
    shortest: bool = False,
) -> Plan:
    """Look at the data, measure this device, decide, and write the config.

    Args:
        config: whose section ``competition`` holds, and what ``folds`` sets to other than its default; all else
            is decided.
        hours: for all folds, scores, tuning and the test images.
        out: the file to write.
        device: such as ``cpu`` or ``cuda:1``; None: the accelerator that is there.
        overwrite: replace ``out`` if it exists.
        shortest: where the hours have no room for a training, plan for the shortest one there is.

    Raises:
        ConfigError: ``out`` exists, or no such device.
        MaskfoldError: data that cannot be used, hours that have no room for a training.
    """
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists: choose another --out, or replace it with --overwrite")
    competition = open_competition(config)
    config = with_root(config, competition)
    data = take_fingerprint(competition, config.folds)
    speed = MeasuredSpeed(competition.labels, competition.images, _device(device))
    print(f"Measuring {speed.name} …", flush=True)
    made = make_plan(config, data, speed, hours=hours, shortest=shortest)
    made.config(config)  # what no config may hold is not written
    write_file(out, plan_yaml(made, config))
    print("\n".join([*made.facts, describe(made)]))
    return made


def _device(name: str | None) -> torch.device | None:
    if name is None:
        return None
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {name} cannot be used ({str(error).splitlines()[0]}): try cpu") from None
    return device
