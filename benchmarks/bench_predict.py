"""From test images to a written submission: five folds' networks and their views, ours beside the usual loops.

python benchmarks/bench_predict.py [--size 512] [--images N] [--encoder resnet34] [--views flips] [--repeats N]

Networks have random weights (speed does not depend on them) and are on the device before the clock starts; tiles are
drawn. The usual loop goes network by network, image by image, view by view in float32 and writes run lengths with
numpy; the batched one gives ttach-like views of whole batches to each network. Both keep a sum of probabilities for all
images. Ours is `maskfold.predict`, validation of the file included; its network alone is the same forward passes on a
batch that is on the device. Candidates take turns.
"""

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import maskfold
from maskfold.config import Config
from maskfold.demo import make_demo
from maskfold.device import choose_device, choose_precision, wait_for
from maskfold.ensembling import load_networks
from maskfold.models import build_model
from maskfold.runs import Run
from timing import clock_of, interleave, machine
from usual import usual_encode

MEAN, STD = (np.array(values, np.float32) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-1, -2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--size", type=int, default=512, help="side of the tiles in pixels (512)")
    add("--images", type=int, help="test images (CPU: 8, GPU: 512)")
    add("--usual-images", type=int, help="those that the usual loops predict, whose time grows with them (all)")
    add("--batch", type=int, help="images per batch (CPU: 4, GPU: 32)")
    add("--encoder", default="resnet34", help="smp's name (resnet34)")
    add("--repeats", type=int, default=3, help="rounds, in which the candidates take turns (3)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="data workers (all cores)")
    add("--views", default="flips", choices=("none", "flips"), help="views of each image (flips)")
    add("--folds", type=int, default=5, help="networks (5)")
    add("--busy", action="store_true", help="count processor time: on a machine that others use as well")
    options = parser.parse_args()
    device = choose_device()
    options.images = options.images or (8 if device.type == "cpu" else 512)
    options.batch = options.batch or (4 if device.type == "cpu" else 32)
    print(machine("torch", "segmentation-models-pytorch"))
    print(torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability())
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        compare(begin(options), options, device)


def begin(options: argparse.Namespace) -> Run:
    """Drawn tiles, and a run of finished folds with random weights."""
    make_demo(Path("data/demo"), train_tiles=10, test_tiles=options.images, tile=options.size)
    config = maskfold.load_config(
        "demo",
        {
            "data.scale": 1.0,
            "data.crop": options.size,
            "data.workers": options.workers,
            "tta.views": options.views,
            "model.encoder": options.encoder,
            "model.encoder_weights": None,
            "model.options": {},
            "inference.batch_size": options.batch,
        },
    )
    run = Run(Path("runs/bench"))
    run.adopt(config)
    run.folds()
    for fold in range(options.folds):
        torch.manual_seed(fold)
        run.fold(fold).save_checkpoint("best", build_model(config.model, classes=1).state_dict())
        run.fold(fold).finish({"metric": "dice", "score": 0.0, "best_checkpoint": "best"})
    return run


def compare(run: Run, options: argparse.Namespace, device: torch.device) -> None:
    competition = maskfold.open_competition(run.config)
    views = FLIPS if options.views == "flips" else FLIPS[:1]
    networks = [
        load_networks(run, run.fold(fold), "best", competition)[0].to(device).eval() for fold in range(options.folds)
    ]
    paths = sorted((Path("data/demo/test_a")).glob("*.jpg"))
    few = paths[: options.usual_images]
    candidates: dict[str, Callable[[], object]] = {
        "usual loop, image by image": partial(usual, networks, few, 1, views, device),
        "usual loop, batches": partial(usual, networks, few, options.batch, views, device),
        "ours, files to submission": ours(run),
        "its networks alone": alone(networks, run.config, options, len(views), device),
    }
    seconds = interleave(candidates, options.repeats, clock=clock_of(options.busy))
    rates = {name: (len(few) if "usual" in name else options.images) / each for name, each in seconds.items()}
    images = f"{options.images} images of {options.size} pixels a side"
    print(f"\n{options.folds} x U-Net {options.encoder}, {len(views)} views, {images}")
    print("| way | images/s | networks x views x images /s | against the usual loop |\n| --- | ---: | ---: | ---: |")
    for name, rate in rates.items():
        looks, gain = rate * options.folds * len(views), rate / next(iter(rates.values()))
        print(f"| {name} | {rate:.1f} | {looks:.0f} | {gain:.2f}x |")
    outside = 1 - seconds["its networks alone"] / seconds["ours, files to submission"]
    print(f"outside the networks: {outside:.1%}", flush=True)


def ours(run: Run) -> Callable[[], None]:
    def predict() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            maskfold.predict(run, Path("submissions/ours.csv"), overwrite=True)

    return predict


@torch.inference_mode()
def usual(
    networks: Sequence[nn.Module],
    paths: Sequence[Path],
    batch: int,
    views: Sequence[tuple[int, ...]],
    device: torch.device,
) -> None:
    """What one writes first; with `batch` images at a time."""
    total = np.zeros((len(paths), *read(paths[0]).shape[-2:]), np.float32)
    for network in networks:
        for start in range(0, len(paths), batch):
            images = torch.stack([read(path) for path in paths[start : start + batch]]).to(device)
            for flips in views:
                probability = network.net(images.flip(flips)).sigmoid().flip(flips)  # type: ignore[union-attr]
                total[start : start + batch] += probability[:, 0].cpu().numpy()
    masks = total / (len(networks) * len(views)) > 0.5
    table = pd.DataFrame({"name": [path.name for path in paths], "rle": [usual_encode(mask) for mask in masks]})
    Path("submissions").mkdir(exist_ok=True)
    table.to_csv("submissions/usual.csv", sep="\t", header=False, index=False)


def read(path: Path) -> Tensor:
    stored: Any = cv2.imread(str(path))
    image = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    return torch.from_numpy(((image - MEAN) / STD).transpose(2, 0, 1).copy())


def alone(
    networks: Sequence[nn.Module], config: Config, options: argparse.Namespace, views: int, device: torch.device
) -> Callable[[], None]:
    """The forward passes of our prediction, on one batch that is on the device."""
    precision = choose_precision(config.train.precision, device)
    shape = (options.batch, 3, options.size, options.size)
    layout = torch.channels_last if config.train.channels_last else torch.contiguous_format
    batch = torch.randint(0, 256, shape, dtype=torch.uint8).to(device, memory_format=layout)

    @torch.inference_mode()
    def run() -> None:
        with torch.autocast(device.type, dtype=precision, enabled=precision is not None):
            for _ in range(-(-options.images // options.batch)):
                for network in networks:
                    for _ in range(views):
                        network(batch)
        wait_for(device)

    return run


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
