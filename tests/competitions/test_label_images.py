import numpy as np
import pytest
from PIL import Image
from tests.competitions.test_images import RGB, pil_png, png

from maskfold.competitions.label_images import decode_binary, decode_classes
from maskfold.errors import CompetitionError

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
    with pytest.raises(CompetitionError, match=r"pixels up to 700, expected 0\.\.255"):
        decode_classes(png(np.array([[0, 700]], np.uint16)), "l.png", 2)
    with pytest.raises(CompetitionError, match=r"l\.png cannot be read as a mask"):
        decode_classes(b"", "l.png", 2)
