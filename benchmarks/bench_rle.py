"""The codec against the usual pair of numpy functions: `python benchmarks/bench_rle.py`.

512x512 masks of rotated rectangles, as of buildings seen from above; equal results are checked first.
Both decoders end in a C-contiguous (H, W) array, which is what every later step needs.
"""

import argparse

import cv2
import numpy as np

from maskfold.rle import RLEDialect, rle_decode, rle_encode
from timing import interleave, machine

SIZE = 512
RUNS = (90, 300, 520, 1000, 1700)


def usual_decode(rle: str, shape: tuple[int, int]) -> np.ndarray:
    """The decoder of Kaggle's tutorials, made contiguous."""
    s = rle.split()
    starts, lengths = (np.asarray(x, dtype=int) for x in (s[0:][::2], s[1:][::2]))
    starts -= 1
    ends = starts + lengths
    img = np.zeros(shape[0] * shape[1], dtype=np.uint8)
    for lo, hi in zip(starts, ends, strict=True):
        img[lo:hi] = 1
    return np.ascontiguousarray(img.reshape(shape[1], shape[0]).T)


def usual_encode(mask: np.ndarray) -> str:
    """The encoder of Kaggle's tutorials."""
    pixels = mask.T.flatten()
    pixels = np.concatenate([[0], pixels, [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return " ".join(str(x) for x in runs)


def buildings(runs: int, seed: int = 0) -> np.ndarray:
    """A uint8 0/1 mask (512, 512) of rotated rectangles with about `runs` runs."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    longest = min(50, runs / 4)
    while len(rle_encode(mask).split()) // 2 < runs:
        centre, sides = rng.uniform(0, SIZE, 2), rng.uniform(8, longest, 2)
        corners = cv2.boxPoints((centre, sides, rng.uniform(0, 90)))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    return mask


def check(mask: np.ndarray) -> str:
    """The mask's code, after all four functions agreed on it."""
    rle = usual_encode(mask)
    if rle_encode(mask) != rle:
        raise SystemExit("the encoders disagree")
    if not np.array_equal(rle_decode(rle, mask.shape), mask):
        raise SystemExit("rle_decode lost the mask")
    if not np.array_equal(usual_decode(rle, mask.shape), mask):
        raise SystemExit("the usual decoder lost the mask")
    return rle


def main() -> None:
    """Print one table row per mask: medians in microseconds and how many times faster."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=1000, help="rounds per mask (default 1000)")
    repeats = parser.parse_args().repeats
    dialect = RLEDialect()
    print(machine("numpy", "numba", "opencv-python"))
    print(f"{SIZE}x{SIZE}, median of {repeats} interleaved calls, microseconds\n")
    print("| runs | decode: usual | maskfold | ratio | encode: usual | maskfold | ratio | area |")
    print("| ---: " * 8 + "|")
    for runs in RUNS:
        mask = buildings(runs)
        rle = check(mask)
        candidates = {
            "usual decode": lambda rle=rle: usual_decode(rle, (SIZE, SIZE)),
            "decode": lambda rle=rle: rle_decode(rle, (SIZE, SIZE)),
            "usual encode": lambda mask=mask: usual_encode(mask),
            "encode": lambda mask=mask: rle_encode(mask),
            "area": lambda rle=rle: dialect.area(rle, (SIZE, SIZE)),
        }
        micro = {name: 1e6 * seconds for name, seconds in interleave(candidates, repeats).items()}
        print(
            f"| {len(rle.split()) // 2} "
            f"| {micro['usual decode']:.0f} | {micro['decode']:.1f} "
            f"| {micro['usual decode'] / micro['decode']:.1f} "
            f"| {micro['usual encode']:.0f} | {micro['encode']:.1f} "
            f"| {micro['usual encode'] / micro['encode']:.1f} | {micro['area']:.1f} |"
        )


if __name__ == "__main__":
    main()
