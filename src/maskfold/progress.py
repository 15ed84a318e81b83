"""A bar where the output is a terminal, now and then a line where it is a file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0


def progress(items: Iterable[Item], label: str, *, total: int, unit: str = "image") -> Iterator[Item]:
    """Yield ``items`` and show on stderr how many of ``total`` are done.

    Without a terminal a line is written every ten seconds at most, so that short work leaves none.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, desc=label, total=total, unit=unit, leave=False)
        return
    said = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print(f"{label}: {number} of {total} {unit}s", file=sys.stderr, flush=True)
