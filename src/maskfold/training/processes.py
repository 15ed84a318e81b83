"""The processes that train one fold together: a single one, or those that torchrun started."""

from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from maskfold.config import Config
from maskfold.device import choose_device, choose_precision

PRECISION_NAMES = {None: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}


def processes() -> PartialState:
    """This process among the others. Where there is no accelerator they speak by gloo, if told that it is the CPU."""
    return PartialState(cpu=choose_device().type == "cpu")


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
        log_with=list(config.train.trackers) or None,
        project_dir=project_dir,
        kwargs_handlers=[unused],
    )
