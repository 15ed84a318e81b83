import io

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from tests.competitions.test_images import RGB, pil_png, png

from maskfold.competitions.label_images import LabelReader
from maskfold.competitions.label_map import LabelMap
from maskfold.errors import CompetitionError
from maskfold.labels import LabelSpec

BINARY = LabelReader(LabelSpec("binary", ("road",)))


def decode_binary(data, name):
    label = BINARY.decode(data, name)
    assert label.valid.all()
    return label.values


def decode_classes(data, name, classes):
    return LabelReader(LabelSpec("multiclass", tuple("abc"[:classes]))).decode(data, name)


MASK = np.random.default_rng(3).integers(0, 2, (7, 11), np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        png(MASK),
        png(MASK * 255),
        png(np.repeat(MASK[..., None] * 255, 3, axis=2)),
        pil_png(Image.fromarray(MASK.astype(bool))),
        pil_png(Image.fromarray(MASK * 255).convert("LA")),
    ],
    ids=["0/1", "0/255", "rgb", "1 bit", "with alpha"],
)
def test_binary_masks(data):
    mask = decode_binary(data, "m.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, MASK)


def test_palette_masks_mean_their_greys_or_their_indices():
    indexed = Image.fromarray(1 - MASK, "P")
    indexed.putpalette([255, 255, 255, 0, 0, 0])  # index 0 is white
    np.testing.assert_array_equal(decode_binary(pil_png(indexed), "m.png"), MASK)
    indexed = Image.fromarray(MASK, "P")
    indexed.putpalette([0, 0, 0, 128, 0, 0])  # the colours of PASCAL VOC
    np.testing.assert_array_equal(decode_binary(pil_png(indexed), "m.png"), MASK)


def test_full_and_empty_masks():
    assert decode_binary(png(np.full((3, 5), 255, np.uint8)), "m.png").all()
    assert not decode_binary(png(np.zeros((3, 5), np.uint8)), "m.png").any()


@pytest.mark.parametrize(
    ("values", "listed"),
    [([0, 1, 255], "0, 1, 255"), ([0, 128], "0, 128"), (list(range(12)), "0, 1, 2, 3, 4, 5, 6, 7 and 4 more")],
)
def test_other_values_of_binary_masks_are_listed(values, listed):
    with pytest.raises(CompetitionError, match=rf"m\.png holds the values {listed}, expected 0 and 255 or 0 and 1"):
        decode_binary(png(np.array([values], np.uint8)), "m.png")


def test_colourful_masks_are_refused():
    with pytest.raises(CompetitionError, match=r"m\.png is a colour image"):
        decode_binary(png(RGB), "m.png")


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_masks_drawn_in_the_alpha_channel_alone_are_refused(mode):
    for colour in (0, 255):
        one = Image.fromarray(np.full((7, 11), colour, np.uint8)).convert(mode)
        one.putalpha(Image.fromarray(MASK * 255))
        with pytest.raises(CompetitionError, match=r"m\.png has a single colour, its shapes are in the alpha channel"):
            decode_binary(pil_png(one), "m.png")
    opaque = Image.fromarray(np.zeros((7, 11), np.uint8)).convert(mode)
    assert not decode_binary(pil_png(opaque), "m.png").any()
    both = Image.fromarray(MASK * 255).convert(mode)
    both.putalpha(Image.fromarray(MASK * 255))
    np.testing.assert_array_equal(decode_binary(pil_png(both), "m.png"), MASK)


LABEL = np.array([[0, 1, 2], [255, 2, 1]], np.uint8)


def test_labels_keep_void_and_palette_indices():
    def check(data):
        label = decode_classes(data, "l.png", 3)
        assert label.values.dtype == np.uint8
        np.testing.assert_array_equal(label.values, np.where(LABEL == 255, 0, LABEL))
        np.testing.assert_array_equal(label.valid, LABEL != 255)

    check(png(LABEL))
    for colours in ([0, 0, 0, 128, 0, 0, 0, 128, 0], [0, 0, 0, 100, 100, 100, 200, 200, 200]):
        indexed = Image.fromarray(LABEL, "P")
        indexed.putpalette(colours + [9] * 759)
        check(pil_png(indexed))
    check(png(LABEL.astype(np.uint16)))


def test_labels_outside_the_classes_are_listed():
    with pytest.raises(CompetitionError, match=r"l\.png holds the values 2, expected classes 0\.\.1 and 255"):
        decode_classes(png(LABEL), "l.png", 2)
    with pytest.raises(CompetitionError, match=r"l\.png holds the values 700, expected classes 0\.\.1 and 255"):
        decode_classes(png(np.array([[0, 700]], np.uint16)), "l.png", 2)
    with pytest.raises(CompetitionError, match=r"l\.png cannot be read as a mask"):
        decode_classes(b"", "l.png", 2)


def test_values_and_palettes_by_a_map():
    reader = LabelReader(LabelSpec("multiclass", ("a", "b")), LabelMap({"1": "0", "2": "1", "others": "255"}))
    indexed = Image.fromarray(LABEL, "P")
    indexed.putpalette([9, 9, 9, 128, 128, 128, 200, 200, 200] + [7] * 759)
    for data in (png(LABEL), pil_png(indexed), png(np.repeat(LABEL[..., None], 3, axis=2))):
        label = reader.decode(data, "l.png")
        np.testing.assert_array_equal(label.values, [[0, 0, 1], [0, 1, 0]])
        np.testing.assert_array_equal(label.valid, [[False, True, True], [False, True, True]])
    np.testing.assert_array_equal(reader.pixels(np.array([[0, 1]], np.uint8)), [[1, 2]])
    with pytest.raises(
        CompetitionError, match=r"l\.png is a colour image, .*: where colours stand for classes, name them"
    ):
        reader.decode(png(RGB), "l.png")


def test_colours_by_a_map():
    reader = LabelReader(LabelSpec("binary", ("road",)), LabelMap({"128 0 0": "1", "0 128 0": "0", "9 9 9": "255"}))
    indexed = Image.fromarray(np.minimum(LABEL, 2), "P")
    indexed.putpalette([9, 9, 9, 128, 0, 0, 0, 128, 0] + [7] * 759)
    for image in (indexed, indexed.convert("RGB"), indexed.convert("RGBA")):
        label = reader.decode(pil_png(image), "l.png")
        np.testing.assert_array_equal(label.values, [[0, 1, 0], [0, 0, 1]])
        np.testing.assert_array_equal(label.valid, [[False, True, True], [True, True, True]])
    np.testing.assert_array_equal(reader.pixels(np.array([[1, 0]], np.uint8)), [[(128, 0, 0), (0, 128, 0)]])


def test_a_map_must_have_the_classes():
    with pytest.raises(CompetitionError, match=r"no value for the classes 1 \(b\)"):
        LabelReader(LabelSpec("multiclass", ("a", "b")), LabelMap({"0": "0"}))


def mat(**variables):
    stream = io.BytesIO()
    savemat(stream, variables)
    return stream.getvalue()


def test_matlab_files():
    spec = LabelSpec("multiclass", ("a", "b", "c"))
    nested = mat(GTcls={"Boundaries": np.zeros((2, 2)), "Segmentation": LABEL, "CategoriesPresent": [1, 2]})
    for data, name in ((nested, "GTcls.Segmentation"), (mat(S=LABEL.astype(np.uint16)), "S")):
        label = LabelReader(spec, mat_variable=name).decode(data, "l.mat")
        np.testing.assert_array_equal(label.values, np.where(LABEL == 255, 0, LABEL))
        np.testing.assert_array_equal(label.valid, LABEL != 255)
    with pytest.raises(CompetitionError, match=r"l\.mat is MATLAB's: name its variable"):
        LabelReader(spec).decode(nested, "l.mat")
    for name in ("S", "GTcls.S", "GTcls.Segmentation.S"):
        with pytest.raises(CompetitionError, match=rf"l\.mat has no {name} that can be read"):
            LabelReader(spec, mat_variable=name).decode(nested, "l.mat")
    with pytest.raises(CompetitionError, match=r"GTcls of l\.mat is not a matrix of whole numbers"):
        LabelReader(spec, mat_variable="GTcls").decode(nested, "l.mat")
    with pytest.raises(CompetitionError, match="has no S that can be read"):
        LabelReader(spec, mat_variable="S").decode(b"MATLAB", "l.mat")
