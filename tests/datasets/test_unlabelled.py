"""Images without labels in batches: the same crop twice, an order of their own, and who keeps a label."""

import cv2
import numpy as np
import pytest
import torch
from tests.conftest import draw_scene

from maskfold.competitions import open_competition
from maskfold.datasets import (
    EpochSampler,
    MixedDataset,
    MixedSampler,
    StrongColours,
    TrainDataset,
    UnlabelledDataset,
    build_augmentation,
    labelled_part,
    train_loader,
)
from maskfold.datasets.dataset import Draw
from maskfold.images import ImageSpec
from maskfold.labels import Label


@pytest.fixture
def competition(tiny):
    return open_competition(tiny.competition)


def unlabelled(competition, spec="d4_color", seed=3):
    weak = build_augmentation(spec, crop=32, colours=False)
    samples = competition.samples("test")
    return UnlabelledDataset(
        competition, samples, weak=weak, strong=StrongColours(), scales=[1.0] * len(samples), seed=seed
    )


def test_the_weak_image_is_moved_only_and_the_strong_one_has_other_colours_in_the_same_places(competition):
    data = unlabelled(competition)
    sample = competition.samples("test")[4]
    native = competition.image(sample.image)
    turned = {np.rot90(side, k).tobytes() for side in windows(native) for k in range(4)}
    turned |= {np.rot90(side[:, ::-1], k).tobytes() for side in windows(native) for k in range(4)}
    changed = []
    for epoch in range(1, 9):
        item = data[Draw(epoch, 4)]
        weak, strong = (item[name].permute(1, 2, 0).numpy() for name in ("weak", "strong"))
        assert np.ascontiguousarray(weak).tobytes() in turned, "a window of the image, flipped or turned"
        assert item["valid"].all()
        changed.append(np.abs(weak.astype(int) - strong).mean())
        # Where it was bright (the buildings) it still is; a shift by two pixels would show.
        grey = [cv2.blur(image.mean(-1), (5, 5)).ravel() for image in (weak, strong)]
        assert np.corrcoef(*grey)[0, 1] > 0.9
    assert np.median(changed) > 8
    assert (item["id"], sorted(item)) == (sample.id, ["id", "strong", "valid", "weak"])


def windows(image, side=32):
    height, width = image.shape[:2]
    return [
        np.ascontiguousarray(image[top : top + side, left : left + side])
        for top in range(height - side + 1)
        for left in range(width - side + 1)
    ]


def test_an_item_is_a_function_of_seed_epoch_index_and_repeat(competition):
    data = unlabelled(competition)
    first = data[Draw(2, 3)]
    again = unlabelled(competition)[Draw(2, 3)]
    assert torch.equal(first["weak"], again["weak"])
    assert torch.equal(first["strong"], again["strong"])
    for other in (data[Draw(3, 3)], data[Draw(2, 3, 1)], unlabelled(competition, seed=4)[Draw(2, 3)]):
        assert not torch.equal(first["strong"], other["strong"])


def test_a_list_loses_what_changes_colours_and_keeps_its_choices():
    spec = [{"OneOf": ["HorizontalFlip", {"InvertImg": {}}]}, {"InvertImg": {"p": 1.0}}, {"Transpose": {"p": 1.0}}]
    augment = build_augmentation(spec, crop=24, colours=False)
    image, mask = draw_scene(np.random.default_rng(0), 24, 24, 3)
    wanted = {np.transpose(image, (1, 0, 2)).tobytes(): 0, np.transpose(image[:, ::-1], (1, 0, 2)).tobytes(): 0}
    for seed in range(200):
        wanted[np.ascontiguousarray(augment(image, Label.whole(mask), seed)[0]).tobytes()] += 1
    # The flip is one of two, each applied in half of the cases that choose it.
    assert len(wanted) == 2
    assert 0.15 < min(wanted.values()) / 200 < 0.4


@pytest.mark.parametrize("images", [ImageSpec(channels=5, dtype="uint16", scale=250), ImageSpec(channels=1)])
def test_other_images_change_too(images):
    image = np.random.default_rng(1).integers(20, 200, (20, 30, images.channels)).astype(images.dtype)
    strong = StrongColours(images)
    found = [strong(image, seed) for seed in range(6)]
    assert {(one.dtype.name, one.shape) for one in found} == {(images.dtype, image.shape)}
    assert sum(not np.array_equal(one, image) for one in found) >= 4


def samplers(per_batch=3, n=5, **options):
    plain = EpochSampler(11, batch_size=2, seed=7, **options)
    return plain, MixedSampler(EpochSampler(11, batch_size=2, seed=7, **options), n, per_batch)


def test_labelled_parts_are_as_without_and_unlabelled_images_take_turns():
    plain, mixed = samplers()
    seen = []
    for epoch in (1, 2, 3, 4):
        plain.epoch = mixed.epoch = epoch
        assert len(mixed) == len(plain) == 5
        for expected, batch in zip(plain, mixed, strict=True):
            assert batch[:2] == expected
            assert [key.draw.epoch for key in batch[2:]] == [epoch] * 3
            seen += [key.draw.index for key in batch[2:]]
    assert np.bincount(seen).tolist() == [12] * 5, "4 epochs of 5 batches of 3: 12 rounds of 5 images"
    # More of them in a batch than there are: each look at an image is another one.
    _, mixed = samplers(per_batch=7)
    for batch in mixed:
        draws = [key.draw for key in batch[2:]]
        assert len(set(draws)) == 7


def test_processes_share_the_images_of_an_epoch():
    ranks = [list(samplers(rank=rank, world=2)[1]) for rank in (0, 1)]
    assert [len(batch) for of_rank in ranks for batch in of_rank] == [5] * 4
    indices = [key.draw.index for of_rank in ranks for batch in of_rank for key in batch[2:]]
    assert max(np.bincount(indices)) - min(np.bincount(indices, minlength=5)) <= 1


def test_batches_do_not_depend_on_the_workers(competition):
    def batches(workers):
        labelled = TrainDataset(competition, competition.samples("train"), augment=build_augmentation("d4", crop=32))
        sampler = MixedSampler(EpochSampler(len(labelled), batch_size=7, seed=0), 5, 3)
        sampler.epoch = 2
        return list(train_loader(MixedDataset(labelled, unlabelled(competition)), sampler, workers))

    alone, several = batches(0), batches(2)
    assert len(alone) == len(several) == 2
    for first, second in zip(alone, several, strict=True):
        assert len(first["id"]) == 7
        assert len(first["unlabelled"]["id"]) == 3
        assert first["unlabelled"]["id"] == second["unlabelled"]["id"]
        assert torch.equal(first["image"], second["image"])
        for name in ("weak", "strong", "valid"):
            assert torch.equal(first["unlabelled"][name], second["unlabelled"][name])


def test_those_that_keep_their_labels_are_like_the_others():
    coverage = np.r_[np.zeros(300), np.random.default_rng(0).beta(1, 5, 700)]
    chosen = labelled_part(coverage, 0.1, seed=4)
    assert chosen.sum() == 100
    assert (coverage[chosen] == 0).sum() == 30
    for share in (0.4, 0.6, 0.8, 0.95):
        assert np.mean(coverage[chosen] <= np.quantile(coverage, share)) == pytest.approx(share, abs=0.011)
    assert np.array_equal(chosen, labelled_part(coverage, 0.1, seed=4))
    other = labelled_part(coverage, 0.1, seed=5)
    assert (chosen & other).sum() < 30
    assert labelled_part(coverage[:7], 0.01, 0).sum() == 1
    assert labelled_part(coverage[:7], 1.0, 0).all()
    # Every image can be chosen.
    often = sum(labelled_part(np.arange(12), 0.25, seed) for seed in range(200))
    assert often.min() > 25
