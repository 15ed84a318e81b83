"""A large table of run lengths, read and handed to data workers: `python benchmarks/bench_table.py`.

A CSV with a row for each instance, a million rows of about 90 bytes, four rows for each image. Two ways of holding it:
maskfold's `Samples`, and what notebooks do, a data frame and a dict from image to its strings in the dataset. What
reading takes; and what the table costs four workers of a `DataLoader` after an epoch in which every mask was decoded:
the sum of their USS (memory that no other process shares) above that of workers of a dataset that holds nothing. Every
case is a process of its own, and all must count the same pixels.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from torch.utils.data import DataLoader, Dataset

from maskfold.competitions import Competition
from maskfold.competitions.profile import CsvProfile
from maskfold.rle import RLEDialect
from timing import machine

SHAPE = (768, 768)
ROWS_EACH = 4
PROFILE = {
    "name": "large",
    "layout": "csv",
    "metric": "dice",
    "train": {"table": "train.csv", "image": "train/{id}"},
    "test": {"table": "sample_submission.csv", "image": "test/{id}"},
    "columns": {"id": "ImageId", "mask": "EncodedPixels"},
    "rows": "instance",
}
DIALECT = RLEDialect()


def write(root: Path, rows: int) -> None:
    """The competition's files; images are empty, since nobody looks into them."""
    rng = np.random.default_rng(0)
    (root / "train").mkdir(parents=True)
    with (root / "train.csv").open("w") as stream:
        stream.write("ImageId,EncodedPixels\n")
        for image in range(rows // ROWS_EACH):
            name = f"{image:06x}{image % 97:02x}.jpg"
            (root / "train" / name).touch()
            for _ in range(ROWS_EACH):
                begins = np.cumsum(rng.integers(1000, 3000, 9))
                runs = zip(begins, rng.integers(10, 99, 9), strict=True)
                stream.write(f"{name},{' '.join(f'{begin} {length}' for begin, length in runs)}\n")


class Texts(Dataset[int]):
    """Item: the pixels of an image's masks. `strings` gives the masks of the image ``index``."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        return sum(DIALECT.area(text, SHAPE) for text in self.strings(index))

    def strings(self, index: int) -> list[str] | tuple[str, ...]:
        """Nothing is held: each image has the same mask."""
        return ("1 2",)


class Usual(Texts):
    """A data frame, and a dict of strings."""

    def __init__(self, root: Path) -> None:
        self.frame = pd.read_csv(root / "train.csv").fillna("")
        self.masks = self.frame.groupby("ImageId")["EncodedPixels"].apply(list).to_dict()
        self.ids = list(self.masks)
        super().__init__(len(self.ids))

    def strings(self, index: int) -> list[str]:
        return self.masks[self.ids[index]]


class Packed(Texts):
    """`Competition.samples`, which also finds duplicates, unsafe names and missing images."""

    def __init__(self, root: Path) -> None:
        self.samples = Competition(CsvProfile(**PROFILE), root).samples("train")
        super().__init__(len(self.samples))

    def strings(self, index: int) -> tuple[str, ...]:
        return self.samples[index].masks


def case(root: Path, kind: str, method: str, workers: int) -> dict[str, float]:
    """One measurement, in this process."""
    began = time.perf_counter()
    images = len(list((root / "train").iterdir())) if kind == "empty" else 0
    dataset = {"empty": lambda: Texts(images), "usual": lambda: Usual(root), "maskfold": lambda: Packed(root)}[kind]()
    read = time.perf_counter() - began
    loader = DataLoader(
        dataset, batch_size=500, num_workers=workers, persistent_workers=True, multiprocessing_context=method
    )
    began = time.perf_counter()
    pixels = sum(int(batch.sum()) for batch in loader)
    epoch = time.perf_counter() - began
    held = [child.memory_full_info().uss for child in psutil.Process().children(recursive=True)]
    own = psutil.Process().memory_full_info().uss
    return {"read": read, "epoch": epoch, "pixels": pixels, "workers": sum(held) / 1e6, "own": own / 1e6}


def main() -> None:
    """Print one table row per way of starting workers and of holding the table."""
    parser = argparse.ArgumentParser(description="what a large table costs data workers")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table (default 1,000,000)")
    parser.add_argument("--workers", type=int, default=4, help="of the loader (default 4)")
    parser.add_argument("--case", nargs=3, metavar=("ROOT", "KIND", "METHOD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        root, kind, method = options.case
        print(json.dumps(case(Path(root), kind, method, options.workers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, options.rows)
        print(machine("numpy", "pandas", "torch"))
        print(f"{options.rows:,} rows, {(root / 'train.csv').stat().st_size / 1e6:.0f} MB, {options.workers} workers\n")
        print("| workers | table | read, s | epoch, s | all workers' USS, MB | above an empty dataset's |")
        print("| --- | --- | ---: | ---: | ---: | ---: |")
        for method in ("fork", "spawn"):
            _compare(root, method, options.workers)


def _compare(root: Path, method: str, workers: int) -> None:
    found = {}
    for kind in ("empty", "usual", "maskfold"):
        words = [sys.executable, __file__, "--workers", str(workers), "--case", str(root), kind, method]
        found[kind] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    if found["usual"]["pixels"] != found["maskfold"]["pixels"]:
        raise SystemExit("the two ways read different masks")
    for kind, row in found.items():
        more = row["workers"] - found["empty"]["workers"]
        print(
            f"| {method} | {kind} | {row['read']:.1f} | {row['epoch']:.1f} | {row['workers']:.0f} | {more:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
