"""Peak memory of training, tuning and prediction for 1, 5 and 25 times the images.

    python benchmarks/bench_memory.py [--images 200 1000 5000]

Drawn tiles of 64 pixels and a tiny network, so that it is what is kept of each image that counts. Half of the training
tiles are validated. Every number is of a process of its own that has done nothing else; data workers do not count.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import maskfold
from maskfold.demo import make_demo
from maskfold.runs import Run
from maskfold.training import fit
from maskfold.training.memory import peak_memory
from timing import machine, print_row, processor_seconds

CONFIG = {
    "competition.profile": "tianchi-buildings",
    "competition.root": "data",
    "model.encoder": "mobilenet_v2",
    "model.encoder_weights": None,
    "model.options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
    "data.crop": 64,
    "data.workers": 1,
    "folds.kind": "kfold",
    "folds.count": 2,
    "train.batch_size": 16,
    "train.epochs": 1,
    "train.trackers": [],
    "tta.views": "none",
    "averaging.ema": None,
}
LIMIT = 1.05


def train() -> None:
    """One fold, from its first step to its out-of-fold maps."""
    run = Run.create(maskfold.load_config(None, CONFIG, name="memory"), Path("runs"))
    fit(run, 0)


def tune() -> None:
    """What `train` has left."""
    maskfold.tune(Run.open(Path("runs/memory")))


def predict() -> None:
    """All test tiles."""
    maskfold.predict(Run.open(Path("runs/memory")), Path("submission.csv"))


STEPS = {"train": train, "tune": tune, "predict": predict}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[200, 1000, 5000], help="default 200 1000 5000")
    parser.add_argument("--case", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        started = processor_seconds()
        STEPS[options.case]()
        print(json.dumps({"seconds": processor_seconds() - started, "peak": peak_memory()}))
        return
    print(f"{machine('torch')}\n\nMiB at most, and of the first row (limit {LIMIT:g}); seconds of processor time\n")
    titles = (title for name in STEPS for title in (name, "of the first", "s"))
    print_row("images", *titles, head=True)
    first: dict[str, float] = {}
    for images in options.images:
        with tempfile.TemporaryDirectory() as folder:
            make_demo(Path(folder) / "data", train_tiles=images, test_tiles=images, tile=64)
            cells = [cell for name in STEPS for cell in _cells(name, Path(folder), first)]
        print_row(f"{images}", *cells)


def _cells(name: str, folder: Path, first: dict[str, float]) -> tuple[str, str, str]:
    words = [sys.executable, str(Path(__file__).resolve()), "--case", name]
    done = subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    ratio = found["peak"] / first.setdefault(name, found["peak"])
    return f"{found['peak'] / 2**20:.0f}", f"{ratio:.3f}", f"{found['seconds']:.1f}"


if __name__ == "__main__":
    main()
