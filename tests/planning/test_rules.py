"""Each rule: what it says at its ends, and the reason it gives."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.planning.kinds import CPU, LITE, RESNET10, kind

from maskfold.competitions import Sample, Samples
from maskfold.config import FoldsConfig
from maskfold.datasets import make_folds
from maskfold.datasets.copies import with_copies
from maskfold.datasets.folds import GROUPED
from maskfold.labels import LabelSpec
from maskfold.losses import build_loss
from maskfold.planning import choice
from maskfold.planning.choice import value
from maskfold.planning.costs import COMMAND, COMMANDS, Costs, Split
from maskfold.planning.fingerprint import is_upright
from maskfold.planning.networks import Cost
from maskfold.planning.rules import folds, length, positives, views
from maskfold.planning.rules.batch import batch_size, prediction_batch
from maskfold.planning.rules.crop import crop
from maskfold.planning.rules.input import cache
from maskfold.planning.rules.learning_rate import encoder_factor, learning_rate
from maskfold.planning.rules.loss import class_weights, loss
from maskfold.planning.rules.network import quality
from maskfold.planning.rules.scale import allowed_scales
from maskfold.planning.rules.window import window, window_pixels


def test_scales_leave_objects_and_images_their_pixels():
    assert allowed_scales(kind(512, 700, object_side=30)) == [0.25, 0.375, 0.5, 0.75, 1.0]
    assert allowed_scales(kind(512, 700, object_side=9)) == [0.75, 1.0]
    assert allowed_scales(kind(512, 700, object_side=0)) == [0.1875, 0.25, 0.375, 0.5, 0.75, 1.0]
    assert allowed_scales(kind(360, 480, object_side=5)) == [1.0]
    streets = kind(360, 480, object_side=5, task="multiclass")
    assert allowed_scales(streets) == [0.375, 0.5, 0.75, 1.0], "the ceilings speak for the classes"
    assert allowed_scales(kind(101, 101)) == [1.0, 1.2673, 1.901, 2.5347]


def test_crops():
    data = kind(512, 700)
    assert crop(data, 0.5, memory=None, free=0).value == 256
    assert crop(data, 1.0, memory=None, free=0).value == 256, "a CPU"
    assert crop(data, 0.3, memory=None, free=0).value == 160
    square, long, odd = kind(256, 256), kind(1600, 256), kind(192, 196)
    assert crop(square, 1.0, memory=None, free=0) == (256, "the whole of a median image after scale (256 px)")
    assert crop(long, 1.0, memory=None, free=0) == (256, "the shorter side of a median image after scale (256 px)")
    inside = "the whole of a median image after scale (118 px), to a multiple of 32"
    assert crop(kind(118, 126), 1.0, memory=None, free=0) == (128, inside)
    to_stride = "the shorter side of a median image after scale (144 px), to a multiple of 32"
    assert crop(odd, 0.75, memory=None, free=0) == (128, to_stride)
    # Of 8 GB four fifths for four crops: 0.64 million pixels of 2.5 GB each.
    assert crop(kind(2000, 2000), 1.0, memory=2.5e9, free=int(8e9)).value == 800
    assert crop(data, 1.0, memory=2.5e9, free=int(80e9)).value == 512


def test_batches():
    assert batch_size(256, 700, memory=None, free=0).value == 8
    assert batch_size(96, 128, memory=None, free=0) == (8, "an epoch of 128 images has 16 steps")
    assert batch_size(96, 60, memory=None, free=0) == (6, "an epoch of 60 images has 10 steps")
    assert batch_size(128, 367, memory=None, free=0) == (9, "an epoch of 367 images has 40 steps")
    assert batch_size(1024, 700, memory=None, free=0).value == 4
    assert batch_size(512, 5000, memory=2.5e9, free=int(80e9)).value == 32
    assert batch_size(512, 5000, memory=2.5e9, free=int(8e9)).value == 9


def test_batches_of_prediction():
    assert prediction_batch(512**2, memory=None, free=0).value == 2
    assert prediction_batch(512**2, memory=2.5e9, free=int(8e9)).value == 9
    assert prediction_batch(9000**2, memory=2.5e9, free=int(8e9)).value == 1


def test_the_rate_grows_with_the_root_of_the_batch():
    assert learning_rate(8, 0.002).value == pytest.approx(0.002)
    assert learning_rate(2, 0.002).value == pytest.approx(0.001)
    assert learning_rate(32, 0.0007).value == pytest.approx(0.0014)
    assert learning_rate(512, 0.002).value == pytest.approx(0.003)
    assert "0.003 at most" in learning_rate(512, 0.002).why
    assert (encoder_factor(True).value, encoder_factor(False).value) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("figures", "names", "words"),
    [
        ({}, ["bce", "dice"], "dice is of overlap"),
        ({"coverage": 0.001}, ["bce", "dice"], "0.1%"),
        ({"of_sums": True, "metric": "global_dice"}, ["bce", "dice"], "sums over all images"),
        ({"error_costs": (0.2, 0.8), "metric": "f2"}, ["bce", "tversky"], "false negatives 0.8"),
        ({"task": "multiclass", "frequencies": (0.5, 0.3, 0.2)}, ["cross_entropy", "jml"], "overlap: +0.052"),
    ],
)
def test_losses_follow_task_and_metric(figures, names, words):
    data = kind(256, 256, **figures)
    found = loss(data)
    assert [term["name"] for term in found.value] == names
    assert sum(term["weight"] for term in found.value) == pytest.approx(1)
    assert words in found.why
    labels = LabelSpec("multiclass", ("a", "b", "c")) if data.task == "multiclass" else LabelSpec("binary", ("a",))
    build_loss(found.value, labels)


def test_of_rare_foreground_dice_weighs_more():
    assert loss(kind(9, 9, coverage=0.001)).value[1]["weight"] > loss(kind(9, 9, coverage=0.2)).value[1]["weight"]


def test_rare_classes_weigh_more():
    streets = kind(9, 9, task="multiclass", frequencies=(0.32, 0.08, 0.02))
    assert loss(streets).value[0]["options"] == {"class_weights": [0.25, 1.0, 4.0]}
    assert class_weights((0.9, 0.04, 0.0004, 0.0, 0.05)) == [0.1, 1.12, 10.0, 1.0, 0.9], "within bounds, 1 where absent"
    assert class_weights((0.0, 0.0)) == [1.0, 1.0]


def test_folds():
    assert folds.kind(kind(9, 9), FoldsConfig()).value == "stratified"
    assert folds.kind(kind(9, 9, groups=7), FoldsConfig()).value == "stratified-grouped"
    assert folds.kind(kind(9, 9, groups=7, given=0.3), FoldsConfig()).value == "given"
    assert folds.kind(kind(9, 9, given=0.3), FoldsConfig(kind="kfold")).value == "kfold"
    assert folds.count(kind(9, 9), "stratified", "apart", FoldsConfig()).value == 5
    assert folds.count(kind(9, 9, groups=3), "grouped", "apart", FoldsConfig()) == (3, "there are 3 groups")
    assert folds.count(kind(9, 9), "given", "apart", FoldsConfig()).value == 1
    assert folds.counts(5, FoldsConfig()) == [1, 2, 3, 5]
    assert folds.counts(3, FoldsConfig()) == [1, 2, 3]
    assert folds.counts(10, FoldsConfig(count=10)) == [1, 2, 3, 5, 10]
    assert folds.counts(4, FoldsConfig(count=4)) == [1, 2, 3, 4]
    assert folds.trained(5, 5, 100, FoldsConfig()).value is None
    assert folds.trained(2, 5, 100, FoldsConfig()).value == 2


def planned_folds(data, config):
    split = folds.kind(data, config).value
    copies = folds.copies(data, split, config)
    return split, copies, folds.count(data, split, copies.value, config).value


def test_near_copies_stay_together():
    together = "85 of 300 images that were read nearly repeat another one"
    assert planned_folds(kind(9, 9), FoldsConfig())[1].value == "apart"
    assert planned_folds(kind(9, 9, copies=85), FoldsConfig()) == ("auto", ("together", together), 5)
    assert planned_folds(kind(9, 9, copies=85, groups=7), FoldsConfig())[:2] == (
        "stratified-grouped",
        ("together", together),
    )
    assert planned_folds(kind(9, 9, copies=85, given=0.3), FoldsConfig())[1].value == "apart"
    # Forty frames of three scenes, or of one.
    assert planned_folds(kind(9, 9, train=40, copies=37, units=3), FoldsConfig())[::2] == ("auto", 3)
    assert planned_folds(kind(9, 9, train=40, copies=39, units=1), FoldsConfig())[0] == "stratified"
    assert planned_folds(kind(9, 9, train=40, groups=1), FoldsConfig())[::2] == ("stratified", 5)
    # Three videos that share a frame: they stay together, that frame does not.
    shared = planned_folds(kind(9, 9, groups=3, copies=20, units=1), FoldsConfig())
    assert shared == (
        "stratified-grouped",
        ("apart", "20 near-copies of 300 images that were read: they join all images"),
        3,
    )
    many = planned_folds(kind(9, 9, train=192_000, copies=8), FoldsConfig())
    assert many[:2] == ("stratified", ("apart", "folds.kind stratified splits 8 near-copies"))
    many = planned_folds(kind(9, 9, train=192_000, copies=8, groups=90), FoldsConfig())
    assert many[1].why == "8 near-copies of 300 images that were read: a search would compare 192000 images"
    kept = planned_folds(kind(9, 9, copies=85), FoldsConfig(kind="kfold"))
    assert kept[:2] == ("kfold", ("apart", "folds.kind kfold splits 85 near-copies"))
    # What the competition's own split cannot do, and was asked for.
    asked = FoldsConfig(copies="together")
    assert planned_folds(kind(9, 9, given=0.3), asked)[:2] == ("auto", ("together", "as the config has it"))


@pytest.mark.parametrize("copied", [(), (0, 1), (2, 5, 9)])
@pytest.mark.parametrize("groups", [None, 4, 1])
@pytest.mark.parametrize("given", [0.0, 0.25])
def test_planned_folds_can_be_made(copied, groups, given):
    """Whatever is known of twelve images."""
    config = FoldsConfig()
    ids = [f"i{number:02}" for number in range(12)]
    names = None if groups is None else np.array([f"g{number % groups}" for number in range(12)])
    sets = np.array([99 if number in copied else number for number in range(12)])
    joined = with_copies(ids, [None] * 12 if names is None else names.tolist(), sets)
    data = kind(
        9, 9, train=12, copies=max(0, len(copied) - 1), groups=groups or 0, given=given,
        units=len(set(joined)) if any(joined) else 12,
    )  # fmt: skip
    split, copies, count = planned_folds(data, config)
    own = ["train"] * 9 + ["valid"] * 3 if given else [None] * 12
    samples = Samples(Sample(i, Path(i), (), split=s) for i, s in zip(ids, own, strict=True))
    config = FoldsConfig(kind=split, copies=copies.value, count=count)
    used = joined if copies.value == "together" else names
    grouped = split in GROUPED and used is not None
    table = make_folds(samples, np.linspace(0, 1, 12), config, np.array(used) if grouped else None)
    assert table["fold"].nunique() == count
    expected = folds.split(data, split, count, config)
    parts = table[table["split"] == "valid"].groupby("fold").size()
    assert parts.mean() == pytest.approx(expected.valid, rel=0.01)
    assert expected.train + expected.valid == pytest.approx(12)


def test_images_of_each_fold():
    voc = kind(9, 9, train=2913, given=1449 / 2913)
    assert folds.split(voc, "given", 1, FoldsConfig()) == pytest.approx((1464, 1449))
    assert folds.split(voc, "holdout", 1, FoldsConfig(valid_share=0.1)) == pytest.approx((2621.7, 291.3))
    assert folds.split(voc, "stratified", 3, FoldsConfig()) == pytest.approx((1942, 971))
    # scikit-learn's own count of what is never drawn.
    drawn = np.random.default_rng(3).integers(0, 2913, (200, 2913))
    left = 2913 - np.mean([len(np.unique(row)) for row in drawn])
    assert folds.split(voc, "bootstrap", 5, FoldsConfig()) == pytest.approx((2913, left), rel=0.01)


def test_folds_of_the_config_hold():
    own = FoldsConfig(count=8, trained=2, copies="together")
    assert folds.count(kind(9, 9, groups=30), "grouped", "together", own) == (8, "as the config has it")
    assert folds.counts(8, own) == [2]
    assert folds.trained(2, 8, 100, own) == (2, "as the config has it")
    assert folds.copies(kind(9, 9), "stratified", own).value == "together"
    assert folds.counts(1, own) == [1], "a hold-out"


def test_positives_where_most_masks_are_empty():
    assert positives.positive_share(kind(9, 9, empty=0.5)).value is None
    assert positives.positive_share(kind(9, 9, empty=0.8)).value == 0.6
    assert positives.positive_share(kind(9, 9, empty=299 / 300)).value == 0.6
    assert positives.positive_share(kind(9, 9, empty=1.0, read=220)).value is None


def test_positives_of_which_a_fold_may_have_none():
    """The image, or group, with the only masks validates in one of the folds, whose training would be refused."""
    assert positives.positive_share(kind(9, 9, train=30, read=30, empty=29 / 30)) == (
        None,
        "1 of 30 images that were read have a mask (what stays together counts once): a fold may have none of them to "
        "draw",
    )
    assert positives.positive_share(kind(9, 9, train=30, read=30, empty=0.9, filled=1)).value is None
    assert positives.positive_share(kind(9, 9, train=30, read=30, empty=28 / 30)).value == 0.6


def test_views_and_augmentation():
    assert views.choices(kind(9, 9)) == ["none", "flips", "d4"]
    assert views.views(kind(9, 9), "d4").value == "d4"
    assert views.augment(kind(9, 9)).value == "d4_color"
    assert views.augment(kind(9, 9, shift=0.9)).value == "heavy"
    upright = kind(9, 9, upright=True)
    assert views.choices(upright) == ["none", "hflip"]
    assert "upper side; of none +0, hflip" in views.views(upright, "hflip").why
    assert views.augment(upright).value[0] == {"HorizontalFlip": {"p": 0.5}}
    assert (views.view_count("none"), views.view_count("d4")) == (1, 8)


def test_what_is_upright():
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 255, (60, 32, 32)).astype(np.uint8)
    tiles[::2, :16] //= 2  # dark above in one half of them
    tiles[1::2, 16:] //= 2
    assert not is_upright(tiles)
    skies = tiles.copy()
    skies[:, :16] = 255 - skies[:, :16] // 4
    assert is_upright(skies)
    assert not is_upright(skies[:1])


def test_few_images_are_upright_only_beyond_chance():
    """Student's t of n images, two-sided at 0.0027: 9.22 for four, 4.09 for ten."""
    for differences, upright in [
        ([10, 12, 14, 7], False),  # t = 7.2
        ([10, 12, 14, 10], True),  # t = 12
        ([10, 12, 14, 2, 0, 20, 18, -6, 9, 11], False),  # t = 3.6
        ([10, 12, 14, 2, 0, 20, 18, 6, 9, 11], True),  # t = 5.1
    ]:
        thumbnails = np.full((len(differences), 32, 32), 100, np.uint8)
        thumbnails[:, :16] += np.array(differences).astype(np.uint8)[:, None, None]
        assert is_upright(thumbnails) is upright


def test_small_images_are_kept_in_memory():
    # 800 x 1000 x 1000 x 3 bytes and two bits, a quarter of it at half the scale.
    data = kind(1000, 1000)
    assert cache(data, 0.5, int(2.7e9)).value == "memory"
    assert cache(data, 0.5, int(2.5e9)).value == "none"
    # 500 x 100 x 80 x 16.5 bytes of eight bands of 16 bits, four times as many at twice the scale.
    bands = kind(100, 80, train=500, pixel_bytes=16.5)
    assert cache(bands, 2.0, int(1e9)).value == "none"
    assert cache(bands, 2.0, int(2e9)) == ("memory", "0.26 GB of 2 that are free: decoded once")


def test_lengths():
    costs = SimpleNamespace(trained=0.5, split=Split(100, 40), predicted=0.25)
    # An epoch of 100 images is 50 s, a validation 10: once in two epochs is a tenth.
    assert length.validate_every(costs, 100, 30).value == 2
    assert length.validate_every(costs, 100, 1).value == 1
    found = {room: length.trained_images(room, shortest=100, enough=20_000) for room in (50, 199, 1234, 60_000)}
    assert list(found.values()) == [100, 199, 1234, 40_000]
    epochs = {room: length.epochs(room, found[room], 100, enough=20_000, hours=1, folds=2) for room in found}
    assert [epochs[room].value for room in found] == [1, 1, 12, 400]
    assert epochs[50].why == "1 hours have no room for it: the shortest training there is"
    assert epochs[1234].why.startswith("what 1 hours have room for: 2 folds")
    assert epochs[60_000].why == "40000 images: more gain nothing, and the hours are not used up"
    assert (length.is_enough(40_000, 20_000), length.is_enough(40_001, 20_000)) == (False, True)
    assert length.ema(1260).value == pytest.approx(0.995, abs=5e-4)
    assert length.ema(340).value == pytest.approx(0.982, abs=5e-4)
    assert (length.ema(3).value, length.ema(10**6).value) == (0.9, 0.9995)


def test_a_long_training_has_some_epochs():
    """Each is stored and validated; without them a training of one epoch is lost where it ends early."""
    costs = SimpleNamespace(trained=0.5, split=Split(154_000, 38_000), predicted=0.25)
    drawn = length.epoch_images(200_000, costs)
    assert drawn == (25_000, "8 epochs instead of 1.3 of all images")
    assert (
        length.epochs(200_000, 200_000, length.images_of_epoch(drawn, costs.split), enough=1e6, hours=9, folds=1).value
        == 8
    )
    assert length.epoch_images(8 * 154_000, costs).value is None
    assert length.images_of_epoch(length.epoch_images(10**7, costs), costs.split) == 154_000
    # 480 s make eight epochs of a minute, 130 s two, 50 s none.
    few = SimpleNamespace(trained=0.5, split=Split(900, 40), predicted=0.25)
    assert [length.epoch_images(images, few).value for images in (960, 260, 100)] == [120, 130, 100]
    assert length.epoch_images(100, few).why == "0.11 of all images: there is no time to see each once"
    assert length.save_minutes(costs, 25_000) == (10.0, "an epoch takes 2.1e+02 min")
    assert length.save_minutes(few, 120).value is None


def test_whole_epochs_leave_little_time_unused():
    """1.9 rounds are two epochs of nearly all images, not one of them."""
    costs = SimpleNamespace(trained=0.5, split=Split(50, 10), predicted=0.25)
    drawn = length.epoch_images(95, costs)
    assert drawn == (47, "1 epoch of all images would be 47% less than planned")
    assert length.epochs(95, 95, 47, enough=1e6, hours=1, folds=1).value == 2
    assert length.epoch_images(520, costs).value is None, "20 of 520"
    assert length.epoch_images(530, costs) == (48, "10 epochs of all images would be 6% less than planned")


def test_few_images_make_no_epochs_of_a_step_or_two():
    """Four images of 4000 pixels in crops of 256, 33,000 of these, would make 10,312 epochs."""
    costs = SimpleNamespace(trained=0.1, split=Split(3.2, 0.8), predicted=0.25)
    assert length.epoch_images(33_000, costs) == (
        66,
        "500 epochs, each of which is stored, instead of 10312 of all images",
    )
    assert length.epoch_images(3430, costs).value == 40
    assert length.epoch_images(300, costs).value is None, "too short a training to have eight epochs of 40"
    assert length.epoch_images(3430, SimpleNamespace(trained=0.1, split=Split(40, 10))).value is None


def test_images_that_do_not_fit_a_gpu_are_predicted_in_windows():
    data = kind(4000, 6000, test_pixels=0.5, object_side=8)
    # 24 million pixels take 60 GB in training, half of it in prediction.
    assert window(data, 1.0, 512, memory=2.5e9, free=int(40e9)).value is None
    assert window(data, 1.0, 512, memory=2.5e9, free=int(37e9)).value == 512
    assert window(data, 0.5, 512, memory=2.5e9, free=int(10e9)).value is None
    assert window(data, 1.0, 256, memory=None, free=0).value is None, "a CPU"
    assert window(kind(4000, 6000, largest=48_000_000), 1.0, 512, memory=2.5e9, free=int(40e9)).value == 512
    # Every 384 pixels at least: 11 rows of 16.
    assert window_pixels(data, 1.0, 512) == pytest.approx(11 * 16 * 512**2 / 24e6)
    assert window_pixels(data, 1.0, None) == 1.0
    whole = Costs(data, Cost(8, 2), True, 1.0, 512, 1, Split(9, 40))
    windows = replace(whole, windows=1.9, test_windows=1.7)
    assert windows.end == pytest.approx(1.9 * whole.end)
    assert windows.test(2) == pytest.approx(1.7 * whole.test(2))


def test_seconds_of_everything():
    data = kind(500, 1000, train=100, test=40, reading=0.01, test_pixels=2.0)
    costs = Costs(data, Cost(8.0, 2.0), gpu=False, scale=0.5, crop=200, views=4, split=fifth(data))
    # 0.04 million pixels of a crop, 0.125 of an image.
    assert costs.trained == pytest.approx(1.15 * 0.04 * 8 + 0.01)
    assert costs.predicted == pytest.approx(0.26)
    assert costs.end == pytest.approx(2 * 20 * 0.26 * 5)
    assert costs.test(3) == pytest.approx(40 * 2 * (0.125 * 2 * 4 * 3 + 0.01)), "twice as many pixels to read, too"
    images = costs.images(3600, 3)
    assert costs.total(images, 3) == pytest.approx(3600 * 0.9), "the two are inverse"
    assert costs.total(0, 1) == pytest.approx(costs.end + COMMANDS * COMMAND + costs.test(1) + costs.tuning(1))


def fifth(data):
    return Split(0.8 * data.train, 0.2 * data.train)


def costs_of(data, scale=0.5, crop=256):
    return Costs(data, Cost(8.0, 2.0), gpu=False, scale=scale, crop=crop, views=1, split=fifth(data))


def test_what_an_option_promises():
    data = kind(512, 512)
    base = value(LITE[0], costs_of(data), 1, 1000)
    assert value(LITE[0], costs_of(data), 1, 2000) - base == pytest.approx(choice.DOUBLING)
    streets = costs_of(kind(512, 512, task="multiclass"))
    assert value(LITE[0], streets, 1, 2000) - value(LITE[0], streets, 1, 1000) == pytest.approx(595 / 2000)
    assert value(LITE[0], streets, 1, 10**6) == value(LITE[0], streets, 1, choice.enough(streets))
    better = quality(LITE[-1]) - quality(LITE[0])
    assert value(LITE[-1], costs_of(data), 1, 1000) - base == pytest.approx(better)
    assert value(LITE[0], costs_of(data), 5, 1000) - base == pytest.approx(0.022)
    # Eight rounds of 640 images are 5120.
    later = value(LITE[0], costs_of(data), 1, 12_000) - value(LITE[0], costs_of(data), 1, 4000)
    assert later == pytest.approx(choice.DOUBLING * (np.log2(5120 / 4000) + np.log2(12_000 / 5120) / 10))
    assert value(LITE[0], costs_of(data), 1, 10**6) == value(LITE[0], costs_of(data), 1, choice.enough(costs_of(data)))
    # Half the scale costs what the true masks lose, and what 128 pixels say less than 256.
    lost = data.ceilings[0.5] - data.ceilings[0.25]
    assert base - value(LITE[0], costs_of(data, 0.25, 128), 1, 1000) == pytest.approx(lost + choice.SMALL)
    # Beyond twice their own side small images gain nothing by being larger.
    small = kind(101, 101)
    once, twice, more = (
        value(LITE[0], costs_of(small, scale, round(101 * scale)), 1, 1000) - small.ceilings[scale]
        for scale in (1.0, 1.901, 2.5347)
    )
    assert twice - once == pytest.approx(choice.SMALL * np.log2(1.901), abs=1e-6)
    assert more - twice == pytest.approx(choice.SMALL * np.log2(2 / 1.901), abs=1e-6)
    # A crop that shows half of the image's side says less of it.
    hidden = value(LITE[0], costs_of(data, 1.0, 512), 1, 1000) - value(LITE[0], costs_of(data, 1.0, 256), 1, 1000)
    assert hidden == pytest.approx(choice.HIDDEN)
    around = value(LITE[0], costs_of(data, 1.0, 640), 1, 1000)
    assert around == value(LITE[0], costs_of(data, 1.0, 512), 1, 1000), "more than the image is no more than all of it"
    whole, crops = (costs_of(kind(512, 512, task="multiclass"), 1.0, side) for side in (512, 256))
    assert value(LITE[0], whole, 1, 1000) - value(LITE[0], crops, 1, 1000) == pytest.approx(0.137)
    assert value(LITE[0], costs_of(data), 1, 639) == -np.inf, "640 images are not seen once"
    assert value(LITE[0], costs_of(kind(512, 512, train=10**6)), 1, 20_000) > -np.inf, "a part of very many"
    budget = choice.Budget(data, CPU, 720, [1, 5], views=["none", "d4"], split=fifth(data))
    best = choice.ranked(budget, LITE, CPU.cost)
    assert best[0].folds == 1
    assert [option.value for option in best] == sorted((option.value for option in best), reverse=True)
    assert sorted(option.network.name for option in best) == sorted(network.name for network in LITE)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_twice_the_seconds_are_half_of_the_images(task):
    network, doubling = LITE[0], choice.CLASSES_DOUBLING if task == "multiclass" else choice.DOUBLING
    assert choice.promise(network, 1.0, task) == pytest.approx(quality(network))
    assert choice.promise(network, 1.0, task) - choice.promise(network, 2.0, task) == pytest.approx(doubling)


def test_views_compete_with_training_for_the_hours():
    def chosen(test, seconds):
        data = kind(512, 512, test=test)
        budget = choice.Budget(data, CPU, seconds, [1], views=["none", "flips", "d4"], split=fifth(data))
        return choice.ranked(budget, LITE, CPU.cost)[0].views

    assert chosen(test=10, seconds=7200) == "d4"
    assert chosen(test=100_000, seconds=7200) == "none"


def test_few_images_are_not_shown_without_end():
    """48 of 60: 150 rounds are 7200, beyond which a training gains nothing, so that further folds are trained."""
    few = kind(512, 512, train=60)
    assert (choice.short_of(costs_of(few)), choice.enough(costs_of(few))) == (2000, 7200)
    assert value(LITE[0], costs_of(few), 1, 7200) == value(LITE[0], costs_of(few), 1, 90_000)
    many = kind(512, 512, train=10_000)
    assert (choice.short_of(costs_of(many)), choice.enough(costs_of(many))) == (20_000, 100_000)
    more = kind(512, 512, train=40_000)
    assert (choice.short_of(costs_of(more)), choice.enough(costs_of(more))) == (64_000, 100_000)
    most = kind(512, 512, train=900_000)
    assert (choice.short_of(costs_of(most)), choice.enough(costs_of(most))) == (100_000, 100_000)
    # Four crops show what there is to see of an image.
    assert (choice.short_of(costs_of(many, 1.0)), choice.enough(costs_of(many, 1.0))) == (80_000, 400_000)


def test_from_scratch_the_first_images_count_most():
    data, (scratch, *_) = kind(512, 512, train=100), RESNET10
    first = value(scratch, costs_of(data), 1, 1000) - value(scratch, costs_of(data), 1, 500)
    later = value(scratch, costs_of(data), 1, 8000) - value(scratch, costs_of(data), 1, 4000)
    assert (first, later) == (pytest.approx(0.146), pytest.approx(choice.DOUBLING / 10))
