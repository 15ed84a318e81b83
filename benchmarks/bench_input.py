"""Images and run lengths to batches: ours beside the dataset that one writes first.

    python benchmarks/bench_input.py [--images N] [--epochs N] [--workers 0 2] [--cache memory]

The usual dataset reads the image, decodes its run lengths at each access, augments with the same albumentations, and
normalises and converts to a float tensor; ours gives integers, which the network normalises on its device. Counted are
images per second of processor time, of the main process and its data workers together: so many a core makes. Both take
turns epoch by epoch; the first epoch and the median of the later ones are shown. Files are in the system's page cache.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import torch
from albumentations.pytorch import ToTensorV2
from torch.utils.data import DataLoader, Dataset

from maskfold.competitions import Competition, open_competition
from maskfold.competitions.images import COLOUR
from maskfold.config import CompetitionConfig, Config
from maskfold.datasets import EpochSampler, ImageCache, TrainDataset, build_augmentation, train_loader
from maskfold.demo import make_demo
from maskfold.files import cache_folder
from maskfold.rle import rle_encode
from timing import interleave, machine, print_row, print_rows, spent
from usual import usual_decode

BATCH = 16
FIRST, LATER = 1.5, 3.0  # limits


@dataclass(frozen=True)
class Kind:
    """What images are like, and what is made of them."""

    name: str
    size: tuple[int, int]  # (H, W)
    suffix: str
    scale: float
    crop: int


KINDS = (
    Kind("tiles of 512", (512, 512), ".jpg", 1.0, 512),
    Kind("tiles of 512, crops of 256", (512, 512), ".jpg", 1.0, 256),
    Kind("tiles of 512 at half size", (512, 512), ".jpg", 0.5, 256),
    Kind("salt of 101, padded to 128", (101, 101), ".png", 1.0, 128),
    Kind("steel of 256x1600, crops of 256", (256, 1600), ".jpg", 1.0, 256),
)


class Usual(Dataset):
    """Everything at each access, in the worker, in floats."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        table = pd.read_csv(folder / "train_mask.csv", sep="\t", names=["name", "mask"], keep_default_na=False)
        self.folder, self.rows, self.kind = folder / "train", table.to_numpy().tolist(), kind
        height, width = (round(side * kind.scale) for side in kind.size)
        resize = [] if kind.scale == 1 else [A.Resize(height, width, area_for_downscale="image")]
        self.transforms = A.Compose(
            [
                *resize,
                A.PadIfNeeded(kind.crop, kind.crop, border_mode=cv2.BORDER_REFLECT_101),
                A.RandomCrop(kind.crop, kind.crop),
                A.D4(p=1.0),
                A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5),
                A.RandomGamma(gamma_limit=(80, 125), p=0.3),
                A.HueSaturationValue(hue_shift_limit=10, sat_shift_limit=25, val_shift_limit=15, p=0.5),
                A.Normalize(),
                ToTensorV2(),
            ]
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        name, rle = self.rows[index]
        image = cv2.cvtColor(cv2.imread(str(self.folder / name)), cv2.COLOR_BGR2RGB)
        made = self.transforms(image=image, mask=usual_decode(rle, image.shape[:2]))
        return made["image"], made["mask"][None].float()


def draw(folder: Path, images: int) -> dict[tuple[int, int], Path]:
    """A competition's folder for each size of image, all cut from the same drawn tiles: 25 of 101 pixels from each."""
    make_demo(folder / "tiles", train_tiles=images, test_tiles=1, tile=512)
    places = {(512, 512): folder / "tiles"}
    tiles = Usual(folder / "tiles", KINDS[0])
    for kind in KINDS:
        if kind.size in places:
            continue
        place = places[kind.size] = folder / "x".join(map(str, kind.size))
        (place / "train").mkdir(parents=True)
        (place / "test_a").mkdir()
        lines = []
        height, width = kind.size
        for number, (name, rle) in enumerate(tiles.rows):
            image, mask = cv2.imread(str(tiles.folder / name)), usual_decode(rle, (512, 512))
            wide = -(-width // 512)
            image, mask = np.tile(image, (1, wide, 1)), np.tile(mask, (1, wide))
            for top in range(0, 512 - height + 1, height):
                for left in range(0, image.shape[1] - width + 1, width):
                    cell = np.s_[top : top + height, left : left + width]
                    own = f"{number:05}_{top}_{left}{kind.suffix}"
                    cv2.imwrite(str(place / "train" / own), image[cell])
                    lines.append(f"{own}\t{rle_encode(np.ascontiguousarray(mask[cell]))}\n")
        (place / "train_mask.csv").write_text("".join(lines))
        (place / "test_a_samplesubmit.csv").write_text(lines[0])
        cv2.imwrite(str(place / "test_a" / lines[0].split("\t")[0]), np.zeros((*kind.size, 3), np.uint8))
    return places


def ours(competition: Competition, kind: Kind, workers: int, cache: str) -> tuple[DataLoader, EpochSampler]:
    """Our loader, as training makes it."""
    samples = competition.samples("train")
    config = Config.model_validate({"data": {"scale": kind.scale, "crop": kind.crop, "augment": "d4_color"}})
    augment = build_augmentation(config.data.augment, crop=kind.crop, images=competition.images)
    sampler = EpochSampler(len(samples), batch_size=BATCH, seed=0)
    places = {"none": None, "memory": None, "disk": cache_folder()}
    kept = (
        None
        if cache == "none"
        else ImageCache(competition, samples, scale=kind.scale, limit=2**32, folder=places[cache])
    )
    dataset = TrainDataset(competition, samples, augment=augment, scale=kind.scale, cache=kept)
    return train_loader(dataset, sampler, workers), sampler


def usual(folder: Path, kind: Kind, workers: int) -> DataLoader:
    """The usual loader."""
    return DataLoader(
        Usual(folder, kind),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=lambda _: cv2.setNumThreads(0),
    )


def decoding(folder: Path, repeats: int) -> None:
    """Ways to the pixels of a jpg, and what decoding at half the size would change."""
    files = [np.frombuffer(path.read_bytes(), np.uint8) for path in sorted((folder / "train").iterdir())[:BATCH]]

    def half(data: np.ndarray) -> np.ndarray:
        whole = cv2.imdecode(data, COLOUR)
        return cv2.resize(whole, (whole.shape[1] // 2, whole.shape[0] // 2), interpolation=cv2.INTER_AREA)

    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "blue, green, red, and turned": lambda data: cv2.cvtColor(
            cv2.imdecode(data, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGR2RGB
        ),
        "red, green, blue at once (ours)": lambda data: cv2.imdecode(data, COLOUR),
        "ours, halved by area": half,
        "decoded at half the size": lambda data: cv2.cvtColor(
            cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_2), cv2.COLOR_BGR2RGB
        ),
    }
    first, second, area, reduced = ([way(data) for data in files] for way in ways.values())
    if not all(map(np.array_equal, first, second)):
        raise SystemExit("the two decoders differ")
    calls = {name: lambda way=way: [way(data) for data in files] for name, way in ways.items()}
    print_row("a tile of 512 as jpg", "milliseconds", head=True)
    for name, seconds in interleave(calls, repeats, clock=time.process_time).items():
        print_row(name, f"{seconds / len(files) * 1e3:.3f}")
    apart = np.abs(np.int16(area) - np.int16(reduced))
    print(f"at half the size the values differ by {apart.mean():.2f} on average, by {apart.max()} at most\n")


def epoch(loader: Iterable) -> float:
    """Images per processor second of one pass."""
    images = 0

    def whole() -> None:
        nonlocal images
        for batch in loader:
            images += len(batch["image"] if isinstance(batch, dict) else batch[0])

    seconds = spent(whole)
    return images / seconds


def measure(folder: Path, kind: Kind, workers: int, epochs: int, cache: str) -> None:
    """A row for the first epoch and one for the later ones."""
    competition = open_competition(CompetitionConfig(profile="tianchi-buildings", root=folder))
    for loader in (ours(competition, kind, 0, "none")[0], usual(folder, kind, 0)):
        next(iter(loader))  # what is compiled and loaded at the first call
    mine, sampler = ours(competition, kind, workers, cache)
    theirs = usual(folder, kind, workers)
    rates: list[tuple[float, float]] = []
    for number in range(epochs):
        sampler.epoch = number
        rates.append((epoch(mine), epoch(theirs)))
    later = [statistics.median(column) for column in zip(*rates[1:], strict=True)]
    what = f"{kind.name}, {workers} workers"
    for when, (own, their), limit in (("first epoch", rates[0], FIRST), ("later epochs", later, LATER)):
        # print_rows takes seconds: those of an image.
        print_rows([(f"{what}, {when}", 1 / own, 1 / their, limit)], scale=1e3)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=96, help="drawn tiles of 512 pixels (default 96)")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each loader (default 4)")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="data workers (default 0 and 2)")
    parser.add_argument("--cache", default="memory", help="data.cache of ours (default memory)")
    arguments = parser.parse_args()
    print(machine("albumentations", "opencv-python", "torch"))
    print(f"{arguments.images} tiles, cache {arguments.cache}; milliseconds of processor time an image\n")
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        places = draw(Path(folder), arguments.images)
        decoding(places[512, 512], arguments.epochs)
        print_row("what", "maskfold", "usual", "ratio", "limit", head=True)
        for kind in KINDS:
            for workers in arguments.workers:
                measure(places[kind.size], kind, workers, arguments.epochs, arguments.cache)


if __name__ == "__main__":
    main()
