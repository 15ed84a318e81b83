"""What a validation tells beside the score: loss and training score against other ways to them, and the picture."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from maskfold.config import override
from maskfold.labels import LabelSpec
from maskfold.losses import build_loss
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.training import fit
from maskfold.training.session import open_session
from maskfold.training.validation import score_training, validate
from maskfold.training.watch import Watch


def test_loss_and_training_score_of_an_epoch(tiny, tmp_path):
    """Both again, from the network's own outputs and the images one by one."""
    run = Run.create(override(tiny, {"train.watched_images": 5}), tmp_path)
    session = open_session(run, 0)
    session.epoch = 1
    watch = Watch(session)
    validate(session, [session.network], look=watch)
    competition, network = session.competition, session.network.eval()
    losses, scores = [], []
    train, _, valid = run.fold_samples(0)
    watched = [train[place] for place in (0, 3, 6, 8, 11)]
    for sample in [*valid, *watched]:
        image = competition.image(sample.image)
        truth = competition.label(sample.masks, image.shape[:2]).values
        with torch.no_grad():
            logits = network(torch.from_numpy(image).permute(2, 0, 1)[None]).logits
            target = torch.from_numpy(truth)[None, None].double()
            probability = logits.double().sigmoid()
            bce = torch.nn.functional.binary_cross_entropy(probability, target)
            total = probability.sum() + target.sum()
            dice = 1 - (2 * (probability * target).sum() + 1) / (total + 1)
        losses.append(float(0.8 * bce + 0.2 * dice))
        mask = probability[0, 0].numpy() >= 0.5
        scores.append(
            1.0 if not (mask.any() or truth.any()) else 2 * (mask & (truth > 0)).sum() / (mask.sum() + truth.sum())
        )
    assert [sample.id for sample in watched] == session.data.watched_ids
    assert watch.loss() == pytest.approx(np.mean(losses[: len(valid)]), abs=2e-5)
    assert score_training(session) == pytest.approx(np.mean(scores[len(valid) :]), abs=1e-6)


def test_nothing_of_a_training_changes_and_pictures_are_the_same_each_time(tiny, tmp_path):
    runs = []
    for name, changes in (
        ("with", {}),
        ("again", {}),
        ("without", {"train.preview": False, "train.watched_images": 0}),
    ):
        runs.append(Run.create(override(tiny, {"name": name, **changes}), tmp_path))
        fit(runs[-1], 0)
    weights = [(run.fold(0).path / "best.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1] == weights[2]
    first, again, without = (read_epochs(run.fold(0)) for run in runs)
    assert first.equals(again)
    assert without["train_dice"].isna().all()
    assert first.drop(columns="train_dice").equals(without.drop(columns="train_dice"))
    assert list(first)[-4:] == ["valid_dice", "best", "valid_loss", "train_dice"]
    pictures = [[run.storage.read(key) for key in run.fold(0).previews().values()] for run in runs]
    assert len(pictures[0]) == 2
    assert pictures[0] == pictures[1]
    assert pictures[2] == []
    image = np.array(Image.open(io.BytesIO(pictures[0][1])))
    assert image.shape[1] > 4 * 150
    assert image.shape[0] > 3 * 150


def test_terms_of_the_mask_alone_are_in_the_loss():
    terms = [{"name": "bce", "weight": 2.0}, {"name": "dice", "output": "deep_1", "weight": 5.0}]
    loss = build_loss(terms, LabelSpec("binary", ("roof",)), outputs=("deep_1",))
    logits, target = torch.randn(1, 1, 6, 5), torch.randint(0, 2, (1, 1, 6, 5)).float()
    found = loss.of_mask(logits, {"mask": target})
    assert float(found) == pytest.approx(
        2 * float(torch.nn.functional.binary_cross_entropy_with_logits(logits, target))
    )
    only = build_loss([{"name": "dice", "output": "deep_1"}], LabelSpec("binary", ("roof",)), outputs=("deep_1",))
    assert only.of_mask(logits, {"mask": target}) is None


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_logits_of_probabilities(task):
    labels = LabelSpec(task, ("a",) if task == "binary" else ("a", "b", "c"))
    logits = torch.linspace(-12, 12, 3 * 4 * 5).reshape(1, 3, 4, 5)[:, : labels.channels]
    probability = labels.activate(logits)
    assert torch.allclose(labels.activate(labels.logits(probability)), probability, atol=1e-6)
    assert labels.logits(torch.tensor([[[[0.0]], [[1.0]]]])).isfinite().all()
