"""Test-time views and augmentation: which symmetries the images have."""

from typing import Any

from maskfold.checks.shift import SHIFTED
from maskfold.inference.views import build_views
from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason

COLOUR = {"RandomBrightnessContrast": {"brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.5}}


def views(data: Fingerprint) -> Reason:
    """Flips where no direction is special, none where images have an upper side.

    Source: benchmarks/RESULTS.md: flips and tuning gained 0.012 on building tiles, and lost 0.002 on street scenes.
    """
    if data.upright:
        return Reason("none", "images have an upper side, and all views turn it over")
    return Reason("flips", "no direction is special: four views")


def view_count(name: str) -> int:
    """How often prediction looks at an image."""
    return len(build_views(name))


def augment(data: Fingerprint) -> Reason:
    """The symmetries that images have, and colours; stronger ones where the test images look different.

    Source: `maskfold.checks.shift`; HuBMAP's first places (docs/cookbook.md) used the strongest for other laboratories.
    """
    if data.upright:
        flips: list[Any] = [{"HorizontalFlip": {"p": 0.5}}]
        return Reason([*flips, COLOUR], "images have an upper side: mirrored, and in other light")
    if data.shift is not None and data.shift >= SHIFTED:
        return Reason("heavy", f"test images look different (AUC {data.shift:.2f}): strong colours")
    return Reason("d4_color", "no direction is special: all eight turns and flips, and colours")
