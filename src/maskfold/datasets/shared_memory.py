"""The memory through which data workers hand over their batches."""

import logging
import shutil
from functools import cache
from pathlib import Path

from maskfold.errors import SamplerError

logger = logging.getLogger(__name__)

PLACE = Path("/dev/shm")
SMALL, NOTHING = 128 << 20, 1 << 20  # bytes; Docker's default is 64 MiB
WHAT_TO_DO = "start the container with --shm-size 4g or --ipc host, or set data.workers to 0"


def check_shared_memory(workers: int) -> None:
    """Say, once, that shared memory is small: workers that find no room in it die or wait for ever, without a word.

    Raises:
        SamplerError: next to nothing of it is left.
    """
    if not workers or not PLACE.is_dir():
        return
    room = shutil.disk_usage(PLACE)
    if room.free < NOTHING:
        raise SamplerError(
            f"{PLACE}, through which data workers hand over their batches, has {room.free >> 10} KiB left of "
            f"{room.total >> 10}: {WHAT_TO_DO}"
        )
    if room.total < SMALL:
        _warn(room.total)


@cache
def _warn(total: int) -> None:
    logger.warning(
        "data workers hand over their batches through %s, which has only %d MiB (Docker's default is 64): if training "
        "stops without a word, %s",
        PLACE,
        total >> 20,
        WHAT_TO_DO,
    )
