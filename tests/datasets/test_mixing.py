"""Mixed images against numpy, pixel by pixel; the labels are those of what is seen."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from maskfold.config import Config, MixConfig, override
from maskfold.datasets.augment import build_augmentation
from maskfold.datasets.dataset import Draw, TrainDataset
from maskfold.datasets.mixing import Crop, Mixing
from maskfold.errors import ConfigError
from maskfold.labels import Label, LabelSpec

BINARY = LabelSpec("binary", ("roof",))
STREETS = LabelSpec("multiclass", ("ground", "road", "car"))
CLOUDS = LabelSpec("multilabel", ("fish", "sugar"))
SIZE = (24, 24)


def crop_of(labels, number, *, soft=False, dtype=np.uint8):
    """A crop whose pixels name it: 10 * number + row % 7; three squares of foreground, a corner that does not count."""
    rng = np.random.default_rng(number)
    image = (10 * number + np.arange(24)[:, None, None] % 7 + np.zeros((24, 24, 3))).astype(dtype)
    mask = np.zeros(labels.mask_shape(SIZE), np.uint8)
    for _ in range(3):
        top, left = rng.integers(0, 18, 2)
        value = rng.integers(1, labels.highest + 1)
        mask[..., top : top + 5, left : left + 6] = value
    valid = np.ones(SIZE, bool)
    valid[:3, :2] = False
    mask[..., ~valid] = 0
    values = labels.layers(mask).astype(np.float32) * np.float32(0.7) if soft else mask
    if soft and labels.exclusive:
        values[0] += 1 - values.sum(0)
    return Crop(image, Label(np.where(valid, values, values.dtype.type(0)), valid))


def mixed(labels, recipe, number=0, **options):
    """A mixed crop, and the crops that it was made of."""
    mixing = Mixing(MixConfig(recipe=recipe, share=1.0, **options.pop("config", {})), labels, seed=5)
    used = [crop_of(labels, 1, **options)]

    def load(draw, seed):
        used.append(crop_of(labels, 2 + len(used), **options))
        return used[-1]

    return mixing(Draw(number, 1), 9, used[0], load), used


@pytest.mark.parametrize("labels", [BINARY, STREETS, CLOUDS], ids=lambda labels: labels.task)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("recipe", ["cutmix", "copy_paste", "mosaic"])
def test_every_pixel_is_of_one_crop_with_its_label(recipe, soft, labels):
    seen = set()
    for number in range(6):
        (image, label), used = mixed(labels, recipe, number, soft=soft)
        source = np.stack([(image == crop.image).all(-1) for crop in used])
        assert (source.sum(0) == 1).all()
        for where, crop in zip(source, used, strict=True):
            np.testing.assert_array_equal(label.values[..., where], crop.label.values[..., where])
            np.testing.assert_array_equal(label.valid[where], crop.label.valid[where])
        assert label.soft == soft
        seen |= set(source.mean((1, 2)).round(3).tolist())
    assert len(seen) > 5, "another region each time"


def test_cutmix_cuts_one_rectangle():
    areas = []
    for number in range(40):
        (image, _), (_, other) = mixed(BINARY, "cutmix", number)
        rows, columns = np.nonzero((image == other.image).all(-1))
        if len(rows):
            assert len(rows) == np.ptp(rows) * np.ptp(columns) + np.ptp(rows) + np.ptp(columns) + 1
        areas.append(len(rows) / image[..., 0].size)
    assert 0.15 < np.mean(areas) < 0.45  # half of the area is drawn on average, and a part of it is outside
    assert np.std(areas) > 0.1


def test_cutmix_draws_a_share_of_the_area():
    """Where alpha is large it is half of the area, and the largest regions are whole rectangles."""
    areas = []
    for number in range(40):
        (image, _), (_, other) = mixed(BINARY, "cutmix", number, config={"alpha": 1000})
        areas.append((image == other.image).all(-1).mean())
    assert max(areas) == pytest.approx(0.5, abs=0.05)


def test_what_does_not_count_is_not_pasted():
    """Where nothing is known, no class has a share: not even the background."""
    for number in range(12):
        (image, _), (_, over) = mixed(STREETS, "copy_paste", number, soft=True)
        assert not ((image == over.image).all(-1) & ~over.label.valid).any()


def test_pasted_are_whole_objects_some_and_not_all():
    shares = []
    for number in range(30):
        (image, label), (under, over) = mixed(BINARY, "copy_paste", number)
        taken = (image == over.image).all(-1)
        objects, count = ndimage.label(over.label.values, np.ones((3, 3)))
        kept = [taken[objects == each].mean() for each in range(1, count + 1)]
        assert set(kept) <= {0.0, 1.0}
        assert not taken[objects == 0].any(), "nothing beside objects"
        assert label.values.sum() >= under.label.values[~taken].sum() + taken.sum()
        shares += kept
    assert 0.3 < np.mean(shares) < 0.7


def test_instances_stay_apart():
    mixing = Mixing(MixConfig(recipe="mosaic", share=1.0), BINARY, seed=5)
    numbers = [np.kron(np.arange(1, 10).reshape(3, 3) * (k != 0), np.ones((8, 8))).astype(np.int32) for k in range(4)]
    crops = iter([crop_of(BINARY, k + 1)._replace(label=Label((numbers[k] > 0).astype(np.uint8), np.ones(SIZE, bool),
                  numbers[k])) for k in range(4)])  # fmt: skip
    first = next(crops)
    image, label = mixing(Draw(0, 0), 4, first, lambda draw, seed: next(crops))
    assert label.instances.dtype == np.int32
    assert ((label.instances > 0) == (label.values > 0)).all()
    for number in np.unique(label.instances[label.instances > 0]):
        assert len(np.unique(image[label.instances == number] // 10)) == 1, "an object is of one image"


@pytest.mark.parametrize("labels", [BINARY, STREETS, CLOUDS], ids=lambda labels: labels.task)
def test_mixup_is_the_same_mean_of_images_and_labels(labels):
    weights = []
    for number in range(8):
        (image, label), (first, second) = mixed(labels, "mixup", number, dtype=np.float32, config={"alpha": 0.8})
        weight = (image[0, 0, 0] - second.image[0, 0, 0]) / (first.image[0, 0, 0] - second.image[0, 0, 0])
        np.testing.assert_allclose(image, weight * first.image + (1 - weight) * second.image, rtol=1e-5)
        both = first.label.valid & second.label.valid
        np.testing.assert_array_equal(label.valid, both)
        a, b = (np.stack([crop.label.values == value for value in range(3)]) if labels.exclusive
                else crop.label.values.reshape(-1, *SIZE) for crop in (first, second))  # fmt: skip
        expected = np.where(both, weight * a + (1 - weight) * b, 0)[: labels.channels]
        np.testing.assert_allclose(label.values, expected, atol=1e-4)
        weights.append(weight)
    assert np.std(weights) > 0.1


def test_whole_numbers_are_rounded():
    (image, _), (first, second) = mixed(BINARY, "mixup")
    assert image.dtype == np.uint8
    low, high = np.minimum(first.image, second.image), np.maximum(first.image, second.image)
    assert ((image >= low) & (image <= high)).all()


@pytest.mark.parametrize("recipe", ["mixup", "cutmix", "copy_paste", "mosaic"])
def test_items_are_functions_of_their_draw(recipe, fake):
    """In any order, by any process; a share of the items is as without mixing; other targets fit the mixed label."""
    competition = fake([(40, 50)] * 7, seed=2)
    options = {"augment": build_augmentation("d4", crop=32), "seed": 3, "needs": {"presence", "distance"}}
    plain = TrainDataset(competition, competition.samples(), **options)
    mixing = Mixing(MixConfig(recipe=recipe, share=0.4), competition.labels, seed=3)
    dataset = TrainDataset(competition, competition.samples(), mixing=mixing, **options)
    draws = [Draw(epoch, index, repeat) for epoch in range(3) for index in range(7) for repeat in range(2)]
    items = {draw: dataset[draw] for draw in draws}
    same = 0
    for draw in reversed(draws):
        again, without = dataset[draw], plain[draw]
        assert torch.equal(again["image"], items[draw]["image"])
        assert torch.equal(again["targets"]["mask"], items[draw]["targets"]["mask"])
        assert again["targets"]["mask"].is_floating_point() == (recipe == "mixup")
        same += torch.equal(without["image"], again["image"])
        mask = again["targets"]["mask"] * again["valid"]
        assert again["targets"]["presence"][0] == mask.max()
        hard = mask[0] >= 0.5
        if hard.any() and not hard.all():
            assert ((again["targets"]["distance"][0] <= 0) == hard).all()
    assert 0.35 < same / len(draws) < 0.9, "the rest, but for what pastes nothing"


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ConfigError, match=r"alpha is 0.3, but recipe mosaic draws no weights"):
        override(Config(), {"data.mix": {"recipe": "mosaic", "alpha": 0.3}})
    with pytest.raises(ConfigError, match=r"mixup, which leaves no objects, but model.instances is border"):
        override(Config(), {"data.mix": {"recipe": "mixup"}, "model.instances": "border"})
