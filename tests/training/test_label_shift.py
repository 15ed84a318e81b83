"""``data.label_shift``: training sees masks where images show objects, predictions go to where masks are asked for."""

import numpy as np
import pytest
import torch
from tests.drawn_runs import random_run
from torch import nn

from maskfold.competitions import Sample, Samples
from maskfold.config import TTAConfig, load_config, override
from maskfold.datasets import Draw, EvalDataset, ImageCache, TrainDataset, build_augmentation, image_loader
from maskfold.ensembling.checkpoints import ensure_oof
from maskfold.ensembling.export import export_ensemble
from maskfold.ensembling.submit import default_choice, predict_samples
from maskfold.errors import ExportError
from maskfold.inference.predict import predict_batches
from maskfold.labels import Label, LabelSpec
from maskfold.models import Outputs
from maskfold.resizing import moved, moved_label
from maskfold.runs import Run
from maskfold.training.data import fold_data

BINARY = LabelSpec("binary", ("roof",))
STREETS = LabelSpec("multiclass", ("ground", "road", "car"))
CLOUDS = LabelSpec("multilabel", ("fish", "sugar"))


def by_formula(values, shift):
    """Bilinear, pixel by pixel: what was at (y - dy, x - dx), the edge repeated."""
    height, width = values.shape
    found = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            total = 0.0
            there = y - shift[0], x - shift[1]
            for row in (int(np.floor(there[0])), int(np.floor(there[0])) + 1):
                for column in (int(np.floor(there[1])), int(np.floor(there[1])) + 1):
                    share = (1 - abs(there[0] - row)) * (1 - abs(there[1] - column))
                    total += share * values[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            found[y, x] = total
    return found


@pytest.mark.parametrize("shift", [(0.5, 0.5), (-0.5, 0.25), (2, -1), (1.3, 0), (0, 0)])
def test_moved_by_the_formula(shift):
    layers = np.random.default_rng(0).random((2, 9, 13)).astype(np.float32)
    expected = np.stack([by_formula(layer, shift) for layer in layers])
    np.testing.assert_allclose(moved(layers, shift), expected, atol=1e-6)
    whole = np.random.default_rng(1).integers(0, 255, (9, 13), np.uint8)
    assert moved(whole, (2, -1)).dtype == np.uint8
    np.testing.assert_array_equal(moved(whole, (2, -1))[2:, :-1], whole[:-2, 1:])


@pytest.mark.parametrize("labels", [BINARY, STREETS, CLOUDS], ids=lambda labels: labels.task)
def test_a_moved_label(labels):
    rng = np.random.default_rng(2)
    mask = rng.integers(0, labels.highest + 1, labels.mask_shape((10, 14))).astype(np.uint8)
    valid = np.ones((10, 14), bool)
    valid[4:7, 3:6] = False
    label = Label(np.where(valid, mask, 0).astype(np.uint8), valid, rng.integers(0, 4, (10, 14)).astype(np.int32))
    hard = moved_label(label, (1, -2), labels)
    assert not hard.soft
    np.testing.assert_array_equal(hard.values[..., 1:, :-2], label.values[..., :-1, 2:])
    np.testing.assert_array_equal(hard.instances[1:, :-2], np.where(valid, label.instances, 0)[:-1, 2:])
    np.testing.assert_array_equal(hard.valid[1:, :-2], valid[:-1, 2:])
    assert not hard.valid[0].any(), "nobody knows what came in"
    assert not hard.valid[:, -2:].any()
    for distance, above in ((-0.3, 0.7), (-0.5, 0.51)):
        soft = moved_label(label, (distance, 0), labels)
        shares = labels.shares(label)
        counted = valid[:-1] * above, valid[1:] * (1 - above)
        expected = (shares[:, :-1] * counted[0] + shares[:, 1:] * counted[1]) / np.maximum(sum(counted), 1e-6)
        assert (soft.valid[:-1] == valid[:-1]).all(), "the nearer of the two decides what counts"
        assert not soft.valid[-1].any()
        np.testing.assert_allclose(soft.values[:, :-1], np.where(soft.valid[:-1], expected, 0), atol=1e-6)


@pytest.mark.parametrize(
    ("shift", "corners"),
    [((0.5, 0.5), 2), ((-0.5, -0.5), 2), ((0.5, -0.5), 2), ((-1.5, 2.5), 2), ((0.5, 0), 0), ((0, -1.5), 0)],
)
@pytest.mark.parametrize("labels", [BINARY, STREETS, CLOUDS], ids=lambda labels: labels.task)
def test_half_a_pixel_keeps_areas(labels, shift, corners):
    """Whether a loss decides above one half or from one half on; of two rectangles one corner each may go."""
    there = np.zeros((40, 50), np.uint8)
    there[8:21, 10:29] = 1
    there[25:28, 35:40] = 1
    mask = np.stack([there, there[:, ::-1]]) if labels.task == "multilabel" else there
    label = moved_label(Label(mask, np.ones(there.shape, bool), there.astype(np.int32)), shift, labels)
    layer = 1 if labels.exclusive else 0
    values, decided = label.values[layer], labels.layers(labels.hard(label))[layer]
    assert (values > 0.5).sum() == (values >= 0.5).sum() == 13 * 19 + 3 * 5 - corners
    np.testing.assert_array_equal(decided, values > 0.5)
    assert ((label.instances > 0) != (values > 0.5)).sum() == corners, "objects go where their masks do"


def test_other_parts_of_a_pixel_are_moved_exactly():
    mask = (np.random.default_rng(3).random((9, 13)) < 0.4).astype(np.uint8)
    found = moved_label(Label.whole(mask), (-0.25, 0), BINARY).values[0, :-1]
    np.testing.assert_array_equal(found, np.float32(0.75) * mask[:-1] + np.float32(0.25) * mask[1:])
    found = moved_label(Label.whole(mask), (0, -0.75), BINARY).values[0, :, :-1]
    np.testing.assert_array_equal(found, np.float32(0.25) * mask[:, :-1] + np.float32(0.75) * mask[:, 1:])


class Bright(nn.Module):
    """Foreground where an image is bright: where the image shows objects, whatever the masks say."""

    def forward(self, images):
        return Outputs((images[:, :1].float() - 127.5) / 4, {})


class Beside:
    """A competition in memory whose masks stand ``shift`` whole pixels beside bright rectangles."""

    labels, images, name, submission_size = BINARY, None, "beside", None

    def __init__(self, shift, size=(40, 56), asked=None):
        from maskfold.images import PLAIN

        self.images = PLAIN
        rng = np.random.default_rng(4)
        self.asked, self.arrays = asked, {}
        for number in range(3):
            shown = np.zeros(size, np.uint8)
            shown[8 + number : 21, 10:29] = 1
            shown[25:31, 30 + 2 * number : 44] = 1
            image = np.where(shown[..., None] > 0, 230, 20) + rng.integers(0, 20, (*size, 3))
            self.arrays[f"{number}.png"] = image.astype(np.uint8), np.roll(shown, shift, (0, 1))

    def samples(self, split="train"):
        return Samples(Sample(name[0], name, (name,)) for name in sorted(self.arrays))

    def image(self, path):
        return self.arrays[path][0].copy()

    def size(self, path):
        return self.arrays[path][0].shape[:2]

    def sizes(self, samples):
        return [self.size(sample.image) for sample in samples]

    def scored_size(self, sample):
        return self.asked or self.size(sample.image)

    def resampling(self, sample):
        return 1.0

    def label(self, masks, shape, *, id=""):
        return Label.whole(self.arrays[masks[0]][1])

    def scored_label(self, sample, shape):
        from maskfold.resizing import fit_label

        return fit_label(self.label(sample.masks, shape), self.scored_size(sample), self.labels)


def test_training_sees_masks_where_the_images_show_objects():
    shift = (3, -2)
    competition = Beside(shift)
    augment = build_augmentation("d4", crop=32)
    options = {"augment": augment, "seed": 1, "label_shift": shift}
    for scale in (1.0, 0.5):
        items = [
            TrainDataset(competition, competition.samples(), **{**options, "augment": None, "scale": scale})[Draw(0, i)]
            for i in range(3)
        ]
        for item in items:
            shown, target, valid = item["image"][0] > 127, item["targets"]["mask"][0] > 0.5, item["valid"][0]
            assert (shown == target)[valid].float().mean() > (0.999 if scale == 1 else 0.98)
            assert target[valid].any()
    moved_item = TrainDataset(competition, competition.samples(), **options)[Draw(0, 1)]
    assert ((moved_item["image"][0] > 127) == (moved_item["targets"]["mask"][0] > 0.5))[moved_item["valid"][0]].all()
    beside = TrainDataset(competition, competition.samples(), **{**options, "label_shift": (0.0, 0.0)})[Draw(0, 1)]
    assert not ((beside["image"][0] > 127) == (beside["targets"]["mask"][0] > 0.5)).all()


def test_half_a_pixel_makes_all_labels_soft():
    competition = Beside((0, 0))
    item = TrainDataset(competition, competition.samples(), label_shift=(0.5, 0.0))[Draw(0, 0)]
    assert item["targets"]["mask"].unique().tolist() == pytest.approx([0, 0.49, 0.51, 1])
    assert item["targets"]["mask"].dtype == torch.float32


@pytest.mark.parametrize(("scale", "asked"), [(1.0, None), (0.5, None), (1.0, (20, 28)), (1.0, (80, 56))])
@pytest.mark.parametrize("views", ["none", "d4"])
def test_predictions_stand_where_the_masks_do(scale, asked, views):
    """At whatever scale the network looks, at whatever size masks are asked for, in whatever views."""
    competition = Beside((4, -6), asked=asked)
    config = load_config(None, {"data.scale": scale, "data.label_shift": [4, -6], "data.workers": 0})
    loader = image_loader(competition, competition.samples(), config)
    found = list(
        predict_batches([Bright()], loader, labels=BINARY, tta=TTAConfig(views=views), device=torch.device("cpu"))
    )
    assert len(found) == 3
    for prediction in found:
        mask, truth = prediction.probability[0] >= 0.5, prediction.label.values > 0
        assert mask.shape == (asked or (40, 56))
        assert (mask == truth).mean() > (0.999 if scale == 1 and asked is None else 0.97)
    without = load_config(None, {"data.scale": scale, "data.workers": 0})
    for batch in image_loader(competition, competition.samples(), without):
        assert "shift" not in batch
    assert EvalDataset(competition, competition.samples(), label_shift=(4, -6))[0]["shift"] == (
        (4.0, -6.0) if asked is None else (4 * asked[0] / 40, -6 * asked[1] / 56)
    )


@pytest.fixture
def shifted(config):
    return override(config, {"data.label_shift": [0.5, -1.25], "model.options": {"encoder_depth": 3,
                             "decoder_channels": [8, 8, 8]}})  # fmt: skip


def test_out_of_fold_maps_and_predictions_are_moved_alike(config, shifted, competition, tmp_path):
    """The same networks with and without: every map is the other one's, moved."""
    plain = override(shifted, {"data.label_shift": [0, 0]})
    runs = [random_run(tmp_path / name, each) for name, each in (("a", plain), ("b", shifted))]
    stores = [ensure_oof(run, 0, "best", competition, config.tta) for run in runs]
    assert stores[0].ids() == stores[1].ids()
    for image_id in stores[0].ids():
        first, second = (store.read(image_id).astype(np.float32) for store in stores)
        np.testing.assert_allclose(moved(first, (0.5, -1.25)), second, atol=1.01)  # 8 bits, rounded twice
    samples = competition.samples("test")
    found = [list(predict_samples(default_choice([run]), competition, samples, batch_size=3)) for run in runs]
    for first, second in zip(*found, strict=True):
        np.testing.assert_allclose(moved(first.probability, (0.5, -1.25)), second.probability, atol=1e-6)
        assert np.ptp(first.probability) > 0.05
    with pytest.raises(ExportError, match=r"data\.label_shift is set"):
        export_ensemble(default_choice(runs[1:]), runs[1:], competition, tmp_path / "a.pt", form="torchscript")


def test_cached_images_have_moved_labels(config, shifted, competition):
    samples = competition.samples("train")
    augment, shift = build_augmentation("d4", crop=32), shifted.data.label_shift
    cache = ImageCache(competition, samples, scale=1.0, limit=2**26)
    plain, cached = (
        TrainDataset(competition, samples, augment=augment, label_shift=shift, cache=held) for held in (None, cache)
    )
    for index in range(4):
        for _ in range(2):  # read, then found
            assert torch.equal(plain[Draw(0, index)]["targets"]["mask"], cached[Draw(0, index)]["targets"]["mask"])


def test_what_an_augmentation_uncovers_is_the_background_of_soft_classes(streets, tmp_path):
    config, _ = streets
    away = [{"Affine": {"translate_px": {"x": 100, "y": 0}, "p": 1.0}}]
    config = override(config, {"data.label_shift": [0.5, 0], "data.augment": away, "data.workers": 0})
    batch = next(iter(fold_data(Run.create(config, tmp_path), 0, needs=frozenset()).train))
    mask, valid = batch["targets"]["mask"], batch["valid"][:, 0]
    assert mask.dtype == torch.float32
    assert valid.any()
    assert (mask[:, 0][valid] > 1 - 1e-6).all()
    assert (mask[:, 1:] == 0).all()
