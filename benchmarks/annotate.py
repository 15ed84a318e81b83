"""Mark the masks of a competition by drawn annotators, into a copy: for studies of labels that are not certain.

    python benchmarks/annotate.py FOLDER COPY [--annotators 3] [--pixels-per-metre 3] [--scale 1]

FOLDER holds the files of Tianchi 531872, or the like. The copy has train_mask_1.csv and so on beside train_mask.csv, a
table for each annotator: they shift buildings, round corners, forget small ones, join neighbours
(`maskfold.demo.annotators`). The same folder gives the same copy; with --scale its images and masks are resized, and a
study reads them faster.
"""

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np

from maskfold.competitions.find import open_competition
from maskfold.config import CompetitionConfig
from maskfold.demo.annotators import HABITS, annotate
from maskfold.metrics import dice_score
from maskfold.progress import progress
from maskfold.resizing import fit_image, fit_label, scaled_size
from maskfold.rle import rle_encode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("copy", type=Path, metavar="COPY", help="folder to write; must not exist")
    parser.add_argument("--annotators", type=int, default=3, help="number from 1 to 4; default 3")
    parser.add_argument("--pixels-per-metre", type=float, default=3.0, help="size of the habits; default 3")
    parser.add_argument("--scale", type=float, default=1.0, help="of the copy's images and masks; default 1")
    arguments = parser.parse_args()
    if arguments.copy.exists():
        parser.error(f"{arguments.copy} exists: choose another folder, or remove it")
    habits = HABITS[: arguments.annotators]
    shutil.copytree(arguments.folder, arguments.copy)
    for path in [arguments.copy, *arguments.copy.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)  # what it was copied from may be protected
    if arguments.scale != 1:
        resize(arguments.copy, arguments.scale)
    scores = mark(arguments.copy, habits, arguments.pixels_per_metre * arguments.scale)
    for number, (habit, score) in enumerate(zip(habits, scores, strict=True), start=1):
        print(f"train_mask_{number}.csv: {habit}; mean Dice with train_mask.csv {score:.3f}")


def resize(folder: Path, scale: float) -> None:
    """Write all images and the table of masks again, resized; jpg with quality 85."""
    competition = open_competition(CompetitionConfig(root=folder))
    train, test = competition.samples("train"), competition.samples("test")
    lines = []
    for sample in progress([*train, *test], "resize", total=len(train) + len(test)):
        image = competition.image(sample.image)
        height, width = scaled_size(image.shape[:2], scale)
        if sample.masks is not None:
            label = competition.label(sample.masks, image.shape[:2])
            lines.append(f"{sample.id}\t{rle_encode(fit_label(label, (height, width), competition.labels).values)}\n")
        small = np.ascontiguousarray(fit_image(image, (height, width))[..., ::-1])
        path = folder / str(sample.image)
        path.write_bytes(cv2.imencode(path.suffix, small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    (folder / "train_mask.csv").write_text("".join(lines), encoding="utf-8")


def mark(folder: Path, habits, pixels_per_metre: float) -> list[float]:
    """Write a table for each annotator; their mean Dice with the masks that are there."""
    competition = open_competition(CompetitionConfig(root=folder))
    samples = competition.samples("train")
    rows, scores = [[] for _ in habits], [[] for _ in habits]
    for place, sample in enumerate(progress(samples, "annotators", total=len(samples))):
        mask = competition.label(sample.masks, competition.mask_size(sample)).values.astype(np.uint8)
        for number, habit in enumerate(habits):
            drawn = annotate(np.random.default_rng([place, number]), mask, habit, pixels_per_metre)
            rows[number].append(f"{sample.id}\t{rle_encode(drawn)}\n")
            scores[number].append(dice_score(drawn, mask))
    for number, lines in enumerate(rows, start=1):
        (folder / f"train_mask_{number}.csv").write_text("".join(lines), encoding="utf-8")
    return [float(np.mean(found)) for found in scores]


if __name__ == "__main__":
    main()
