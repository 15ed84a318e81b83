"""What ``train.channels_last: auto`` and ``train.compile: auto`` choose, and what the choice loses.

    python benchmarks/bench_layouts.py [--size 128] [--batch 4] [--repeats N] [--compile] [--busy]

For each of six encoders the training step is timed as `maskfold.train` does it where the config says ``auto``; then all
ways take turns once more, longer, and the way that was chosen is compared with the best one. With ``--compile`` the
compiled network is among the ways, which takes a minute or two to compile for each encoder and layout.
"""

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import torch

import maskfold
from maskfold.config import override
from maskfold.demo import make_demo
from maskfold.device import choose_device, choose_precision, steady_shapes
from maskfold.steps.settle import WAYS, trial_run
from maskfold.training.fastest import GAIN, fastest
from maskfold.training.trial import Trial
from timing import clock_of, interleave, machine, print_row

ENCODERS = ("resnet34", "mobilenet_v2", "efficientnet-b0", "tu-tf_efficientnetv2_b0", "tu-convnext_atto", "mit_b0")


def main() -> None:
    """Print a row for each encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="side of the crops in pixels (128)")
    parser.add_argument("--batch", type=int, default=4, help="images per step (4)")
    parser.add_argument("--repeats", type=int, default=15, help="steps of each way after the choice (15)")
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), help="smp's names (six)")
    parser.add_argument("--compile", action="store_true", help="compiled networks, too")
    parser.add_argument("--busy", action="store_true", help="count processor time: on a machine that others use")
    options = parser.parse_args()
    device = choose_device()
    print(machine("torch", "segmentation-models-pytorch", "timm"))
    kind = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else torch.cuda.get_device_name()
    print(f"{kind}, {torch.get_num_threads()} threads, {choose_precision('auto', device) or 'float32'}\n")
    keys = ["train.channels_last", *(["train.compile"] if options.compile else [])]
    ways = list(product(*(WAYS[key] for key in keys)))
    names = {way: f"channels last {way[0]}{', compiled' * way[-1] if options.compile else ''}".lower() for way in ways}
    print_row("U-Net with encoder", *(f"{names[way]}, ms" for way in ways), "chosen", "loses", head=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make_demo(Path("data/demo"), train_tiles=20, test_tiles=1, tile=options.size)
        worst = max(row(encoder, options, keys, names) for encoder in options.encoders)
    verdict = "" if worst <= GAIN - 1 else " (not reached)"
    print(f"\nthe most that a choice loses: {worst:.1%}, limit {GAIN - 1:.0%}{verdict}")


def row(encoder: str, options: argparse.Namespace, keys: list[str], names: dict[tuple, str]) -> float:
    """Print a row; returns the share of time that the choice loses."""
    config = maskfold.load_config(
        "demo",
        {
            "data.scale": 1.0,
            "data.crop": options.size,
            "data.workers": 0,
            "model.encoder": encoder,
            "model.encoder_weights": None,
            "model.options": {},
            "train.batch_size": options.batch,
        },
    )
    with ExitStack() as stack, contextlib.redirect_stdout(io.StringIO()):
        trials = {}
        for way in names:
            changed = override(config, dict(zip(keys, way, strict=True)))
            trials[way] = stack.enter_context(Trial(stack.enter_context(trial_run(changed))))
        chosen = fastest(trials, options.batch)
        batch = trials[chosen].batch(options.batch)
        calls: dict[str, Callable[[], object]] = {
            name: partial(trials[way].step_seconds, batch) for way, name in names.items()
        }
        with steady_shapes():
            seconds = interleave(calls, options.repeats, clock=clock_of(options.busy))
    loss = seconds[names[chosen]] / min(seconds.values()) - 1
    times = [f"{seconds[name] * 1e3:.1f}" for name in names.values()]
    print_row(f"`{encoder}`", *times, names[chosen], f"{loss:.1%}")
    return loss


if __name__ == "__main__":
    cv2.setNumThreads(1)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    main()
