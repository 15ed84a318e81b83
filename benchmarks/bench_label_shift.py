"""The detector of label shift on the demo: an offset that was planted, and none, found by networks that were trained.

    python benchmarks/bench_label_shift.py [--planted 0.5 0.5] [--sets 20] [--epochs 6]
    MASKFOLD_WEIGHTS=FOLDER python benchmarks/bench_label_shift.py --real data/satellite_buildings

A demo is drawn, and all its training images are moved by half a pixel up and to the left, so that masks stand
(0.5, 0.5) pixels down and right of what they show; with ``--planted 0 0`` they stand where they belong. Three folds are
trained as in ``configs/demo.yaml``, and measured on their own out-of-fold maps. Then the first network looks at
``--sets`` demos of other seeds, moved likewise, each a trial of its own: an offset that is not recovered within 0.1
pixels, or one that is found where none is, is counted. Intervals are over scenes, as for out-of-fold maps, of which six
are needed.

``--real`` takes the building tiles of ``configs/satellite_mobilenet.yaml`` instead, as they are and moved, and trains
three folds of both in small crops, from ImageNet weights in the folder that MASKFOLD_WEIGHTS names. Where their
masks really stand nobody knows: what has to be recovered is how far the second finding is from the first.
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

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

NEAR = 0.1  # pixels


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    planted = {"type": float, "nargs": 2, "default": (0.5, 0.5), "metavar": "PIXELS"}
    parser.add_argument("--planted", **planted, help="offset down and right (default 0.5 0.5)")
    parser.add_argument("--sets", type=int, default=20, help="sets of images that are looked at (default 20)")
    parser.add_argument("--tiles", type=int, default=112, help="tiles of a set (default 112, of 7 scenes)")
    parser.add_argument("--epochs", type=int, default=6, help="of each training (default 6)")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="building tiles to take instead of the demo")
    options = parser.parse_args()
    print(machine("torch", "opencv-python"))
    source = options.real and options.real.resolve()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        planted = tuple(options.planted)
        right = trials(planted, options) if source is None else [real_trial(source, planted, options.epochs)]
    print(f"planted {options.planted}: {sum(right)} of {len(right)} are right")


def trials(planted: tuple[float, float], options: argparse.Namespace) -> list[bool]:
    """Train networks, and measure on their out-of-fold maps and on other sets: which of them are right."""
    print_row("images", "down", "right", "an offset is said", "rightly", head=True)
    run = trained("demo", demo("own", 0, planted, 160), options.epochs, {})
    found = label_shift_oof(default_choice([run]), run.competition())
    assert found is not None  # three folds have scenes enough
    right = [told("out of fold", found, planted)]
    for number in range(options.sets):
        place = demo(f"set_{number}", 1 + number, planted, options.tiles)
        right.append(told(f"set {number}", measured(run, competition_of(place)), planted))
    return right


def real_trial(source: Path, planted: tuple[float, float], epochs: int) -> bool:
    """Whether an offset that is planted into real images is how far findings with and without it are apart."""
    print_row("images", "down", "right", "an offset is said", head=True)
    found = []
    for name, offset in (("as they are", (0.0, 0.0)), ("moved", planted)):
        place = Path("data", name.split()[0])
        shutil.copytree(source, place)
        move(place, offset)
        run = trained("satellite_mobilenet", place, epochs, {"data.crop": 128, "optim.encoder_lr_factor": 1.0})
        shift = label_shift_oof(default_choice([run]), run.competition())
        assert shift is not None  # three folds have groups enough
        print_row(name, *figures(shift))
        found.append(shift.shift)
    apart = [after - before for before, after in zip(*found, strict=True)]
    print(f"apart: {apart[0]:+.2f} down, {apart[1]:+.2f} right")
    return max(abs(value - offset) for value, offset in zip(apart, planted, strict=True)) <= NEAR


def demo(name: str, seed: int, planted: Sequence[float], tiles: int) -> Path:
    """Demo data whose training images were moved by the opposite of ``planted``."""
    place = Path("data", name)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        make_demo(place, seed=seed, train_tiles=tiles, test_tiles=1)
    move(place, planted)
    return place


def move(place: Path, planted: Sequence[float]) -> None:
    """Move the training images of a competition by the opposite of ``planted``."""
    if not any(planted):
        return
    matrix = np.array([[1, 0, -planted[1]], [0, 1, -planted[0]]], np.float32)
    for path in sorted((place / "train").iterdir()):
        image = cv2.imread(str(path))
        moved = cv2.warpAffine(
            image, matrix, image.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        cv2.imwrite(str(path), moved, [cv2.IMWRITE_JPEG_QUALITY, 95])


def trained(config: str, place: Path, epochs: int, more: Mapping[str, Any]) -> Run:
    """Three folds of a shipped config on this data."""
    keys = {"competition.root": str(place), "train.epochs": epochs, "data.workers": 0, "train.trackers": []}
    name = {"name": f"shift_{place.name}", "tta.views": "flips"}
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        return maskfold.train(override(maskfold.load_config(config), {**keys, **name, **more}), [0, 1, 2])


def competition_of(place: Path) -> Competition:
    """The demo in this folder."""
    return open_competition(CompetitionConfig(profile="tianchi-buildings", root=place))


def measured(run: Run, competition: Competition) -> LabelShift:
    """What `maskfold.scoring.label_shift` measures of a network's maps of images that it never saw."""
    samples, ids, surfaces = competition.samples("train"), [], []
    choice = default_choice([run])
    for prediction in predict_samples(choice, competition, samples, [0], batch_size=8, runs=[run]):
        label = competition.scored_label(samples.by_id[prediction.id])
        ids.append(prediction.id)
        surfaces.append(agreement(prediction.probability, label, competition.labels))
    found = register(np.array(surfaces), groups=groups_of(competition, ids, run.config.folds))
    assert found is not None  # most tiles have edges
    shift, low, high = ((float(down), float(right)) for down, right in found)
    return LabelShift(shift, low, high, len(surfaces))


def figures(found: LabelShift) -> list[str]:
    """Both offsets with their intervals, and whether the detector speaks up."""
    each = zip(found.shift, found.low, found.high, strict=True)
    return [*(f"{value:+.2f} ({low:+.2f} to {high:+.2f})" for value, low, high in each), "yes" if found.found else "no"]


def told(images: str, found: LabelShift, planted: tuple[float, float]) -> bool:
    """Print the figures; returns whether they are right."""
    near = max(abs(a - b) for a, b in zip(found.shift, planted, strict=True)) <= NEAR
    right = near and found.found if any(planted) else not found.found
    print_row(images, *figures(found), "yes" if right else "no")
    return right


if __name__ == "__main__":
    main()
