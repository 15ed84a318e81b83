"""Mark the masks of a competition by drawn annotators, into a copy: for studies of labels that are not certain.

    python benchmarks/annotate.py FOLDER COPY [--annotators 3] [--pixels-per-metre 3]

FOLDER holds the files of Tianchi 531872, or the like. The copy has train_mask_1.csv and so on beside train_mask.csv, a
table for each annotator: they shift buildings, round corners, forget small ones, join neighbours
(`maskfold.demo.annotators`). The same folder gives the same copy.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from maskfold.competitions.find import open_competition
from maskfold.config import CompetitionConfig
from maskfold.demo.annotators import HABITS, annotate
from maskfold.metrics import dice_score
from maskfold.progress import progress
from maskfold.rle import rle_encode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("copy", type=Path, metavar="COPY", help="folder to write; must not exist")
    parser.add_argument("--annotators", type=int, default=3, help="number from 1 to 4; default 3")
    parser.add_argument("--pixels-per-metre", type=float, default=3.0, help="size of the habits; default 3")
    arguments = parser.parse_args()
    if arguments.copy.exists():
        parser.error(f"{arguments.copy} exists: choose another folder, or remove it")
    habits = HABITS[: arguments.annotators]
    shutil.copytree(arguments.folder, arguments.copy)
    scores = mark(arguments.copy, habits, arguments.pixels_per_metre)
    for number, (habit, score) in enumerate(zip(habits, scores, strict=True), start=1):
        print(f"train_mask_{number}.csv: {habit}; mean Dice with train_mask.csv {score:.3f}")


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
