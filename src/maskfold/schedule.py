"""The learning rate as a pure function of the step."""

import math
from collections.abc import Callable


def cycle_ends(epochs: int, cycles: int) -> list[int]:
    """The (1-based) epochs at whose end a cycle ends."""
    return [round(epochs * (cycle + 1) / cycles) for cycle in range(cycles)]


def lr_schedule(name: str, *, ends: list[int], warmup: float, final_factor: float) -> Callable[[int], float]:
    """The factor on the peak rate at a step counted from 0, for cycles that end at the steps ``ends``.

    ``cosine`` and ``snapshot`` (Huang et al., 2017, arXiv 1704.00109; Loshchilov & Hutter, 2017, arXiv
    1608.03983) warm up linearly and fall as half a cosine; ``one_cycle`` (Smith, arXiv 1803.09820) rises as
    half a cosine too; ``constant`` only warms up. All but ``constant`` end at ``final_factor``.
    """

    def factor(step: int) -> float:
        start = max((end for end in ends if end <= step), default=0)
        end = min((end for end in ends if end > step), default=ends[-1])
        progress = min((step - start) / max(end - start - 1, 1), 1.0)
        return _factor(name, progress, warmup, final_factor)

    return factor


def _factor(name: str, progress: float, warmup: float, low: float) -> float:
    if progress < warmup:
        rise = progress / warmup
        shape = rise if name != "one_cycle" else (1 - math.cos(math.pi * rise)) / 2
        return low + (1 - low) * shape
    if name == "constant":
        return 1.0
    fall = (progress - warmup) / (1 - warmup) if warmup < 1 else 1.0
    return low + (1 - low) * (1 + math.cos(math.pi * fall)) / 2
