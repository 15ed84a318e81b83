"""Ten competitions of different kinds, as figures, and two devices whose speed is given."""

from maskfold.planning.encoders import ENCODERS
from maskfold.planning.encoders import SCRATCH as FROM_SCRATCH
from maskfold.planning.fingerprint import Fingerprint, candidate_scales
from maskfold.planning.networks import Cost, Network, of_encoders, table

LITE = of_encoders(ENCODERS[name] for name in ("mobilenet_v2", "tu-tf_efficientnet_lite0"))
RESNET10 = of_encoders([FROM_SCRATCH])
ALL = [network for network in table() if network not in RESNET10]


class Device:
    """A device that takes so many times the seconds of the table."""

    def __init__(self, name, times, *, gpu=False, free=8e9, host=8e9):
        self.name, self.times, self.gpu, self.free, self.host = name, times, gpu, int(free), int(host)

    def cost(self, network: Network) -> Cost:
        train, predict = (self.times * seconds for seconds in (network.cost.train, network.cost.predict))
        return Cost(train, predict, 2.5e9 if self.gpu else None)


CPU = Device("two cores", 1.0)
GPU = Device("a GPU", 0.01, gpu=True, free=80e9, host=64e9)


def kind(height, width, *, steepness=0.02, **figures):
    """A competition; ``steepness``: what the true masks lose at half the scale."""
    scales = candidate_scales(min(height, width))
    ceilings = {scale: round(max(0.0, 1 - steepness / 2 / scale), 4) for scale in scales}
    usual = {
        "task": "binary", "channels": 1, "metric": "dice", "of_sums": False, "error_costs": (0.5, 0.5),
        "train": 800, "test": 200, "test_windows": 1.0,
        "test_pixels": 1.0, "pixel_bytes": 3.25, "coverage": 0.15, "empty": 0.1, "frequencies": (), "object_side": 30.0,
        "groups": 0, "copies": 0, "shift": 0.55, "given": 0.0, "upright": False, "reading": 0.002,
    }  # fmt: skip
    whole = {**usual, "read": 300, **figures}
    units = whole["groups"] or whole["train"] - whole["copies"]
    filled = round((1 - whole["empty"]) * whole["read"])
    made = {"units": units, "filled": filled, "largest": height * width, **whole}
    return Fingerprint(height=height, width=width, ceilings=ceilings, **made)


KINDS = {
    "aerial_tiles": (kind(512, 512, groups=45, shift=0.62), CPU, 0.2),
    "salt": (
        kind(101, 101, metric="tgs_map", error_costs=(1, 1), train=3400, test=600, empty=0.42, coverage=0.42),
        CPU,
        1,
    ),
    "streets": (
        kind(
            360,
            480,
            task="multiclass",
            metric="miou",
            of_sums=True,
            error_costs=(1, 1),
            train=468,
            test=233,
            coverage=0.81,
            empty=0.0,
            pixel_bytes=4.125,
            frequencies=(0.16, 0.25, 0.0094, 0.32, 0.059, 0.13, 0.012, 0.027, 0.053, 0.0077, 0.011),
            given=0.2,
            upright=True,
            copies=85,
            object_side=5.0,
            shift=0.8,
            steepness=0.1,
        ),
        CPU,
        1,
    ),
    "tissue": (kind(1024, 1024, train=350, test=1, groups=15, shift=0.9, object_side=90.0, steepness=0.004), GPU, 9),
    "chest": (kind(1024, 1024, train=10_000, test=1_300, empty=0.78, coverage=0.01, steepness=0.006), GPU, 9),
    "ships": (
        kind(
            768,
            768,
            metric="airbus_f2",
            error_costs=None,
            train=40_000,
            test=15_000,
            empty=0.65,
            coverage=0.005,
            object_side=18.0,
            steepness=0.05,
        ),
        GPU,
        9,
    ),
    "steel": (
        kind(256, 1600, task="multilabel", metric="dice", train=12_500, test=1_800, empty=0.47, coverage=0.06),
        GPU,
        4,
    ),
    "contrails": (
        kind(
            256,
            256,
            metric="pooled_dice",
            of_sums=True,
            train=20_000,
            test=1_850,
            empty=0.54,
            coverage=0.002,
            object_side=9.0,
            steepness=0.15,
        ),
        GPU,
        9,
    ),
    "cells": (
        kind(520, 696, metric="dsb_map", error_costs=None, train=60, test=20, object_side=14.0, steepness=0.04),
        CPU,
        2,
    ),
    "demo": (kind(192, 192, train=160, test=60, groups=10, object_side=26.0, steepness=0.03), CPU, 0.05),
}
# Without weights at hand; the others choose among two encoders on a CPU, among all on a GPU.
SCRATCH = ("demo",)
