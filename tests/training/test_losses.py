"""Every loss of the table trains: on drawn scenes it goes down and the competition's score goes up."""

import cv2
import numpy as np
import pytest
from tests.conftest import TINY, draw_scene

from maskfold.config import load_config, override
from maskfold.losses.build import LOSSES
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.training import fit
from maskfold.training.session import open_session
from maskfold.training.validation import validate

ALONE = ["bce", "dice", "focal", "jaccard", "tversky", "lovasz_hinge", "jml", "dml", "ctl"]
# These two only sharpen what another loss has found.
WITH = {"boundary": {"name": "dice"}, "active_boundary": {"name": "bce"}}
CLASSES = ["cross_entropy", "lovasz_softmax", "dice", "focal"]


def train(config, root):
    """Score of the untrained network, the table of epochs, and the best score."""
    run = Run.create(config, root)
    session = open_session(run, 0)
    untrained = validate(session, [session.network]).score
    summary = fit(run, 0)
    return untrained, read_epochs(run.fold(0)), summary["candidates"]["best"]


def check(config, root, name):
    untrained, table, best = train(config, root)
    first, last = table[name].iloc[0], table[name].iloc[-1]
    assert last < first - 0.1 * abs(first), f"{name}: {list(table[name])}"
    assert best > untrained + 0.1, f"{untrained} -> {best}"


def test_the_tables_losses_are_all_here():
    assert {*ALONE, *WITH, *CLASSES} == set(LOSSES)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ALONE, *WITH])
def test_binary(tiny, tmp_path, name):
    terms = [{"name": name, "weight": 0.3 if name in WITH else 1.0}, *([WITH[name]] if name in WITH else [])]
    changes = {
        "loss": terms,
        "train.epochs": 8,
        "optim.lr": 0.01,
        "train.oof_checkpoints": 1,
        "tta.views": "none",
    }
    check(override(tiny, changes), tmp_path, name)


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    """Ground, red blocks and blue ponds; their outlines in one corner are not scored."""
    root = tmp_path_factory.mktemp("streets")
    rng, names = np.random.default_rng(4), []
    for number in range(16):
        image, blocks = draw_scene(rng, 40, 48, buildings=1 + number % 3)
        label = blocks.copy()
        top, left = rng.integers(2, 24), rng.integers(2, 30)
        label[top : top + 12, left : left + 14] = 2
        image[label == 2] = (rng.normal((40, 70, 190), 12, (int((label == 2).sum()), 3))).clip(0, 255)
        label[:4, :9] = 255
        cv2.imwrite(str(root / f"{number}.png"), image[..., ::-1])
        cv2.imwrite(str(root / f"label_{number}.png"), label)
        names.append(f"{number}.png label_{number}.png")
    (root / "train.txt").write_text("\n".join(names[:12]))
    (root / "val.txt").write_text("\n".join(names[12:]))
    (root / "test.txt").write_text("0.png\n")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_several_classes(streets, tmp_path, name):
    keys = {
        "competition.profile": "file-list",
        "competition.root": streets,
        "competition.class_names": ["ground", "block", "pond"],
        "folds.kind": "given",
        "train.epochs": 8,
        "train.oof_checkpoints": 1,
        "tta.views": "none",
        "loss": [{"name": name}],
    }
    config = load_config(None, {**TINY, **keys, "folds.count": 1}, name="streets")
    check(config, tmp_path, name)
