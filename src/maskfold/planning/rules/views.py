"""Test-time views and augmentation: which symmetries the images have."""

from typing import Any

from maskfold.checks.shift import SHIFTED
from maskfold.inference.views import build_views
from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason

COLOUR = {"RandomBrightnessContrast": {"brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.5}}
# benchmarks/RESULTS.md, views of an image: the means of four trainings; a mirrored view of street scenes that of five.
GAINS = {"none": 0.0, "hflip": 0.008, "flips": 0.023, "d4": 0.028}


def choices(data: Fingerprint) -> list[str]:
    """Sets of views that suit the images: those that have an upper side are not turned over.

    Source: benchmarks/RESULTS.md: flips and tuning gained 0.012 on building tiles, and lost 0.002 on street scenes.
    """
    return ["none", "hflip"] if data.upright else ["none", "flips", "d4"]


def views(data: Fingerprint, chosen: str) -> Reason:
    """The reason for the views; they are chosen together with the network, for they take time.

    Source: the studies ``views``, ``small_images`` and ``street_scenes`` (docs/experiments.md).
    """
    count = view_count(chosen)
    why = "images have an upper side" if data.upright else "no direction is special"
    gains = ", ".join(f"{name} {GAINS[name]:+g}" for name in choices(data))
    worth = "one view is" if count == 1 else f"{count} views are"
    return Reason(chosen, f"{why}; of {gains}, {worth} worth most within the hours")


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
