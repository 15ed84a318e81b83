import os
import pickle
import subprocess
import sys
import warnings
import zlib
from collections import Counter

import albumentations as A
import numpy as np
import pytest
from tests.datasets.conftest import marked, unmarked

from maskfold.datasets.augment import PRESETS, STEP_SCALES, build_augmentation
from maskfold.datasets.transforms import build_transforms, known_transforms
from maskfold.errors import AugmentationError
from maskfold.images import ImageSpec
from maskfold.labels import Label, LabelSpec

GEOMETRIC = ("none", "flips", "d4")
LISTS = {
    "names": ["HorizontalFlip", {"RandomGamma": {"gamma_limit": [80, 120], "p": 0.5}}],
    "nested": [
        {"OneOf": ["GaussianBlur", "MotionBlur"]},
        {"SomeOf": {"transforms": ["CLAHE", {"OneOf": {"transforms": ["RGBShift", "Blur"], "p": 1.0}}], "n": 1}},
    ],
}


def moved(augmentation, image, mask, seed):
    """Image and mask, with 255 where nothing counts, before and after."""
    image, label = augmentation(image, unmarked(mask), seed)
    return image, marked(label)


@pytest.fixture
def scene(codec):
    encode, _ = codec
    mask = np.zeros((70, 90), np.uint8)
    mask[5:30, 10:22] = 1
    mask[50:66, 40:85] = 1
    mask[0:9, 60:90] = 255
    return encode(mask), mask


@pytest.mark.parametrize("spec", [*PRESETS, *LISTS.values()], ids=[*PRESETS, *LISTS])
def test_pure_function_of_the_seed(spec, scene):
    augmentation, other = build_augmentation(spec, crop=48), build_augmentation(spec, crop=48)
    first = [moved(augmentation, *scene, seed) for seed in range(12)]
    again = [moved(other, *scene, seed) for seed in reversed(range(12))][::-1]
    for (image, mask), (image_again, mask_again) in zip(first, again, strict=True):
        assert np.array_equal(image, image_again)
        assert np.array_equal(mask, mask_again)
    assert len({image.tobytes() for image, _ in first}) > 8


@pytest.mark.slow
def test_same_in_another_process_and_after_pickling(scene, tmp_path):
    augmentations = [build_augmentation(spec, crop=40) for spec in ("heavy", "scale_crop")]
    moved(augmentations[0], *scene, 3)
    (tmp_path / "case.pkl").write_bytes(pickle.dumps((augmentations, scene)))
    code = (
        "import sys, pickle, zlib, numpy as np; np.random.seed(99)\n"
        "from tests.datasets.test_augment import moved\n"
        "augmentations, scene = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print([zlib.crc32(b''.join(x.tobytes() for x in moved(a, *scene, s))) for a in augmentations for s in (8, 7)])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code, tmp_path / "case.pkl"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    here = [zlib.crc32(b"".join(x.tobytes() for x in moved(a, *scene, s))) for a in augmentations for s in (7, 8)]
    assert run.stdout.split("\n")[-2] == str([here[1], here[0], here[3], here[2]])


@pytest.mark.parametrize("spec", [*GEOMETRIC, ["HorizontalFlip", "Transpose"]], ids=str)
@pytest.mark.parametrize("crop", [32, 80, 128])
def test_mask_follows_the_image_exactly(spec, crop, scene, codec):
    _, decode = codec
    augmentation = build_augmentation(spec, crop=crop)
    for seed in range(30):
        image, mask = moved(augmentation, *scene, seed)
        assert image.shape == (crop, crop, 3)
        assert mask.shape == (crop, crop)
        assert np.array_equal(decode(image), mask)


def test_step_scaling_keeps_image_and_mask_together(scene, codec):
    _, decode = codec
    augmentation = build_augmentation("scale_crop", crop=64)
    for seed in range(40):
        image, mask = moved(augmentation, *scene, seed)
        assert set(np.unique(mask)) <= {0, 1, 255}
        # The image is interpolated at edges, the mask is not: they agree everywhere else.
        sure = np.isin(image[..., 0], (30, 47, 250))
        assert sure.mean() > 0.8
        assert (decode(image)[sure] == mask[sure]).mean() > 0.995


def test_step_scaling_uses_every_step():
    rows, columns = np.indices((300, 300))
    image = np.stack([rows // 2, columns // 2, rows * 0], -1).astype(np.uint8)
    augmentation = build_augmentation("scale_crop", crop=100)
    spans = Counter()
    for seed in range(280):
        view, _ = moved(augmentation, image, np.zeros((300, 300), np.uint8), seed)
        # 100 output rows span 100 / scale input rows, that is 50 / scale steps of the red channel.
        span = np.ptp(view[..., 0].astype(float))
        spans[min(STEP_SCALES, key=lambda scale: abs(50 / scale - span))] += 1
    assert set(spans) == set(STEP_SCALES)
    assert max(spans.values()) < 75


@pytest.mark.parametrize("spec", ["d4_color", "heavy"])
def test_pixel_transforms_change_the_image_but_not_the_mask_values(spec, scene):
    augmentation, plain = build_augmentation(spec, crop=64), build_augmentation("d4", crop=64)
    changed = 0
    for seed in range(60):
        image, mask = moved(augmentation, *scene, seed)
        # d4 consumes the same first random numbers, so the geometry is that of d4 with the same seed.
        image_plain, mask_plain = moved(plain, *scene, seed)
        assert np.array_equal(mask, mask_plain)
        assert image.dtype == np.uint8
        changed += not np.array_equal(image, image_plain)
    assert changed > 30


def test_two_flips_are_independent(codec):
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 1] = 200
    augmentation = build_augmentation("flips", crop=4)
    mask = image[..., 0] // 200
    places = Counter(tuple(np.argwhere(moved(augmentation, image, mask, seed)[1])[0]) for seed in range(400))
    assert set(places) == {(0, 1), (0, 2), (3, 1), (3, 2)}
    assert min(places.values()) > 60


def test_d4_has_all_eight_views():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    mask = np.zeros((4, 4), np.uint8)
    augmentation = build_augmentation("d4", crop=4)
    views = {moved(augmentation, image, mask, seed)[0].tobytes() for seed in range(200)}
    turns = [np.rot90(base, k) for base in (image, image[:, ::-1]) for k in range(4)]
    assert views == {np.ascontiguousarray(turn).tobytes() for turn in turns}


def test_crop_reaches_everywhere_and_padding_reflects():
    rows, columns = np.indices((9, 11))
    image = np.stack([rows, columns, rows * 0], -1).astype(np.uint8)
    crop = build_augmentation("none", crop=8)
    corners = {tuple(moved(crop, image, rows.astype(np.uint8), seed)[0][0, 0, :2]) for seed in range(200)}
    assert corners == {(row, column) for row in range(2) for column in range(4)}
    padded, mask = moved(build_augmentation("none", crop=30), image, rows.astype(np.uint8), 5)
    assert np.array_equal(padded[..., 0], mask)
    steps = np.abs(np.diff(padded[..., 0].astype(int), axis=0))
    assert (steps == 1).all(), "reflection about the border pixel neither jumps nor repeats"
    large, rows = build_augmentation("none", crop=30), rows.astype(np.uint8)
    placed = {moved(large, image, rows, seed)[0].tobytes() for seed in range(20)}
    assert len(placed) > 10


def test_images_of_one_pixel_are_padded():
    small = np.full((1, 1, 3), 7, np.uint8), np.ones((1, 1), np.uint8)
    image, mask = moved(build_augmentation("d4", crop=16), *small, 0)
    assert (image == 7).all()
    assert (mask == 1).all()


def test_masks_are_never_interpolated():
    spec = [{"Affine": {"rotate": [-45, 45], "scale": [0.7, 1.4], "p": 1.0, "fill_mask": 255}}]
    augmentation = build_augmentation(spec, crop=64)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 10:50] = 7
    image = np.repeat(mask[..., None], 3, axis=2)
    values = set()
    for seed in range(20):
        values |= set(np.unique(moved(augmentation, image, mask, seed)[1]))
    assert values == {0, 7, 255}


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("spec", [*PRESETS, [{"Affine": {"rotate": [-45, 45], "p": 1.0, "fill_mask": 255}}]], ids=str)
def test_classes_that_overlap_move_like_each_alone(spec, classes):
    rng = np.random.default_rng(classes)
    image = rng.integers(0, 255, (50, 70, 3), np.uint8)
    layers = (rng.random((classes, 10, 14)) < 0.4).repeat(5, 1).repeat(5, 2).astype(np.uint8)
    valid = np.ones((50, 70), bool)
    valid[10:25, 30:50] = False
    layers &= valid
    augmentation = build_augmentation(spec, crop=40)
    for seed in range(6):
        _, together = augmentation(image, Label(layers, valid), seed)
        assert together.values.shape == (classes, 40, 40)
        for layer, found in zip(layers, together.values, strict=True):
            _, alone = augmentation(image, Label(layer, valid), seed)
            assert np.array_equal(found, alone.values)
            assert np.array_equal(together.valid, alone.valid)


def test_a_fill_of_0_is_background_and_one_of_255_does_not_count():
    image, ones = np.full((20, 20, 3), 9, np.uint8), Label.whole(np.ones((20, 20), np.uint8))
    for fill, uncounted in ((0, 0), (255, 80)):
        spec = [{"Affine": {"translate_px": {"x": 4, "y": 0}, "fill_mask": fill, "p": 1.0}}]
        _, label = build_augmentation(spec, crop=20)(image, ones, 0)
        assert np.count_nonzero(~label.valid) == uncounted
        assert np.count_nonzero(label.values == 0) == 80


def test_a_fill_of_0_is_background_in_soft_labels_of_exclusive_classes():
    """What is uncovered by any angle, also where an edge of what does not count is mixed with it."""
    labels = LabelSpec("multiclass", ("ground", "road", "car"))
    spec = [{"Affine": {"translate_px": {"x": 4, "y": 0}, "p": 1.0}}]
    hard, valid = np.full((20, 20), 2, np.uint8), np.ones((20, 20), bool)
    hard[:, 9:] = 1
    valid[5:8, 2:6] = False
    image, label = np.full((20, 20, 3), 9, np.uint8), Label(np.where(valid, hard, 0).astype(np.uint8), valid)
    soft = Label(labels.shares(label) * valid, valid)
    augmentation = build_augmentation(spec, crop=20, exclusive=True)
    (_, expected), (_, found) = augmentation(image, label, 0), augmentation(image, soft, 0)
    np.testing.assert_array_equal(found.valid, expected.valid)
    np.testing.assert_allclose(found.values, labels.shares(expected) * expected.valid, atol=1e-6)
    assert found.values[0, :, :4].min() > 1 - 1e-6
    turned = build_augmentation([{"Affine": {"rotate": [-40, 40], "p": 1.0}}], crop=20, exclusive=True)
    thirds = np.stack([np.full((20, 20), share, np.float32) for share in (0.2, 0.3, 0.5)])
    plain = build_augmentation([{"Affine": {"rotate": [-40, 40], "p": 1.0}}], crop=20)
    for seed in range(9):
        _, found = turned(image, Label(thirds * valid, valid), seed)
        _, before = plain(image, Label(thirds * valid, valid), seed)
        np.testing.assert_allclose(found.values.sum(0)[found.valid], 1, atol=1e-4)
        np.testing.assert_array_equal(found.values[1:], before.values[1:])
        assert not found.values[:, ~found.valid].any()


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_uncover_nothing(preset):
    shares = np.random.default_rng(7).dirichlet((1, 1, 1), (50, 44)).transpose(2, 0, 1).astype(np.float32)
    image = np.zeros((50, 44, 3), np.uint8)
    plain, exclusive = (build_augmentation(preset, crop=64, exclusive=each) for each in (False, True))
    for seed in range(4):
        _, label = exclusive(image, Label.whole(shares), seed)
        np.testing.assert_allclose(label.values.sum(0), 1, atol=1e-5)
        np.testing.assert_array_equal(label.values, plain(image, Label.whole(shares), seed)[1].values)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("d5", ["unknown preset d5", "d4"]),
        ("flip", ["did you mean flips"]),
        ([], ["at least one"]),
        (["HorizontalFlp"], ["HorizontalFlp", "did you mean HorizontalFlip"]),
        ([{"RandomGamma": {"gama_limit": [80, 120]}}], ["RandomGamma", "gama_limit", "gamma_limit"]),
        ([{"RandomGamma": {"gamma_limit": "strong"}}], ["RandomGamma", "strong"]),
        ([{"MedianBlur": {"blur": 3}}], ["MedianBlur", "blur_limit"]),
        ([{"OneOf": {"p": 0.5}}], ["OneOf", "no list"]),
        ([{"OneOf": ["Blurr"]}], ["OneOf in data.augment", "did you mean Blur"]),
        ([{"SomeOf": {"transforms": ["Blur"], "count": 1}}], ["SomeOf", "count", "transforms, n, replace, p"]),
        ([{"Blur": {}, "CLAHE": {}}], ["one name"]),
        ([{"Blur": 3}], ["Blur", "3"]),
        (["ToTensorV2"], ["ToTensorV2"]),
        (["RandomCrop"], ["RandomCrop", "height"]),
        ([{"Affine": {"mask_interpolation": 1}}], ["Affine", "mask_interpolation"]),
        (["Mosaic"], ["Mosaic", "mosaic_metadata"]),
        (["BBoxSafeRandomCrop"], ["BBoxSafeRandomCrop", "needs bboxes"]),
        ([{"RandomSizedBBoxSafeCrop": {"height": 9, "width": 9}}], ["RandomSizedBBoxSafeCrop", "needs bboxes"]),
        ([{"OneOf": ["HorizontalFlip", {"AtLeastOneBBoxRandomCrop": {"height": 9, "width": 9}}]}], ["needs bboxes"]),
    ],
    ids=str,
)
def test_errors_name_what_is_wrong(spec, words):
    with pytest.raises(AugmentationError) as error:
        build_augmentation(spec, crop=32)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_list_that_changes_the_channels_is_refused_when_applied(scene):
    augmentation = build_augmentation([{"ToGray": {"num_output_channels": 1, "p": 1.0}}], crop=32)
    with pytest.raises(AugmentationError, match="expected uint8"):
        moved(augmentation, *scene, 0)


def test_list_arguments_arrive():
    gamma, group = build_transforms([LISTS["names"][1], LISTS["nested"][1]])
    assert isinstance(gamma, A.RandomGamma)
    assert tuple(gamma.gamma_limit) == (80, 120)
    assert gamma.p == 0.5
    assert isinstance(group, A.SomeOf)
    assert [type(t).__name__ for t in group.transforms] == ["CLAHE", "OneOf"]
    assert group.transforms[1].p == 1.0


def test_known_transforms_are_albumentations():
    names = known_transforms()
    assert {"HorizontalFlip", "RandomFog", "Affine", "ElasticTransform"} <= set(names)
    assert not {"Lambda", "RandomCrop3D", "OneOf", "Normalize"} & set(names)


OTHERS = [ImageSpec(channels=1), ImageSpec(channels=4), ImageSpec(channels=6), ImageSpec(dtype="uint16"),
          ImageSpec(channels=1, dtype="uint16", scale=4095), ImageSpec(channels=4, dtype="uint16"),
          ImageSpec(channels=2, dtype="float32", scale=30.0)]  # fmt: skip


def bands(images, size=(70, 90), seed=0):
    """An image with values up to the scale, and a label that its first channel tells."""
    generator = np.random.default_rng(seed)
    mask = np.zeros(size, np.uint8)
    mask[5:30, 10:22], mask[50:66, 40:85], mask[:9, 60:] = 1, 1, 255
    values = generator.random((*size, images.channels)) * 0.2 + 0.3
    values[..., 0] = np.choose(np.minimum(mask, 2), [0.1, 0.4, 0.8])
    return (values * images.scale).astype(images.dtype), unmarked(mask)


@pytest.mark.parametrize("images", OTHERS, ids=str)
@pytest.mark.parametrize("spec", list(PRESETS))
def test_presets_are_for_images_of_any_channels_and_values(spec, images):
    image, label = bands(images)
    augmentation = build_augmentation(spec, crop=48, images=images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [augmentation(image, label, seed) for seed in range(25)]
    again = pickle.loads(pickle.dumps(build_augmentation(spec, crop=48, images=images)))(image, label, 3)
    assert np.array_equal(found[3][0], again[0])
    assert len({made.tobytes() for made, _ in found}) > 15
    tops = []
    for made, own in found:
        assert (made.dtype, made.shape) == (image.dtype, (48, 48, images.channels))
        assert set(np.unique(marked(own))) <= {0, 1, 255}
        tops.append(made.max() / images.scale)
    assert 0.5 < np.mean(tops) <= 1


@pytest.mark.parametrize("images", OTHERS, ids=str)
@pytest.mark.parametrize("spec", GEOMETRIC)
def test_geometry_leaves_values_of_any_kind_exactly_as_they_are(spec, images):
    image, label = bands(images)
    levels = [image[marked(label) == value, 0].max() for value in (0, 1, 255)]
    for seed in range(10):
        made, own = build_augmentation(spec, crop=64, images=images)(image, label, seed)
        assert np.array_equal(made[..., 0], np.choose(np.minimum(marked(own), 2), levels))
        assert set(np.unique(made[..., -1])) <= set(np.unique(image[..., -1]))


@pytest.mark.parametrize("images", [ImageSpec(dtype="uint16"), ImageSpec(channels=4, dtype="float32", scale=7.0)])
def test_colours_of_sixteen_bits_keep_their_precision(images):
    image = (np.random.default_rng(1).random((40, 40, images.channels)) * images.scale).astype(images.dtype)
    augmentation = build_augmentation([{"RandomGamma": {"gamma_limit": [80, 80], "p": 1.0}}], crop=40, images=images)
    made, _ = augmentation(image, Label.whole(np.zeros((40, 40), np.uint8)), 0)
    expected = (image / images.scale).astype(float) ** 0.8 * images.scale
    assert np.abs(made - expected).max() <= images.scale * 2e-5
    assert len(np.unique(made)) > 1500, "more than eight bits"


@pytest.mark.parametrize(
    ("spec", "values", "words"),
    [
        (["Crop"], np.eye(70, 90, dtype=np.uint8), "smaller than image sizes"),  # its default is 1024 pixels
        (["MaskDropout"], np.eye(70, 90, dtype=np.float32)[None], "MaskDropout requires"),
        (["MaskDropout"], np.eye(70, 90, dtype=np.uint8)[None].repeat(6, 0), "connectedcomponents"),
    ],
    ids=["size", "soft", "layers"],
)
def test_what_cannot_be_applied_is_one_message(spec, values, words):
    augmentation = build_augmentation([{name: {"p": 1.0} for name in spec}], crop=32)
    with pytest.raises(AugmentationError, match=rf"here of 70x90 pixels, and their labels \(.*{words}") as error:
        augmentation(np.zeros((70, 90, 3), np.uint8), Label.whole(values), 0)
    assert "\n" not in str(error.value)


def test_a_list_that_needs_rgb_says_so():
    images = ImageSpec(channels=4)
    augmentation = build_augmentation([{"HueSaturationValue": {"p": 1.0}}], crop=32, images=images)
    with pytest.raises(AugmentationError, match="cannot be applied to images of 4 channels of uint8"):
        augmentation(*bands(images), 0)
