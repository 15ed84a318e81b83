"""Run lengths against what people otherwise use: `python benchmarks/bench_rle.py`.

512x512 masks of rotated rectangles, as of buildings seen from above. Every result is compared before it counts. All
decoders end in a C-contiguous (H, W) array, which is what every later step needs, and all work begins and ends with
text, as it stands in a submission. pycocotools and rlemasklib are measured where they are installed.
"""

import argparse
import csv
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy import ndimage

from maskfold.rle import RLEDialect, ops, rle_decode, rle_encode
from timing import Stopwatches, interleave, machine, print_row, print_rows
from usual import Peers, peers, usual_decode, usual_encode

SIZE = 512
SHAPE = (SIZE, SIZE)
RUNS = (90, 300, 520, 1000, 1700)
DIFFERENT = 40  # masks of one kind, which take turns
BLOCK = 20  # calls of one way before the next way's turn
LEAST = 120  # pixels
DIALECT = RLEDialect()


def buildings(runs: int, seed: int = 0) -> np.ndarray:
    """A uint8 0/1 mask (512, 512) of rotated rectangles with about `runs` runs."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, np.uint8)
    longest = min(50, runs / 4)
    while len(rle_encode(mask).split()) // 2 < runs:
        centre, sides = rng.uniform(0, SIZE, 2), rng.uniform(8, longest, 2)
        corners = cv2.boxPoints((centre, sides, rng.uniform(0, 90)))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    return mask


def scene(rng: np.random.Generator) -> list[str]:
    """Five versions of one image's mask, as five networks draw it: moved a little, with specks of their own."""
    mask = np.zeros(SHAPE, np.uint8)
    for _ in range(rng.integers(2, 40)):
        centre, sides = rng.uniform(0, SIZE, 2), rng.uniform(8, 50, 2)
        cv2.fillPoly(mask, [cv2.boxPoints((centre, sides, rng.uniform(0, 90))).astype(np.int32)], 1)
    versions = []
    for _ in range(5):
        own = np.roll(mask, rng.integers(-3, 4, 2), (0, 1))
        for row, column in rng.integers(0, SIZE - 12, (6, 2)):
            own[row : row + 6, column : column + 9] ^= 1
        versions.append(rle_encode(own))
    return versions


def codec(repeats: int, other: Peers | None) -> None:
    """Decoding and encoding of masks with few and many runs."""
    print(f"\nText to mask and back, {SIZE}x{SIZE}, median of {BLOCK * repeats} calls in turn, microseconds\n")
    print_row("what", "maskfold", "theirs", "ratio", "limit", head=True)
    ours = {"decode": lambda text: rle_decode(text, SHAPE), "encode": rle_encode}
    ways: dict[str, tuple[Callable, float]] = {
        "decode: usual": (lambda text: usual_decode(text, SHAPE), 12),
        "encode: usual": (usual_encode, 8),
    }
    if other is not None:
        ways["decode: pycocotools"] = (lambda text: other.coco_decode(text, SHAPE), 8)
        ways["encode: pycocotools"] = (other.coco_encode, 5)
    calls = ours | {name: call for name, (call, _) in ways.items()}
    for runs in RUNS:
        masks = [buildings(runs, seed) for seed in range(DIFFERENT)]
        texts = [usual_encode(mask) for mask in masks]
        for name, call in calls.items():
            for mask, text in zip(masks, texts, strict=True):
                same(*((call(text), mask) if name.startswith("decode") else (call(mask), text)), name)
        turns = {name: _in_turn(call, texts if name.startswith("decode") else masks) for name, call in calls.items()}
        seconds = interleave(turns, repeats, BLOCK)
        count = np.mean([len(text.split()) // 2 for text in texts])
        rows = [
            (f"{count:.0f} runs, {name}", seconds[name.partition(":")[0]], seconds[name], limit)
            for name, (_, limit) in ways.items()
        ]
        print_rows(rows, scale=1e6)


def _in_turn(call: Callable, inputs: list) -> Callable[[], object]:
    """Another input in every call: with the same one a processor soon predicts all branches."""
    turns = itertools.cycle(inputs)
    return lambda: call(next(turns))


def compressed(repeats: int, other: Peers | None) -> None:
    """COCO's compressed strings, read."""
    from maskfold.rle.coco import counts_of_string

    if other is None:
        return
    print("\nCOCO's compressed string to mask, microseconds\n")
    print_row("what", "maskfold", "pycocotools", "ratio", "limit", head=True)
    dialect = RLEDialect("counts", start=0)
    ways: dict[str, Callable] = {
        "ours": lambda packed: dialect.decode(counts_of_string(packed["counts"].decode()), SHAPE),
        "theirs": lambda packed: np.ascontiguousarray(other.coco.decode(packed)),
    }
    for runs in RUNS[::2]:
        masks = [buildings(runs, seed) for seed in range(DIFFERENT)]
        strings = [other.coco.encode(np.asfortranarray(mask)) for mask in masks]
        for name, call in ways.items():
            for mask, packed in zip(masks, strings, strict=True):
                same(call(packed), mask, name)
        seconds = interleave({name: _in_turn(call, strings) for name, call in ways.items()}, repeats, BLOCK)
        print_rows([(f"{runs} runs", seconds["ours"], seconds["theirs"], None)], scale=1e6)


def sets(count: int, other: Peers | None) -> None:
    """Vote of five, Dice and minimum area of many masks, from text to text, in turn."""
    print(f"\nFrom text to text, {count} masks, {SIZE}x{SIZE}; microseconds a mask\n")
    print_row("what", "maskfold", "theirs", "ratio", "limit", head=True)
    watches: dict[str, Stopwatches] = {name: Stopwatches() for name in TASKS}
    rng = np.random.default_rng(0)
    for start in range(0, count, BLOCK):
        scenes = [scene(rng) for _ in range(min(BLOCK, count - start))]
        for name, ways in TASKS.items():
            results = [
                watches[name].call(way, _each, call, scenes, other)
                for way, call in ways.items()
                if other is not None or way != "rlemasklib"
            ]
            for result in results[1:]:
                same(result, results[0], name)
    for name, watch in watches.items():
        mine = watch.seconds.pop("maskfold")
        for way, seconds in watch.seconds.items():
            limit = 20 if way == "numpy" else None
            print_rows([(f"{name}: {way}", mine / count, seconds / count, limit)], scale=1e6)


def _each(call: Callable, scenes: list[list[str]], other: Peers | None) -> list:
    return [call(texts, other) for texts in scenes]


def _drawn(texts: list[str]) -> list[np.ndarray]:
    return [usual_decode(text, SHAPE) for text in texts]


def _vote(texts: list[str], other: Peers | None) -> str:
    return DIALECT.text(ops.vote([DIALECT.runs(text, SHAPE) for text in texts]))


def _usual_vote(texts: list[str], other: Peers | None) -> str:
    return usual_encode((np.sum(_drawn(texts), axis=0) > len(texts) / 2).astype(np.uint8))


def _their_vote(texts: list[str], other: Peers) -> str:
    return other.text(other.masks.merge_count([other.runs(text, SHAPE) for text in texts], len(texts) // 2 + 1))


def _dice(texts: list[str], other: Peers | None) -> float:
    return ops.dice(*(DIALECT.runs(text, SHAPE) for text in texts[:2]))


def _usual_dice(texts: list[str], other: Peers | None) -> float:
    a, b = _drawn(texts[:2])
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a * b).sum()) / total if total else 1.0


def _their_dice(texts: list[str], other: Peers) -> float:
    a, b = (other.runs(text, SHAPE) for text in texts[:2])
    total = a.area() + b.area()
    return 2 * (a & b).area() / total if total else 1.0


def _large(texts: list[str], other: Peers | None) -> str:
    return DIALECT.text(ops.remove_small(DIALECT.runs(texts[0], SHAPE), LEAST))


def _usual_large(texts: list[str], other: Peers | None) -> str:
    labels, count = ndimage.label(_drawn(texts[:1])[0], np.ones((3, 3)))
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= LEAST
    keep[0] = False
    return usual_encode(keep[labels].astype(np.uint8))


def _their_large(texts: list[str], other: Peers) -> str:
    return other.text(other.runs(texts[0], SHAPE).remove_small_components(min_size=LEAST, connectivity=8))


TASKS: dict[str, dict[str, Callable]] = {
    "vote of 5": {"maskfold": _vote, "numpy": _usual_vote, "rlemasklib": _their_vote},
    "Dice": {"maskfold": _dice, "numpy": _usual_dice, "rlemasklib": _their_dice},
    "minimum area": {"maskfold": _large, "numpy": _usual_large, "rlemasklib": _their_large},
}


def table(megabytes: float) -> None:
    """A whole CSV: read it and decode every mask; encode every mask and write it."""
    print(f"\nA CSV of {megabytes:g} MB, seconds\n")
    print_row("what", "maskfold", "usual", "ratio", "limit", head=True)
    with tempfile.TemporaryDirectory() as folder:
        path, written = Path(folder) / "masks.csv", Path(folder) / "written.csv"
        texts = _fill(path, megabytes)
        watch, drawn = Stopwatches(warm=False), Stopwatches(warm=False)
        ways = (("ours", rle_decode, rle_encode), ("usual", usual_decode, usual_encode))
        sums = [watch.call(name, _read, path, decode) for name, decode, _ in ways]
        same(sums[0], sums[1], "reading")
        print_rows([(f"read and decode {len(texts)} masks", watch.seconds["ours"], watch.seconds["usual"], None)])
        watch = Stopwatches(warm=False)
        for name, _, encode in ways:
            watch.call(name, _write, written, texts, encode)
            same(written.read_bytes(), path.read_bytes(), "writing")
        drawn.call("masks", lambda: sum(1 for _ in _masks(texts)))  # what it takes to have them
        rest = {name: seconds - drawn.seconds["masks"] for name, seconds in watch.seconds.items()}
        print_rows([(f"encode and write {len(texts)} masks", rest["ours"], rest["usual"], None)])


def _fill(path: Path, megabytes: float) -> list[str]:
    rng, texts, size = np.random.default_rng(1), [], 0
    while size < megabytes * 1e6:
        texts.append(scene(rng)[0])
        size += len(texts[-1]) + 20
    pd.DataFrame({"id": [f"{k:07}.jpg" for k in range(len(texts))], "rle": texts}).to_csv(path, index=False)
    return texts


def _read(path: Path, decode: Callable[[str, tuple[int, int]], np.ndarray]) -> int:
    return sum(int(decode(text, SHAPE)[::7, ::3].sum()) for text in pd.read_csv(path, keep_default_na=False)["rle"])


def _masks(texts: list[str]) -> Iterator[np.ndarray]:
    return (rle_decode(text, SHAPE) for text in texts)


def _write(path: Path, texts: list[str], encode: Callable[[np.ndarray], str]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", "rle"])
        writer.writerows([f"{k:07}.jpg", encode(mask)] for k, mask in enumerate(_masks(texts)))


def same(result: object, expected: object, what: str) -> None:
    """Stop where two ways do not give the same."""
    equal = np.array_equal(result, expected) if isinstance(expected, np.ndarray) else result == expected
    if not equal:
        raise SystemExit(f"{what}: the results differ")


def main() -> None:
    """Print a table for each kind of work."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15, help=f"rounds of {BLOCK} calls of the codec (default 15)")
    parser.add_argument("--masks", type=int, default=400, help="masks of vote, Dice and minimum area (default 400)")
    parser.add_argument("--csv-mb", type=float, default=5, help="size of the CSV in megabytes (default 5)")
    arguments = parser.parse_args()
    print(machine("numpy", "scipy", "numba", "opencv-python"))
    other = peers()
    codec(arguments.repeats, other)
    compressed(arguments.repeats, other)
    sets(arguments.masks, other)
    table(arguments.csv_mb)


if __name__ == "__main__":
    main()
