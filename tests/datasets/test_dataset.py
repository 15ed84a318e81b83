import numpy as np
import pytest
import torch
from tests.datasets.conftest import marked, unmarked

from maskfold.config import Config
from maskfold.datasets.augment import build_augmentation
from maskfold.datasets.dataset import (
    EXTRAS,
    Draw,
    EvalDataset,
    TrainDataset,
    image_tensor,
    item_seed,
    resize_image,
    resize_label,
)
from maskfold.datasets.loader import image_loader, train_loader
from maskfold.datasets.sampler import EpochSampler
from maskfold.errors import ConfigError
from maskfold.images import ImageSpec
from maskfold.labels import Label, LabelSpec
from maskfold.losses.boundary import signed_distance
from maskfold.resizing import scaled_size

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", tuple(map(str, range(60))))
OVERLAPPING = LabelSpec("multilabel", ("fish", "sugar"))
SIZES = [(60, 80), (80, 60), (60, 80), (45, 45), (101, 33)]
PRESENCE = {"presence"}


@pytest.fixture
def binary(fake):
    return fake(SIZES, empty=(3,), ignored=(1,))


def test_evaluation_item_is_the_file(binary):
    dataset = EvalDataset(binary, binary.samples())
    item = dataset[1]
    image, mask = binary.arrays["001.png"]
    assert torch.equal(item["image"], torch.from_numpy(image).permute(2, 0, 1))
    assert item["label"].values.dtype == np.uint8
    assert np.array_equal(marked(item["label"]), mask)
    assert 255 in mask
    assert (item["id"], item["index"], item["size"]) == ("001", 1, (80, 60))


def test_evaluation_target_stays_at_native_size_when_the_image_is_scaled(binary):
    item = EvalDataset(binary, binary.samples(), scale=0.5)[4]
    assert item["image"].shape == (3, 50, 16)
    assert item["label"].values.shape == (101, 33)
    assert item["size"] == (101, 33)


def test_training_item_binary(binary, codec):
    _, decode = codec
    dataset = TrainDataset(binary, binary.samples(), augment=build_augmentation("d4", crop=48), seed=3)
    seen = set()
    for epoch in range(4):
        item = dataset[Draw(epoch, 1)]
        assert item["image"].dtype == torch.uint8
        assert item["image"].shape == (3, 48, 48)
        target, valid = item["targets"]["mask"], item["valid"]
        assert (target.dtype, valid.dtype) == (torch.uint8, torch.bool)
        assert target.shape == valid.shape == (1, 48, 48)
        known = torch.where(valid, target, 255)[0]
        assert np.array_equal(decode(item["image"].permute(1, 2, 0).numpy()), known.numpy())
        seen |= set(known.unique().tolist())
    assert seen == {0.0, 1.0, 255.0}


def test_training_item_multi_class(fake, codec):
    _, decode = codec
    competition = fake(SIZES, classes=5, ignored=(0,))
    dataset = TrainDataset(competition, competition.samples(), augment=build_augmentation("flips", crop=64))
    item = dataset[Draw(0, 0)]
    target, valid = item["targets"]["mask"], item["valid"]
    assert (target.dtype, valid.dtype) == (torch.uint8, torch.bool)
    assert (target.shape, valid.shape) == ((64, 64), (1, 64, 64))
    known = torch.where(valid[0], target, 255)
    assert np.array_equal(decode(item["image"].permute(1, 2, 0).numpy()), known.numpy())
    assert {255} < set(known.unique().tolist()) <= {0, 1, 2, 3, 4, 255}


def test_samples_without_masks_have_no_label(binary):
    item = EvalDataset(binary, binary.samples("test"))[0]
    assert "label" not in item
    assert item["size"] == (60, 80)


def test_augmentation_is_a_function_of_seed_epoch_and_index(binary):
    def make(seed):
        return TrainDataset(binary, binary.samples(), augment=build_augmentation("heavy", crop=40), seed=seed)

    dataset = make(1)
    first = dataset[Draw(2, 4)]
    dataset[Draw(0, 1)], dataset[Draw(3, 4)]
    assert torch.equal(dataset[Draw(2, 4)]["image"], first["image"])
    assert torch.equal(make(1)[Draw(2, 4)]["image"], first["image"])
    others = [make(2)[Draw(2, 4)], dataset[Draw(3, 4)], dataset[Draw(2, 4, 1)]]
    assert [item["id"] for item in others] == ["004"] * 3
    assert all(not torch.equal(item["image"], first["image"]) for item in others)
    assert others[-1]["index"] == 4


def test_item_seeds_do_not_collide():
    seeds = {item_seed(s, e, i) for s in range(5) for e in range(20) for i in range(50)}
    assert len(seeds) == 5000


def test_worker_count_leaves_no_trace(fake):
    competition = fake([(60, 60)] * 11)
    augment = build_augmentation("heavy", crop=32)
    dataset = TrainDataset(competition, competition.samples(), augment=augment, seed=7)
    runs = []
    for workers in (0, 2):
        sampler = EpochSampler(11, batch_size=4, seed=7)
        loader = train_loader(dataset, sampler, workers)
        epochs = []
        for epoch in (1, 2):
            sampler.epoch = epoch
            epochs.append(list(loader))
        runs.append(epochs)
    for alone, shared in zip(*runs, strict=True):
        assert [batch["id"] for batch in alone] == [batch["id"] for batch in shared]
        for a, b in zip(alone, shared, strict=True):
            assert torch.equal(a["image"], b["image"])
            assert torch.equal(a["targets"]["mask"], b["targets"]["mask"])
            assert torch.equal(a["valid"], b["valid"])
    one, two = runs[0]
    assert not torch.equal(one[0]["image"], two[0]["image"])


def test_passes_over_a_loader_leave_the_global_generator_alone(binary):
    dataset = TrainDataset(binary, binary.samples(), augment=build_augmentation("d4", crop=32))
    loader = train_loader(dataset, EpochSampler(5, batch_size=2, seed=0), 0)
    before = torch.get_rng_state()
    list(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_image_loader_batches(binary):
    config = Config(data={"scale": 0.5, "workers": 0}, inference={"batch_size": 2})
    sizes = [binary.size(sample.image) for sample in binary.samples()]
    batches = list(image_loader(binary, binary.samples(), config))
    seen = {}
    for batch in batches:
        assert batch["image"].ndim == 4
        assert batch["image"].dtype == torch.uint8
        assert isinstance(batch["label"], list)
        for image, label, size, index in zip(
            batch["image"], batch["label"], batch["size"], batch["index"].tolist(), strict=True
        ):
            assert label.values.shape == label.valid.shape == size == sizes[index]
            assert tuple(image.shape[1:]) == scaled_size(size, 0.5)
            seen[index] = label
    assert sorted(seen) == list(range(5))
    assert max(len(batch["id"]) for batch in batches) == 2


def test_draws_of_one_image_are_seeded_as_ever(binary):
    """Seeds of augmentation are part of every published number: (seed, epoch, index + n * repeat)."""
    augment = build_augmentation("d4_color", crop=40)
    dataset = TrainDataset(binary, binary.samples(), augment=augment, seed=9)
    image, mask = binary.arrays["003.png"]
    for repeat in range(3):
        expected, _ = augment(image, unmarked(mask), item_seed(9, 4, 3 + 5 * repeat))
        assert np.array_equal(dataset[Draw(4, 3, repeat)]["image"].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
@pytest.mark.parametrize(("dtype", "top", "tensor"), [("uint8", 255, torch.uint8), ("uint16", 65535, torch.int32),
                                                      ("float32", 1.0, torch.float32)])  # fmt: skip
def test_images_of_any_channels_and_values_scale_and_become_tensors(channels, dtype, top, tensor):
    image = (np.random.default_rng(3).random((40, 62, channels)) * top).astype(dtype)
    small = resize_image(image, 0.5)
    assert (small.dtype, small.shape) == (image.dtype, (20, 31, channels))
    blocks = image.astype(float).reshape(20, 2, 31, 2, channels).mean(axis=(1, 3))
    assert np.abs(small - blocks).max() <= (1e-6 if dtype == "float32" else 1)
    for scale, size in ((1.5, (60, 93)), (0.75, (30, 46))):
        other = resize_image(image, scale)
        assert other.shape == (*size, channels)
        alone = np.stack([resize_image(np.ascontiguousarray(image[..., c]), scale) for c in range(channels)], -1)
        assert np.abs(other.astype(float) - alone).max() <= (1e-5 if dtype == "float32" else 1)
    made = image_tensor(image)
    assert (made.dtype, tuple(made.shape)) == (tensor, (channels, 40, 62))
    assert np.array_equal(made.permute(1, 2, 0).numpy(), image)


@pytest.mark.parametrize("scale", [0.25, 0.5, 0.8, 1.5, 2.0, 3.0])
def test_image_and_mask_scale_about_the_same_centres(scale):
    # A smooth ramp and the mask of its upper half must still meet at the same level.
    ramp = np.tile(np.linspace(0, 255, 120).round().astype(np.uint8), (80, 1))
    mask = (ramp >= 128).astype(np.uint8)
    image = resize_image(np.repeat(ramp[..., None], 3, axis=2), scale)[..., 0].astype(int)
    height, width = scaled_size(mask.shape, scale)
    for labels in (BINARY, CLASSES):
        small = resize_label(Label.whole(mask), scale, labels).values
        assert small.shape == (height, width) == image.shape
        assert small.dtype == np.uint8
        step = 255 / 119 / scale
        assert image[small == 0].max() <= 127.5 + step / 2 + 1.1
        assert image[small == 1].min() >= 127.5 - step / 2 - 1.1


def test_binary_masks_scale_by_area_and_keep_255():
    generator = np.random.default_rng(0)
    mask = (generator.random((90, 130)) < 0.3).astype(np.uint8)
    mask[30:60, 40:100] = 1
    mask[:21, :51] = 255
    small = marked(resize_label(unmarked(mask), 0.5, BINARY))
    there, counted = ((mask == 1).reshape(45, 2, 65, 2).sum((1, 3)), (mask != 255).reshape(45, 2, 65, 2).sum((1, 3)))
    expected = (2 * there >= counted).astype(np.uint8)
    assert np.array_equal(small[small != 255], expected[small != 255])
    assert (small[:10, :25] == 255).all()
    assert (small[11:] != 255).all()
    assert (small[:, 26:] != 255).all()
    label = unmarked(mask)
    assert resize_label(label, 1.0, BINARY) is label
    layered = resize_label(Label(np.stack([label.values, label.values.T.copy().T]), label.valid), 0.5, OVERLAPPING)
    assert np.array_equal(layered.values[0], np.where(small == 255, 0, small))
    assert layered.values.shape == (2, *small.shape)


@pytest.mark.parametrize("block", [3, 4, 5])
def test_what_does_not_count_is_no_background_when_masks_shrink(block):
    """Of each block the pixels that count vote; elsewhere nothing changes by what does not count here."""
    rng = np.random.default_rng(block)
    height, width = 14 * block, 19 * block
    valid = rng.random((height, width)) < 0.6
    valid[:, width // 2 :] = True
    layers = (rng.random((2, height, width)) < 0.45) & valid
    found = resize_label(Label(layers.astype(np.uint8), valid), 1 / block, OVERLAPPING)
    there = layers.reshape(2, 14, block, 19, block).sum((2, 4))
    counted = valid.reshape(14, block, 19, block).sum((1, 3))
    expected = (2 * there >= counted) & found.valid
    assert 0.2 < found.valid[:, :9].mean() < 0.8
    assert np.array_equal(found.values, expected)
    one = resize_label(Label(layers[1].astype(np.uint8), valid), 1 / block, BINARY)
    assert np.array_equal(one.values, expected[1])
    whole = resize_label(Label.whole(layers.astype(np.uint8)), 1 / block, OVERLAPPING)
    assert np.array_equal(found.values[..., 10:], whole.values[..., 10:])


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.8, 1.5, 2.5])
def test_classes_come_from_the_pixel_under_the_centre(scale):
    mask = np.tile(np.arange(60, dtype=np.uint8), (60, 1))
    small = resize_label(Label.whole(mask), scale, CLASSES).values
    centres = (np.arange(small.shape[1]) + 0.5) * 60 / small.shape[1]
    assert np.abs(small[0] + 0.5 - centres).max() <= 0.5 + 1e-9
    assert np.array_equal(resize_label(Label.whole(mask.T.copy()), scale, CLASSES).values, small.T)


def test_classes_are_never_mixed_when_scaled():
    mask = np.zeros((50, 70), np.uint8)
    mask[:, 20:40] = 9
    mask[10:30] = 4
    mask[40:] = 255
    for scale in (0.37, 0.5, 2.3):
        assert set(np.unique(marked(resize_label(unmarked(mask), scale, CLASSES)))) == {0, 4, 9, 255}


def test_scaled_size_is_at_least_one_pixel():
    assert scaled_size((3, 500), 0.1) == (1, 50)


def test_distance_is_made_of_the_augmented_mask(binary, fake):
    augment, needs = build_augmentation("d4", crop=40), {"distance"}
    dataset = TrainDataset(binary, binary.samples(), augment=augment, needs=needs)
    item = dataset[Draw(0, 1)]
    targets = item["targets"]
    assert targets["distance"].dtype == torch.float32
    assert targets["distance"].shape == (1, 40, 40)
    expected = signed_distance(targets["mask"][0].numpy() == 1)
    assert np.allclose(targets["distance"][0].numpy(), expected, atol=1e-4)
    assert np.ptp(expected) > 20
    classes = fake(SIZES, classes=3)
    dataset = TrainDataset(classes, classes.samples(), augment=augment, needs=needs)
    targets = next(t for t in (dataset[Draw(0, i)]["targets"] for i in range(5)) if (t["mask"] == 2).any())
    assert targets["distance"].shape == (3, 40, 40)
    expected = signed_distance(targets["mask"].numpy() == 2)
    assert np.allclose(targets["distance"][2].numpy(), expected, atol=1e-4)
    assert np.ptp(expected) > 5


def test_distance_of_a_class_is_of_what_counts_of_it(fake):
    """Class 0 is what stands where nothing counts, but not a part of the class."""
    competition = fake(SIZES, classes=3, ignored=(0,))
    item = TrainDataset(competition, competition.samples(), needs={"distance"})[Draw(0, 0)]
    where = (item["targets"]["mask"] == 0) & item["valid"][0]
    assert (~item["valid"]).sum() > 0
    assert np.array_equal(item["targets"]["distance"][0].numpy(), signed_distance(where.numpy()))


def test_presence_is_of_what_the_crop_shows_and_counts(fake):
    """A class of which no pixel is left in the crop, or none that counts, is not there."""
    competition = fake(SIZES, classes=4, empty=(1,), ignored=(0, 2))
    dataset = TrainDataset(
        competition, competition.samples(), augment=build_augmentation("d4", crop=16), needs=PRESENCE
    )
    seen = set()
    for epoch in range(6):
        for index in range(len(dataset)):
            item = dataset[Draw(epoch, index)]
            mask, valid, found = item["targets"]["mask"], item["valid"][0], item["targets"]["presence"]
            assert (found.dtype, found.shape) == (torch.float32, (4,))
            assert found.tolist() == [float(((mask == number) & valid).any()) for number in range(4)]
            seen.add(tuple(found.tolist()))
    assert len(seen) > 3
    assert (1.0, 0.0, 0.0, 0.0) in seen


def test_presence_of_images_that_are_empty_or_not_scored(fake):
    competition = fake([(20, 24)] * 3, empty=(1,))
    image, mask = competition.arrays["002.png"]
    competition.arrays["002.png"] = image, np.full_like(mask, 255)
    dataset = TrainDataset(competition, competition.samples(), needs=PRESENCE)
    items = [dataset[Draw(0, index)] for index in range(3)]
    assert [item["targets"]["presence"].tolist() for item in items] == [[1.0], [0.0], [0.0]]
    assert [bool(item["valid"].any()) for item in items] == [True, True, False]


def test_presence_of_shares_is_the_largest_that_counts():
    labels = LabelSpec("multilabel", ("fog", "haze"))
    values = np.array([[[0.2, 0.9, 0.0]], [[0.0, 0.3, 0.4]]], np.float32)
    found = EXTRAS["presence"](Label(values, np.array([[True, False, True]])), labels)
    assert found.tolist() == pytest.approx([0.2, 0.4])
    hard = EXTRAS["presence"](
        Label(np.array([[[0, 1, 0]], [[0, 0, 1]]], np.uint8), np.array([[1, 0, 1]], bool)), labels
    )
    assert hard.tolist() == [0.0, 1.0]


def test_unknown_needs_are_refused(binary):
    with pytest.raises(ConfigError, match=r"skeleton.*distance, presence"):
        TrainDataset(binary, binary.samples(), needs={"skeleton"})


def one_channel(fake, dtype):
    """The same competition, its images the mask's code alone, grey."""
    competition = fake(SIZES)
    competition.images = ImageSpec(channels=1, dtype=dtype)
    competition.arrays = {
        name: (image[..., :1].astype(dtype), mask) for name, (image, mask) in competition.arrays.items()
    }
    return competition


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_items_of_one_channel(fake, dtype):
    competition = one_channel(fake, dtype)
    augment = build_augmentation("d4", crop=48, images=competition.images)
    item = TrainDataset(competition, competition.samples(), augment=augment, scale=1.0)[Draw(0, 2)]
    assert item["image"].shape == (1, 48, 48)
    assert np.array_equal((item["image"][0].numpy() - 30) // 17, item["targets"]["mask"][0].numpy())
    whole = EvalDataset(competition, competition.samples(), scale=0.5)[1]
    assert (tuple(whole["image"].shape), whole["size"]) == ((1, 40, 30), (80, 60))
