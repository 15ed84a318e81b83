"""Finished runs without training: folds, tables and out-of-fold maps made of the truth and noise."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from tests.clouds import write_clouds
from tests.conftest import TINY, reference_rle, write_tianchi

from maskfold.competitions import Competition, open_competition
from maskfold.config import load_config
from maskfold.datasets import fold_splits
from maskfold.ensembling.checkpoints import oof_facts
from maskfold.labels import LabelSpec
from maskfold.runs import Run
from maskfold.runs.history import write_epochs

EPOCHS = 6
BAD_NAME = "T<i>&'000.jpg"


def fake_probability(truth: np.ndarray, labels: LabelSpec, rng: np.random.Generator, noise: float) -> np.ndarray:
    """Blurred truth plus noise, float32 (C, H, W)."""
    planes = labels.layers(truth)
    maps = np.stack([cv2.GaussianBlur(plane.astype(np.float32), (5, 5), 0) for plane in planes])
    maps = (0.02 + 0.96 * maps + noise * rng.normal(size=maps.shape)).clip(0.001, 0.999)
    return (maps / maps.sum(0) if labels.exclusive else maps).astype(np.float32)


def fake_run(root: Path, name: str, *, seed: int = 1, noise: float = 0.25, folds: tuple = (0, 1, 2), **changes) -> Run:
    """A finished run of the competition in ``changes['competition.root']`` with checkpoints best and ema.

    With ``model.presence`` its maps have the presence of each class: 0.9 less 0.5 where it is not, plus noise.
    """
    config = load_config(None, {**TINY, "train.epochs": EPOCHS, **changes}, name=name)
    competition = open_competition(config.competition)
    run = Run.create(config, root=root)
    table = run.folds()
    rng = np.random.default_rng(seed)
    for fold in folds:
        ids = fold_splits(table, fold)[1]["id"]
        _write_fold(run, competition, fold, ids, rng, noise)
    return run


def _write_fold(run: Run, competition: Competition, fold: int, ids, rng, noise: float) -> None:
    folder = run.fold(fold)
    samples = competition.samples("train").by_id
    folder.path.mkdir()
    for kind in ("best", "ema"):
        folder.save_checkpoint(kind, {"a": torch.tensor([fold + len(kind) / 7])})
        with folder.oof(kind).replace(oof_facts(folder, kind, run.config.tta)) as store:
            for image_id in ids:
                sample = samples[image_id]
                truth = competition.label(sample.masks, competition.size(sample.image)).values
                probability = fake_probability(truth, competition.labels, rng, noise)
                there = competition.labels.layers(truth).any((1, 2))
                presence = (np.where(there, 0.9, 0.4) - 0.3 * rng.random(len(there))).astype(np.float32)
                store.write(image_id, probability, presence if run.config.model.presence else None)
    scores = np.linspace(0.3, 0.8, EPOCHS) + 0.01 * fold
    columns = pd.DataFrame(
        {
            "epoch": range(1, EPOCHS + 1),
            "step": range(4, 4 * EPOCHS + 1, 4),
            "lr": np.linspace(0.01, 0.001, EPOCHS),
            "loss": np.linspace(0.9, 0.2, EPOCHS),
            "bce": np.linspace(0.8, 0.1, EPOCHS),
            "dice": np.linspace(0.95, 0.3, EPOCHS),
            f"valid_{competition.metric.name}": scores,
            "best": scores,
            "valid_loss": np.linspace(0.95, 0.3, EPOCHS) + 0.01 * fold,
            f"train_{competition.metric.name}": scores + 0.05,
        }
    )
    write_epochs(folder, columns.to_dict("records"))
    candidates = {"best": float(scores[-1]), "ema": float(scores[-1]) + 0.02}
    folder.finish(
        {
            "fold": str(fold),
            "metric": competition.metric.name,
            "epochs": EPOCHS,
            "steps": 4 * EPOCHS,
            "seconds": 90.0,
            "device": "cpu",
            "precision": "float32",
            "train_images": 12,
            "valid_images": len(ids),
            "best_checkpoint": "ema",
            "score": candidates["ema"],
            "candidates": candidates,
            "oof": {kind: score + 0.005 for kind, score in candidates.items()},
        }
    )


def write_street(folder: Path, *, count: int = 12, classes: int = 4) -> Path:
    """A competition of label files: noise images, striped labels of four classes with unscored pixels."""
    rng = np.random.default_rng(5)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    lines = []
    for number in range(count):
        image = rng.integers(0, 256, (36, 50, 3), np.uint8)
        label = (np.arange(50)[None] // (7 + number) + np.zeros((36, 1), int)) % (classes - number % 2)
        label[3:6, 8:20] = 255
        cv2.imwrite(str(folder / f"images/s{number}.jpg"), image)
        cv2.imwrite(str(folder / f"labels/s{number}.png"), label.astype(np.uint8))
        lines.append(f"images/s{number}.jpg labels/s{number}.png")
    (folder / "train.txt").write_text("\n".join(lines[: count // 2]) + "\n")
    (folder / "val.txt").write_text("\n".join(lines[count // 2 :]) + "\n")
    return folder


@pytest.fixture(scope="session")
def tiles(tmp_path_factory) -> Path:
    """The tiny competition; one of its images has HTML in its name."""
    folder = write_tianchi(tmp_path_factory.mktemp("tiles"), train=24)
    (folder / "train" / "T000.jpg").rename(folder / "train" / BAD_NAME)
    table = folder / "train_mask.csv"
    table.write_text(table.read_text().replace("T000.jpg", BAD_NAME))
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory, tiles) -> Run:
    """Three finished folds on the tiny competition; not to be written to."""
    return fake_run(tmp_path_factory.mktemp("runs"), "tiny<1>", **{"competition.root": tiles})


@pytest.fixture(scope="session")
def weaker(run, tiles) -> Run:
    """A second run beside the first, with more noise and other views."""
    changes = {"competition.root": tiles, "tta.views": "none"}
    return fake_run(run.path.parent, "weaker", seed=2, noise=0.4, **changes)


@pytest.fixture(scope="session")
def street(tmp_path_factory) -> Run:
    """A run of four classes, divided by the competition."""
    changes = {
        "competition.profile": "file-list",
        "competition.root": write_street(tmp_path_factory.mktemp("street")),
        "competition.class_names": ["sky", "road", "<b>$car$</b>", "tree"],
        "folds.kind": "given",
        "folds.count": 1,
    }
    return fake_run(tmp_path_factory.mktemp("street_runs"), "street", folds=(0,), noise=0.2, **changes)


def truths(folder: Path) -> dict[str, np.ndarray]:
    """id -> mask, read from the table of run lengths independently of maskfold."""
    masks = {}
    for line in (folder / "train_mask.csv").read_text().splitlines():
        name, _, rle = line.partition("\t")
        shape = cv2.imread(str(folder / "train" / name)).shape[:2]
        flat = np.zeros(shape[0] * shape[1], np.uint8)
        numbers = [int(word) for word in rle.split()]
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            flat[start - 1 : start - 1 + length] = 1
        masks[name] = flat.reshape(shape[::-1]).T
        assert reference_rle(masks[name]) == rle
    return masks


@pytest.fixture(scope="session")
def overlapping(tmp_path_factory) -> Run:
    """A run of four classes that overlap, with a gate on their presence."""
    folder = tmp_path_factory.mktemp("clouds")
    write_clouds(folder, train=8)
    changes = {
        "competition.profile": str(folder / "profile.yaml"),
        "competition.root": folder,
        "folds.count": 2,
        "tta.views": "none",
        "model.presence": True,
        "post.presence": 0.3,
        "post.threshold": [0.4, 0.5, 0.5, 0.6],
    }
    return fake_run(tmp_path_factory.mktemp("clouds_runs"), "clouds", folds=(0, 1), noise=0.2, **changes)


@pytest.fixture(scope="session")
def soft(tmp_path_factory) -> Run:
    """A run that aimed at the masks of three annotators, who see the same roofs elsewhere."""
    folder = write_tianchi(tmp_path_factory.mktemp("people"), train=9)
    masks = truths(folder)
    for name, moved in (("ann.csv", -2), ("bob.csv", 0), ("cleo.csv", 3)):
        rows = [f"{image}\t{reference_rle(np.roll(mask, moved, 1))}\n" for image, mask in masks.items()]
        (folder / name).write_text("".join(rows))
    changes = {
        "competition.root": folder,
        "targets.annotators.masks": ["ann.csv", "bob.csv", "cleo.csv"],
        "targets.annotators.merge": "mean",
    }
    return fake_run(tmp_path_factory.mktemp("soft_runs"), "soft", noise=0.15, **changes)
