"""The fully connected CRF: time for an image of 512 x 512 pixels, and what the lattice is off by.

python benchmarks/bench_crf.py                  # tiles of the demo, drawn anew at 512 pixels a side
python benchmarks/bench_crf.py --images a.jpg   # photographs as well

Times are of the whole step (kernels, mean field) on two CPU threads, as seconds / limit. Errors are of pieces of
64 x 64 pixels, filtered on the lattice against the sum over all pairs, after all steps: the mean and the 99th
percentile of the probability, and the share of pixels that are decided otherwise at 0.5.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from maskfold.config import CRFConfig
from maskfold.demo import make_demo
from maskfold.inference.decoding import crf
from maskfold.labels import LabelSpec
from timing import interleave, machine

SIZE, PIECE, LIMIT = 512, 64, 2.0
SETTINGS = {
    "default, 5 steps": CRFConfig(),
    "default, 10 steps": CRFConfig(steps=10),
    "theta 30 and 3, 10 steps": CRFConfig(theta_alpha=30, theta_beta=3, steps=10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="photographs to measure as well")
    parser.add_argument("--repeats", type=int, default=7, help="rounds, of which the median is told (7)")
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(machine("torch", "numpy"))
    images = {**demo_images(), **{path.name: read(path) for path in options.images}}
    for name, image in images.items():
        print(f"\n{name}")
        probability = blobs(SIZE)
        calls = {what: partial(step(config), probability, image) for what, config in SETTINGS.items()}
        seconds = interleave(calls, options.repeats)
        for what, config in SETTINGS.items():
            mean, most, otherwise = errors(config, image)
            print(
                f"  {what:26} {seconds[what]:.2f} s / {LIMIT:g} s; error {mean:.4f} in the mean, {most:.3f} of 99 %, "
                f"{100 * otherwise:.1f} % decided otherwise"
            )


def step(config: CRFConfig) -> crf.CRF:
    return crf.CRF(**config.model_dump(), labels=LabelSpec("binary", ("building",)))


def demo_images() -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        make_demo(Path(folder) / "demo", train_tiles=2, test_tiles=1, tile=SIZE)
        tiles = sorted((Path(folder) / "demo/train").iterdir())
        return {f"demo tile {number}": read(path) for number, path in enumerate(tiles, start=1)}


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    return cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def blobs(size: int) -> np.ndarray:
    """A probability that knows nothing of the image, the hardest case: smooth blobs, float32 (1, H, W)."""
    noise = np.random.default_rng(0).random((size, size), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), size / 80)
    return (1 / (1 + np.exp(-3 * (smooth - smooth.mean()) / smooth.std())))[None].astype(np.float32)


def errors(config: CRFConfig, image: np.ndarray) -> np.ndarray:
    """Mean over four pieces along the image's diagonal."""
    probability, found = blobs(PIECE), []
    for corner in np.linspace(0, SIZE - PIECE, 4).astype(int):
        piece = image[corner : corner + PIECE, corner : corner + PIECE]
        exact = step(config)(probability, piece)
        crf.EXACT_PIXELS, kept = 0, crf.EXACT_PIXELS
        lattice = step(config)(probability, piece)
        crf.EXACT_PIXELS = kept
        off = np.abs(lattice - exact)
        found.append([off.mean(), np.quantile(off, 0.99), np.mean((lattice >= 0.5) != (exact >= 0.5))])
    return np.mean(found, axis=0)


if __name__ == "__main__":
    main()
