"""Real data sets with label images, where MASKFOLD_REAL_DATA says they are: checked, divided, trained, submitted."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import TINY

from maskfold.checks import check_data
from maskfold.competitions import open_competition, validate_submission
from maskfold.config import load_config
from maskfold.runs import Run
from maskfold.scoring import evaluate_submission
from maskfold.steps.predict import predict
from maskfold.training import fit

REAL = os.environ.get("MASKFOLD_REAL_DATA")
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif(not REAL, reason="MASKFOLD_REAL_DATA is not set"),
]
SHORT = {
    **TINY,
    "data.crop": 96,
    "data.scale": 0.25,
    "train.epochs": 2,
    "train.epoch_images": 64,
    "tta.views": "none",
    "folds.count": 2,
}


def some_roads(root):
    """Forty of the images; six are the test split, whose masks are kept elsewhere."""
    for folder in ("images", "masks"):
        shutil.copytree(Path(REAL) / "aerial_roads" / folder, root / folder)
    stems = sorted(path.stem for path in (root / "images").iterdir())
    for stem in stems[40:]:
        (root / f"images/{stem}.jpg").unlink()
        (root / f"masks/{stem}.png").unlink()
    (root.parent / "truth").mkdir()
    for stem in stems[34:40]:
        shutil.move(root / f"masks/{stem}.png", root.parent / "truth" / f"{stem}.png")


def some_streets(root):
    """Every twelfth image of the lists; six validation images are the test split, whose labels are kept elsewhere."""
    lists = {name: (Path(REAL) / f"camvid/{name}.txt").read_text().splitlines() for name in ("train", "val")}
    test = lists["val"][5::16]
    (root.parent / "truth").mkdir(parents=True)
    # The profile knows CamVid by films of its test split.
    copied = [*lists["train"][::12], *lists["val"][::12], *test, "images/Seq05VD_f03090.jpg"]
    for line in copied:
        for name in line.split():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(REAL) / "camvid" / name, root / name)
    for line in test:
        label = line.split()[1]
        shutil.move(root / label, root.parent / "truth" / Path(label).name)
    (root / "train.txt").write_text("\n".join(lists["train"][::12]) + "\n")
    (root / "val.txt").write_text("\n".join(lists["val"][::12]) + "\n")
    (root / "test.txt").write_text("\n".join(line.split()[0] for line in test) + "\n")


@pytest.mark.parametrize(
    ("profile", "copy", "folds"), [("png-masks", some_roads, "stratified"), ("camvid", some_streets, "given")]
)
def test_from_the_files_to_a_scored_submission(profile, copy, folds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    copy(root)
    keys = {"competition.profile": profile, "competition.root": root, "folds.kind": folds}
    config = load_config(None, {**SHORT, **keys}, name="real")
    competition = open_competition(config.competition)
    report = check_data(competition, config.folds)
    assert report.problems == []
    run = Run.create(config, tmp_path / "runs")
    assert fit(run, 0)["score"] > 0.05
    path = predict(run, tmp_path / "submission")
    validate_submission(path, competition)
    found = evaluate_submission(path, tmp_path / "truth", competition)
    assert len(found.ids) == len(competition.samples("test")) >= 6
    held = np.unique([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in path.iterdir()])
    assert set(held.tolist()) <= ({0, 255} if profile == "png-masks" else set(range(11)))
    assert found.score > 0.05
