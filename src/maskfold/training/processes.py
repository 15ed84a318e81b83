"""The processes that train one fold together: a single one, or those that torchrun started."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.tracking import GeneralTracker, get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs, LoggerType

from maskfold.config import Config
from maskfold.device import choose_device, choose_precision
from maskfold.errors import TrainingError, first_few

logger = logging.getLogger(__name__)

DEFAULT_TRACKER = "tensorboard"  # nobody has to have asked for it
# The main process does alone what may take hours, such as teachers' maps and a fold's end. The others wait, which NCCL
# would have them do for ten minutes and gloo for thirty. Where one dies, torchrun ends them all the same.
PATIENCE = timedelta(days=1)
PRECISION_NAMES = {None: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}


def processes() -> PartialState:
    """This process among the others. Where there is no accelerator they speak by gloo, if told that it is the CPU."""
    return PartialState(cpu=choose_device().type == "cpu", timeout=PATIENCE)


def build_accelerator(config: Config, *, project_dir: Path) -> tuple[torch.dtype | None, Accelerator]:
    """The type that autocast computes in, None for plain float32, and what moves, reduces and logs for a training.

    ``project_dir`` is where trackers write.
    """
    # accelerate keeps one precision per process; a second run in the same process (a notebook) may want another.
    AcceleratorState._reset_state()
    precision = choose_precision(config.train.precision, cast("torch.device", processes().device))
    # A frozen encoder, or the stages beyond model.options.encoder_depth, get no gradients: data parallel must look.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return precision, Accelerator(
        mixed_precision=PRECISION_NAMES[precision],
        gradient_accumulation_steps=config.train.accumulate,
        log_with=known_trackers(config.train.trackers) or None,
        project_dir=project_dir,
        kwargs_handlers=[unused],
    )


def known_trackers(names: Sequence[str]) -> list[str | LoggerType | GeneralTracker]:
    """The trackers that are named, but those that are not installed, about which there is a warning.

    Raises:
        TrainingError: a name that accelerate does not know.
    """
    known = [str(name) for name in LoggerType.list() if name != "all"]
    strange = [name for name in names if name not in (*known, "all")]
    if strange:
        raise TrainingError(f"train.trackers names {first_few(strange)}: choose among {', '.join(known)}")
    lacking = set(names) - {str(tracker.value) for tracker in get_available_trackers()} - {"all"}
    for name in sorted(lacking - {DEFAULT_TRACKER}):
        _warn_once(
            f"train.trackers names {name}, which is not installed, so nothing is logged there: pip install "
            f"{name.replace('_', '-')}"
        )
    return [name for name in names if name not in lacking]


@cache
def _warn_once(text: str) -> None:
    logger.warning("%s", text)
