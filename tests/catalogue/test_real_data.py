"""Real files of two competitions through their profiles and graders; labelled images play the test split."""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.catalogue.drawing import run_lengths, write_lines
from tests.catalogue.graders import GRADERS, decode, read
from tests.conftest import TINY

import maskfold
from maskfold.competitions import open_competition, validate_submission
from maskfold.config import CompetitionConfig, load_config
from maskfold.scoring.evaluate import evaluate_submission

REAL = os.environ.get("MASKFOLD_REAL_DATA")
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(not REAL, reason="MASKFOLD_REAL_DATA is not set")]


def linked(root, folder, names, source):
    (root / folder).mkdir(parents=True)
    for name in names:
        shutil.copyfile(source / name, root / folder / name)


def rows_of(path, names):
    return [row for row in csv.reader(path.open()) if row[0] in names]


@pytest.fixture(params=["airbus-ships", "tgs-salt"])
def real(request, tmp_path):
    """(profile, root, truth, sizes): images under the names of the competition's files."""
    root, profile = tmp_path / "data", request.param
    if profile == "airbus-ships":
        source = Path(REAL) / "airbus_sample"
        names = sorted(path.name for path in source.glob("images/*.jpg"))
        linked(root, "train_v2", names, source / "images")
        linked(root, "test_v2", names[:2], source / "images")
        rows = rows_of(source / "train_ship_segmentations.csv", names)
        files, header, size = (
            ("train_ship_segmentations_v2.csv", "sample_submission_v2.csv"),
            "ImageId,EncodedPixels",
            768,
        )
        test = names[:2]
    else:
        source = Path(REAL) / "tgs_salt"
        table = rows_of(source / "train.csv", {path.stem for path in (source / "train/images").glob("*.png")})
        train, test = [row[0] for row in table[:20]], [row[0] for row in table[20:60]]
        linked(root, "train/images", [f"{name}.png" for name in train], source / "train/images")
        linked(root, "test/images", [f"{name}.png" for name in test], source / "train/images")
        rows = [row for row in table[:60] if row[0] in {*train, *test}]
        files, header, size = ("train.csv", "sample_submission.csv"), "id,rle_mask", 101
    labelled = {row[0] for row in rows} if profile == "airbus-ships" else set(train)
    write_lines(root / files[0], [header, *(",".join(row) for row in rows if row[0] in labelled)])
    write_lines(root / files[1], [header, *(f"{name},1 1" for name in test)])
    write_lines(tmp_path / "truth.csv", [header, *(",".join(row) for row in rows if row[0] in set(test))])
    return profile, root, tmp_path / "truth.csv", dict.fromkeys(test, (size, size))


def test_scores_of_real_masks_are_the_graders(real, tmp_path):
    profile, root, truth, sizes = real
    competition = open_competition(CompetitionConfig(profile=profile, root=root))
    assert len(competition.samples("train")) in (3, 20)
    header, rows = read(truth)
    kept = np.random.default_rng(0)
    wrong = []
    for name, rle in rows:
        mask = decode(rle, sizes[name], "F")
        mask[:, : kept.integers(1, sizes[name][1] // 2)] = False
        if mask.any() or not rle:
            wrong.append(f"{name},{run_lengths(mask)}")
    present = {line.partition(",")[0] for line in wrong}
    wrong += [f"{name}," for name in sizes if name not in present]
    wrong.sort(key=lambda line: list(sizes).index(line.partition(",")[0]))
    write_lines(tmp_path / "s.csv", [",".join(header), *wrong])
    validate_submission(tmp_path / "s.csv", competition)
    graded = GRADERS[profile](tmp_path / "s.csv", truth, sizes)
    assert evaluate_submission(tmp_path / "s.csv", truth, competition).score == pytest.approx(graded, abs=5e-6)
    assert evaluate_submission(truth, truth, competition).score == 1


@pytest.mark.slow
def test_real_files_go_the_whole_way(real, tmp_path, monkeypatch):
    profile, root, truth, sizes = real
    monkeypatch.chdir(tmp_path)
    keys = {"competition.profile": profile, "competition.root": root, "folds.count": 2, "train.batch_size": 2}
    keys |= {"data.scale": 0.125} if profile == "airbus-ships" else {}
    config = load_config(None, {**TINY, **keys, "train.epochs": None, "train.iterations": 2}, name="real")
    run = maskfold.train(config, 0)
    path = maskfold.predict(run, tmp_path / "s.csv", untuned=True)
    score = maskfold.evaluate(path, truth, config=config).score
    assert score == pytest.approx(GRADERS[profile](path, truth, sizes), abs=5e-6)
