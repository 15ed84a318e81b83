"""What a training sees and ends with does not depend on how many data workers or processes there are."""

import numpy as np
import pytest

from maskfold.config import override
from maskfold.datasets import EpochSampler
from maskfold.runs import Run
from maskfold.training import fit, session
from maskfold.training.data import fold_data

CHANGES = {"data.augment": "heavy", "train.batch_size": 4, "train.epochs": 2, "data.crop": 32}


def steps(data, epoch):
    """(id, image) of each step; an image may come twice, augmented differently."""
    data.sampler.epoch = epoch
    return [
        [(name, image.numpy().tobytes()) for name, image in zip(batch["id"], batch["image"], strict=True)]
        for batch in data.train
    ]


@pytest.mark.parametrize("share", [None, 0.75])
def test_two_processes_see_step_by_step_what_one_sees(tiny, tmp_path, share):
    """The same images, augmented alike, in each step; between them two processes share the batch of one."""
    found = {}
    for name, size, ranks in (("one", 4, [(0, 1)]), ("two", 2, [(0, 2), (1, 2)])):
        run = Run(tmp_path / name)
        run.adopt(override(tiny, {**CHANGES, "train.batch_size": size, "data.positive_share": share}))
        loaders = [fold_data(run, 1, needs=frozenset(), rank=rank, world=world) for rank, world in ranks]
        epochs = [zip(*(steps(data, epoch) for data in loaders), strict=True) for epoch in (1, 2)]
        found[name] = [[sorted(pair for part in parts for pair in part) for parts in epoch] for epoch in epochs]
    assert [[len(step) for step in epoch] for epoch in found["one"]] == [[4, 4, 4]] * 2
    assert found["one"] == found["two"]
    first, second = ([[name for name, _ in step] for step in epoch] for epoch in found["one"])
    assert first != second, "another order in another epoch"


@pytest.mark.parametrize(("images", "size"), [(23, 3), (40, 4), (17, 1)])
@pytest.mark.parametrize("options", [{}, {"share": 0.3}, {"epoch_images": 13}])
def test_any_number_of_processes_draws_the_same_step_by_step(images, size, options):
    positive = np.random.default_rng(1).random(images) < 0.4
    share = {"positive_share": options["share"]} if "share" in options else {}
    length = {"epoch_images": options["epoch_images"]} if "epoch_images" in options else {}
    common = {"seed": 5, "positive": positive, **share, **length}
    alone = EpochSampler(images, batch_size=2 * size, **common)
    pair = [EpochSampler(images, batch_size=size, rank=rank, world=2, **common) for rank in (0, 1)]
    for epoch in (1, 4):
        for sampler in (alone, *pair):
            sampler.epoch = epoch
        one = [sorted(step) for step in alone]
        two = [sorted([*a, *b]) for a, b in zip(*pair, strict=True)]
        assert one == two


@pytest.mark.slow
def test_the_order_of_images_and_the_weights_are_the_same_for_any_number_of_workers(tiny, tmp_path, monkeypatch):
    orders, weights = [], []
    original = session.Supervised.__call__
    for workers in (0, 1, 2, 4):
        seen: list = []
        monkeypatch.setattr(
            session.Supervised,
            "__call__",
            lambda step, batch, seen=seen: seen.append(batch["id"]) or original(step, batch),
        )
        run = Run(tmp_path / f"workers{workers}")
        run.adopt(override(tiny, {**CHANGES, "data.workers": workers, "train.epochs": 1, "train.oof_checkpoints": 1}))
        fit(run, 2)
        orders.append(seen)
        weights.append(run.fold(2).storage.read("fold_2/best.safetensors"))
    assert len(orders[0]) == 3
    assert len({name for batch in orders[0] for name in batch}) == 12
    assert orders == [orders[0]] * 4
    assert weights == [weights[0]] * 4
