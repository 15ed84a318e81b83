"""Runs made by hand: their out-of-fold maps are arrays that a test chose, their truth was drawn by the test too."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from tests.conftest import TINY

from maskfold.competitions import open_competition
from maskfold.config import load_config
from maskfold.ensembling.checkpoints import oof_facts
from maskfold.models import build_model
from maskfold.runs import Run


def decode(rle, shape):
    """Column-major, 1-based runs, drawn one by one: independent of maskfold.rle."""
    flat = np.zeros(shape[0] * shape[1], np.uint8)
    numbers = [int(word) for word in str(rle).split()] if isinstance(rle, str) else []
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = 1
    return flat.reshape(shape[1], shape[0]).T


def dice(a, b):
    total = int(a.sum()) + int(b.sum())
    return 1.0 if total == 0 else 2 * int((a & b).sum()) / total


def read_table(path):
    rows = pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False)
    return dict(zip(rows[0], rows[1], strict=True))


def truth_of(drawn: Path, part: str = "train") -> dict[str, np.ndarray]:
    """id -> mask of the tiny competition."""
    folder, table = {"train": ("train", "train_mask.csv"), "test": ("test_a", "test_a_truth.csv")}[part]
    return {
        name: decode(rle, cv2.imread(str(drawn / folder / name)).shape[:2])
        for name, rle in read_table(drawn / table).items()
    }


def write_folds_csv(path: Path, ids, valid: dict[int, list[str]]) -> None:
    """``folds.csv`` of a division: fold -> the ids it validates; it trains on the others."""
    lines = ["fold,id,split,times"]
    for fold, chosen in valid.items():
        lines += [f"{fold},{name},{'valid' if name in chosen else 'train'},1" for name in ids]
    path.write_text("\n".join(lines) + "\n")


def make_run(root: Path, name: str, config, maps: dict, valid: dict[int, list[str]], scores=None, size=None) -> Run:
    """A run whose finished folds hold ``maps[kind][fold][id]``, float (C, H, W), as out-of-fold maps.

    ``scores[kind]`` is what training reported for every fold. Weights are one number, different in every file.
    """
    config = config.model_copy(update={"name": name})
    competition = open_competition(config.competition)
    run = Run.create(config, root)
    write_folds_csv(run.folds_path, competition.samples("train").ids, valid)
    for kind, folds in maps.items():
        for fold, found in folds.items():
            folder = run.fold(fold)
            folder.save_checkpoint(kind, {"a": torch.tensor([hash((name, kind)) % 97 + fold / 7])})
            with folder.oof(kind).replace(oof_facts(folder, kind, config.tta, size)) as store:
                for image_id, probability in found.items():
                    store.write(image_id, probability)
    for fold in sorted({fold for folds in maps.values() for fold in folds}):
        run.fold(fold).finish({"candidates": scores or dict.fromkeys(maps, 0.5), "metric": "dice"})
    return run


@pytest.fixture
def truth(drawn):
    return truth_of(drawn)


@pytest.fixture
def config(drawn):
    return load_config(None, {**TINY, "competition.root": drawn, "tta.views": "none"}, name="hand")


@pytest.fixture
def competition(config):
    return open_competition(config.competition)


CLASSES = ("sky", "road", "car")


@pytest.fixture
def streets(tmp_path):
    """A competition of three classes: labels by id, and its config."""
    root = tmp_path / "streets"
    (root / "labels").mkdir(parents=True)
    rng, labels, lines = np.random.default_rng(3), {}, []
    for number in range(6):
        size = (12, 15) if number % 2 else (14, 9)
        name = f"im{number}.png"
        label = np.sort(rng.integers(0, 3, size), axis=number % 2).astype(np.uint8)
        label[1:3, 2:4] = 255
        cv2.imwrite(str(root / name), rng.integers(0, 255, (*size, 3), np.uint8))
        cv2.imwrite(str(root / "labels" / name), label)
        lines.append(f"{name} labels/{name}\n")
        labels[name] = label
    (root / "train.txt").write_text("".join(lines[:4]))
    (root / "val.txt").write_text("".join(lines[4:]))
    (root / "test.txt").write_text("".join(f"{line.split()[0]}\n" for line in lines[:2]))
    keys = {
        "competition.profile": "file-list",
        "competition.root": root,
        "competition.class_names": list(CLASSES),
        "folds.kind": "kfold",
        "tta.views": "none",
    }
    return load_config(None, {**TINY, **keys}, name="streets"), labels


def constant_run(root: Path, name: str, config, logits: dict, **facts) -> Run:
    """A run whose finished folds hold networks that see the same logit (or logits) everywhere, each fold's its own.

    ``facts`` are added to the summary of every fold.
    """
    config = config.model_copy(update={"name": name})
    competition = open_competition(config.competition)
    run = Run.create(config, root)
    run.folds()
    for fold, logit in logits.items():
        network = build_model(
            config.model, classes=competition.labels.channels, images=competition.images, pretrained=False
        )
        state = network.state_dict()
        for key in state:
            if "segmentation_head" in key:
                value = torch.as_tensor(logit) if key.endswith("bias") else torch.tensor(0.0)
                state[key] = value.to(state[key]).expand_as(state[key])
        folder = run.fold(fold)
        folder.save_checkpoint("best", state)
        folder.finish({"candidates": {"best": 0.5}, "metric": "dice", **facts})
    return run


def random_run(root: Path, config, folds=(0,), checkpoints=("best",)) -> Run:
    """A run whose folds are finished with networks of random weights, another in every file."""
    competition = open_competition(config.competition)
    run = Run.create(config, root)
    run.folds(competition)
    for fold in folds:
        for number, checkpoint in enumerate(checkpoints):
            torch.manual_seed(10 * int(fold) + number)
            network = build_model(config.model, classes=competition.labels.channels, images=competition.images)
            network.net.segmentation_head[0].weight.data *= 40  # or every probability is near a half
            run.fold(fold).save_checkpoint(checkpoint, network.state_dict())
        run.fold(fold).finish({"candidates": dict.fromkeys(checkpoints, 0.5), "metric": "dice", "score": 0.5})
    return run
