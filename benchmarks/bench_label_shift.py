"""The detector of label shift on the demo: an offset that was planted, and none, found by networks that were trained.

    python benchmarks/bench_label_shift.py [--networks 1] [--sets 20] [--epochs 8]

For each of ``--networks`` seeds a demo is drawn, and drawn once more with all training images moved by half a pixel up
and to the left, so that masks stand (0.5, 0.5) pixels down and right of what they show. Folds 0 and 1 of both are
trained as in ``configs/demo.yaml``, and measured on their own out-of-fold maps. Then the same networks look at
``--sets`` demos of other seeds, moved likewise, each a trial of its own: an offset that is not recovered within 0.1
pixels, or one that is found where none is, is counted. Intervals are over scenes, as for out-of-fold maps.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import cv2
import numpy as np

import maskfold
from maskfold.competitions import Competition, open_competition
from maskfold.config import CompetitionConfig, override
from maskfold.demo import make_demo
from maskfold.ensembling.oof import groups_of
from maskfold.ensembling.submit import default_choice, predict_samples
from maskfold.runs import Run
from maskfold.scoring.label_shift import LabelShift, agreement, label_shift_oof, register
from timing import machine, print_row

PLANTED = (0.5, 0.5)
NEAR = 0.1  # pixels


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=1, help="pairs of networks for each of both (default 1)")
    parser.add_argument("--sets", type=int, default=20, help="sets of images that each looks at (default 20)")
    parser.add_argument("--tiles", type=int, default=60, help="tiles of a set (default 60)")
    parser.add_argument("--epochs", type=int, default=8, help="of each training (default 8)")
    options = parser.parse_args()
    print(machine("torch", "opencv-python"))
    print_row("planted", "network", "images", "down", "right", "an offset is said", "rightly", head=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for planted in (PLANTED, (0.0, 0.0)):
            for seed in range(options.networks):
                rows += trials(planted, seed, options)
        os.chdir("/")
    for planted, what in ((PLANTED, "recovered within 0.1 pixels"), ((0.0, 0.0), "without a false alarm")):
        of_these = [row for row in rows if row[0] == str(planted)]
        print(f"planted {planted}: {sum(row[-1] == 'yes' for row in of_these)} of {len(of_these)} {what}")


def trials(planted: tuple[float, float], seed: int, options: argparse.Namespace) -> list[list[str]]:
    """Train a network, and measure on its out-of-fold maps and on other sets; a row for each."""
    name = f"{'planted' if any(planted) else 'plain'}_{seed}"
    run = trained(demo(name, seed, planted, 160), name, options.epochs)
    found = label_shift_oof(default_choice([run]), run.competition())
    assert found is not None  # two folds have scenes enough
    rows = [row(planted, name, "out of fold", found)]
    print_row(*rows[0])
    for number in range(options.sets):
        place = demo(f"{name}_set_{number}", 1000 * (seed + 1) + number, planted, options.tiles)
        rows.append(row(planted, name, f"set {number}", measured(run, competition_of(place))))
        print_row(*rows[-1])
    return rows


def demo(name: str, seed: int, planted: Sequence[float], tiles: int) -> Path:
    """Demo data whose training images were moved by the opposite of ``planted``."""
    place = Path("data", name)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        make_demo(place, seed=seed, train_tiles=tiles, test_tiles=1)
    if any(planted):
        matrix = np.array([[1, 0, -planted[1]], [0, 1, -planted[0]]], np.float32)
        for path in sorted((place / "train").iterdir()):
            image = cv2.imread(str(path))
            moved = cv2.warpAffine(
                image, matrix, image.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            cv2.imwrite(str(path), moved, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return place


def trained(place: Path, name: str, epochs: int) -> Run:
    """Folds 0 and 1 of the demo's config on this data."""
    keys = {"competition.root": str(place), "train.epochs": epochs, "data.workers": 0, "train.trackers": []}
    config = override(maskfold.load_config("demo"), {**keys, "name": name, "tta.views": "flips"})
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        return maskfold.train(config, [0, 1])


def competition_of(place: Path) -> Competition:
    """The demo in this folder."""
    return open_competition(CompetitionConfig(profile="tianchi-buildings", root=place))


def measured(run: Run, competition: Competition) -> LabelShift:
    """What `maskfold.scoring.label_shift` measures of a network's maps of images that it never saw."""
    samples, ids, surfaces = competition.samples("train"), [], []
    choice = default_choice([run])
    for prediction in predict_samples(choice, competition, samples, [0, 1], batch_size=8, runs=[run]):
        label = competition.scored_label(samples.by_id[prediction.id])
        ids.append(prediction.id)
        surfaces.append(agreement(prediction.probability, label, competition.labels))
    found = register(np.array(surfaces), groups=groups_of(competition, ids, run.config.folds))
    assert found is not None  # most tiles have edges
    shift, low, high = ((float(down), float(right)) for down, right in found)
    return LabelShift(shift, low, high, len(surfaces))


def row(planted: tuple[float, float], name: str, images: str, found: LabelShift) -> list[str]:
    """Figures, and whether they are right."""
    near = max(abs(a - b) for a, b in zip(found.shift, planted, strict=True)) <= NEAR
    right = near and found.found if any(planted) else not found.found
    figures = [f"{value:+.3f}" for value in found.shift]
    return [str(planted), name, images, *figures, "yes" if found.found else "no", "yes" if right else "no"]


if __name__ == "__main__":
    main()
