"""What an image, a fold, a view and a network more cost, and what follows for a million images.

    python benchmarks/bench_scale.py --measure     # what an image of 512 x 512 pixels costs beside the networks
    python benchmarks/bench_scale.py --check       # a cost model of small runs, against 1, 5 and 25 times the images
    python benchmarks/bench_scale.py --simulate    # the tables of docs/scale.md, by benchmarks/scale_model.py

``--check`` trains and predicts with a tiny network on drawn tiles of 64 pixels, in this process, with one thread. The
model's coefficients are fitted to runs of the base size and a third of it alone; seconds are of the processor, so that
other work on the machine disturbs little.
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch

from maskfold.competitions import Competition, Samples
from maskfold.competitions.profile import load_profile
from maskfold.config import Config, load_config
from maskfold.datasets import EvalDataset
from maskfold.demo import make_demo
from maskfold.ensembling.choice import EnsembleChoice, RunChoice
from maskfold.ensembling.shards import Shards
from maskfold.ensembling.submit import write_masks
from maskfold.inference.predict import Prediction
from maskfold.runs import Run
from maskfold.steps.predict import predict
from maskfold.training import fit
from scale_model import MEASURED, Costs, tables
from timing import machine, print_row

TINY = {
    "competition.profile": "tianchi-buildings",
    "model.encoder": "mobilenet_v2",
    "model.encoder_weights": None,
    "model.options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
    "data.crop": 64,
    "data.workers": 0,
    "folds.kind": "kfold",
    "folds.count": 4,
    "train.batch_size": 8,
    "train.precision": "fp32",
    "train.trackers": [],
    "optim.lr": 0.01,
    "averaging.ema": 0.9,
    "tta.views": "none",
}
VIEWS = {"none": 1, "flips": 4, "d4": 8}


@dataclass(frozen=True)
class Trial:
    """A run of the cost model: how much of everything, and the processor seconds that it took."""

    amounts: tuple[float, ...]
    seconds: float


def measure(folder: Path, images: int) -> Costs:
    """Time the steps around the networks on drawn tiles of 512 pixels, one core."""
    make_demo(folder / "demo", train_tiles=8, test_tiles=images, tile=512)
    competition = Competition(load_profile("tianchi-buildings"), folder / "demo")
    samples = competition.samples("test")
    timed: dict[str, float] = {}

    def spent(name: str, began: float) -> None:
        timed[name] = (time.process_time() - began) / images

    Competition(competition.profile, competition.root).size(samples[0].image)
    began = time.process_time()
    for sample in samples:
        competition.size(sample.image)
    spent("header", began)
    dataset = EvalDataset(competition, samples)
    dataset[0]
    began = time.process_time()
    items = [dataset[place]["image"] for place in range(images)]
    spent("read", began)
    shards = _shards(competition, samples, items, folder)
    for _ in shards.stream():  # what is compiled, and read once, is there
        pass
    began = time.process_time()
    for _ in shards.stream():
        pass
    spent("decode", began)
    began = time.process_time()
    shards(0)
    spent("write_shard", began)
    timed["write_shard"] -= timed["decode"]
    out, choice = folder / "out.csv", shards.ensemble.choice
    for _ in range(2):  # the first time some of it is compiled
        began = time.process_time()
        write_masks(shards.merged(), choice, competition, out, samples.ids)
    spent("merge", began)
    sizes = {
        "image_bytes": sum(path.stat().st_size for path in (folder / "demo/test_a").iterdir()) / images,
        "shard_bytes": (folder / "00000.zip").stat().st_size / images,
        "row_bytes": out.stat().st_size / images,
    }
    return Costs(**timed, **sizes, network_bytes=MEASURED.network_bytes, start=MEASURED.start)


def _shards(competition: Competition, samples: Samples, items: Sequence[torch.Tensor], folder: Path) -> Shards:
    """Shards of which the network's part is there already: smooth blobs where the image is bright."""
    bright = [cv2.GaussianBlur(item[0].float().numpy(), (0, 0), 12) for item in items]
    maps = [1 / (1 + np.exp((np.median(values) - values[None]) / 6)) for values in bright]

    def predicted(asked: Samples, *, rank: int, world: int) -> Iterator[Prediction]:
        for number, (sample, probability) in enumerate(zip(asked, maps, strict=True)):
            yield Prediction(sample.id, number, probability)

    choice = EnsembleChoice(runs=[RunChoice(run="none", checkpoint="best", weight=1.0)])
    ensemble: Any = SimpleNamespace(competition=competition, choice=choice, batch_size=8, predict=predicted)
    return Shards(ensemble, samples, False, folder)


def check(folder: Path, base: int) -> None:
    """Fit the model at the base size and a third of it, and compare it with larger runs."""
    roots = {}
    for images in (base // 3, base, 5 * base, 25 * base):
        roots[images] = folder / f"demo{images}"
        with redirect_stdout(io.StringIO()):
            make_demo(roots[images], train_tiles=images, test_tiles=images, tile=64)
    _train(folder, roots[base // 3], 1)  # compiles what is compiled
    small = [base // 3, base] * 2  # twice, since short times are noisy
    trained = [_train(folder, roots[images], epochs) for images in small for epochs in (1, 3)]
    ways = [(1, "none"), (1, "flips"), (3, "flips")]
    predicted = [_predict(folder, roots[images], *way) for images in small for way in ways]
    fits = {"training": _fitted(trained), "prediction": _fitted(predicted)}
    print_row("processor seconds of", "start", "each epoch", "each image", "each step of 8 images", head=True)
    print_row("training a fold", *(f"{value:.4g}" for value in fits["training"]))
    print_row("processor seconds of", "start", "each network", "each image", "each image, network and view", head=True)
    print_row("predicting", *(f"{value:.4g}" for value in fits["prediction"]))
    print_row("run", "images", "seconds", "by the model", "ratio", head=True)
    for times in (1, 5, 25):
        root = roots[times * base]
        for name, trial in (
            ("training", _train(folder, root, 2)),
            ("prediction", _predict(folder, root, 2, "flips")),
        ):
            expected = float(np.dot(fits[name], trial.amounts))
            cells = (f"{times * base}", f"{trial.seconds:.2f}", f"{expected:.2f}", f"{trial.seconds / expected:.2f}")
            print_row(f"{name}, {times}x", *cells)
    _bytes(folder, roots[25 * base])


def _fitted(trials: Sequence[Trial]) -> np.ndarray:
    """Coefficients that make the relative errors small, none of them negative."""
    from scipy.optimize import nnls

    amounts = np.array([np.array(trial.amounts) / trial.seconds for trial in trials])
    return nnls(amounts, np.ones(len(trials)))[0]


def _config(root: Path, **changes: object) -> Config:
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return load_config(None, {**TINY, "competition.root": str(root), **named}, name="scale")


def _train(folder: Path, root: Path, epochs: int) -> Trial:
    """Train a fold from its start, its out-of-fold maps included."""
    images = int(root.name.removeprefix("demo"))
    config = _config(root, train__epochs=epochs)
    run = Run(folder / f"run{images}_{epochs}")
    run.adopt(config)
    run.restart([0], config)
    with redirect_stdout(io.StringIO()):
        began = time.process_time()
        steps = fit(run, 0)["steps"]
    return Trial((1, epochs, images, steps), time.process_time() - began)


def _predict(folder: Path, root: Path, members: int, views: str) -> Trial:
    """Predict with some copies of one trained fold."""
    images = int(root.name.removeprefix("demo"))
    trained = next(run for run in (Run(folder / f"run{images}_{epochs}") for epochs in (1, 2)) if run.finished_folds())
    state = trained.fold(0).load_checkpoint("best")
    run = Run(folder / f"copies{images}")
    run.adopt(_config(root))
    for fold in range(members):
        run.fold(fold).save_checkpoint("best", state)
        run.fold(fold).finish({"candidates": {"best": 0.5}, "metric": "dice", "score": 0.5})
    with redirect_stdout(io.StringIO()):
        began, out = time.process_time(), folder / f"{images}.csv"
        how = {"overrides": {"tta.views": views}, "untuned": True, "overwrite": True, "parallel": 1}
        predict(run, out, folds=range(members), **how)
        seconds = time.process_time() - began
    return Trial((1, members, images, images * members * VIEWS[views]), seconds)


def _bytes(folder: Path, root: Path) -> None:
    """What is kept of a run, and of each image."""
    images = int(root.name.removeprefix("demo"))
    run = Run(folder / f"run{images}_2")
    validated = images // 4
    print_row("bytes of", "all", "each", head=True)
    for what, key, count in (
        ("a checkpoint", "fold_0/best.safetensors", 1),
        ("the training state", "fold_0/last.pt", 1),
        ("out-of-fold maps of a checkpoint, per validation image of 64 x 64", "fold_0/oof/best", validated),
        ("statistics of a checkpoint, per validation image", "fold_0/stats/best.npz", validated),
        ("folds.csv, per training image", "folds.csv", images),
    ):
        size = run.storage.size(key)
        print_row(what, f"{size:,}", f"{size / count:,.0f}")
    size = (folder / f"{images}.csv").stat().st_size
    print_row("the submission, per test image of 64 x 64", f"{size:,}", f"{size / images:,.0f}")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--measure", action="store_true", help="time the steps around the networks")
    add("--check", action="store_true", help="compare the cost model with runs of 1, 5 and 25 times the images")
    add("--simulate", action="store_true", help="print the simulation's tables")
    add("--images", type=int, default=48, metavar="N", help="of --measure, and the base size of --check; default 48")
    arguments = parser.parse_args()
    if not (arguments.measure or arguments.check or arguments.simulate):
        parser.error("give --measure, --check or --simulate")
    if arguments.simulate:
        print("\n".join(tables(MEASURED)))
    if not (arguments.measure or arguments.check):
        return
    torch.set_num_threads(1)
    print(machine("torch", "numpy", "opencv-python"), file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.measure:
            print(measure(Path(folder), arguments.images))
        if arguments.check:
            check(Path(folder), arguments.images)


if __name__ == "__main__":
    main()
