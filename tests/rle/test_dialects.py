"""Every dialect against hand-worked codes and against a slow reference that looks at one pixel at a time."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskfold.rle import RLEDialect, RLEError, rle_decode, rle_encode

DIALECTS = [
    RLEDialect(layout=layout, order=order, start=start)
    for layout, order, start in itertools.product(
        ["start-length", "start-end", "relative", "counts"], ["F", "C"], [0, 1]
    )
    if start == 0 or layout.startswith("start")
]
all_dialects = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: f"{d.layout}-{d.order}-{d.start}")

MASK = np.array(
    [
        [0, 1, 1, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 1],
    ],
    np.uint8,
)  # down the columns 010 110 101 001, along the rows 0110 1100 0011


def reference_runs(mask, order):
    """(first pixel, last pixel), 0-based, of every run."""
    height, width = mask.shape
    if order == "F":
        pixels = [mask[row, column] for column in range(width) for row in range(height)]
    else:
        pixels = [mask[row, column] for row in range(height) for column in range(width)]
    runs = []
    for position, pixel in enumerate(pixels):
        if pixel and runs and runs[-1][1] == position - 1:
            runs[-1][1] = position
        elif pixel:
            runs.append([position, position])
    return runs


def reference_text(mask, dialect):
    runs, pixels, start = reference_runs(mask, dialect.order), mask.size, dialect.start
    if dialect.layout == "start-length":
        numbers = [n for a, b in runs for n in (a + start, b - a + 1)]
    elif dialect.layout == "start-end":
        numbers = [n for a, b in runs for n in (a + start, b + start)]
    else:
        numbers, done = [], 0
        for a, b in runs:
            numbers += [a - done, b - a + 1]
            done = b + 1
        if dialect.layout == "counts" and done < pixels:
            numbers.append(pixels - done)
    return " ".join(map(str, numbers))


def siim_decode(text, height, width):
    """The decoder handed out with SIIM-ACR pneumothorax, in a few lines."""
    flat, position = np.zeros(height * width, np.uint8), 0
    numbers = [int(token) for token in text.split()]
    for gap, length in zip(numbers[0::2], numbers[1::2], strict=True):
        position += gap
        flat[position : position + length] = 1
        position += length
    return flat.reshape(width, height).T


def random_mask(shape, share, seed):
    return (np.random.default_rng(seed).random(shape) < share).astype(np.uint8)


def blob(shape):
    """An ellipse off the centre: long runs, as in real masks."""
    height, width = shape
    y, x = np.ogrid[:height, :width]
    return (((y - 0.4 * height) / height) ** 2 + ((x - 0.7 * width) / width) ** 2 < 0.1).astype(np.uint8)


EDGE_MASKS = {
    "mixed": MASK,
    "one pixel, set": np.ones((1, 1), np.uint8),
    "one pixel, unset": np.zeros((1, 1), np.uint8),
    "empty": np.zeros((3, 5), np.uint8),
    "full": np.ones((5, 3), np.uint8),
    "full, whole blocks": np.ones((64, 8), np.uint8),
    "first pixel": np.eye(1, 24, 0, np.uint8).reshape(4, 6),
    "last pixel": np.eye(1, 24, 23, np.uint8).reshape(4, 6),
    "first column": np.repeat(np.array([[1, 0, 0]], np.uint8), 7, axis=0),
    "last row": np.repeat(np.array([[0], [0], [1]], np.uint8), 7, axis=1),
    "one row": random_mask((1, 200), 0.5, 0),
    "one column": random_mask((200, 1), 0.5, 1),
    "checkerboard": (np.indices((31, 18)).sum(axis=0) % 2).astype(np.uint8),
    "tgs size": blob((101, 101)),
    "steel size": blob((348, 512)),
    "noise": random_mask((67, 130), 0.3, 2),
    "sparse": random_mask((67, 130), 0.002, 3),
}


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (RLEDialect(), "2 1 4 2 7 1 9 1 12 1"),
        (RLEDialect(start=0), "1 1 3 2 6 1 8 1 11 1"),
        (RLEDialect(order="C"), "2 2 5 2 11 2"),
        (RLEDialect(order="C", start=0), "1 2 4 2 10 2"),
        (RLEDialect(layout="start-end"), "2 2 4 5 7 7 9 9 12 12"),
        (RLEDialect(layout="start-end", order="C", start=0), "1 2 4 5 10 11"),
        (RLEDialect(layout="relative", start=0), "1 1 1 2 1 1 1 1 2 1"),
        (RLEDialect(layout="relative", order="C", start=0), "1 2 1 2 4 2"),
        (RLEDialect(layout="counts", start=0), "1 1 1 2 1 1 1 1 2 1"),
        (RLEDialect(layout="counts", order="C", start=0), "1 2 1 2 4 2"),
    ],
)
def test_hand_worked_codes(dialect, text):
    assert dialect.encode(MASK) == text
    np.testing.assert_array_equal(dialect.decode(text, (3, 4)), MASK)
    assert dialect.area(text, (3, 4)) == 6


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        (np.zeros((2, 3), np.uint8), [6]),
        (np.ones((2, 3), np.uint8), [0, 6]),
        (np.array([[1, 0, 0], [1, 0, 1]], np.uint8), [0, 2, 3, 1]),
        (np.array([[1, 1, 0], [0, 0, 0]], np.uint8), [0, 1, 1, 1, 3]),
    ],
)
def test_coco_counts_as_list_and_text(mask, counts):
    coco = RLEDialect(layout="counts", start=0)
    assert coco.numbers(mask) == counts
    assert all(type(count) is int for count in coco.numbers(mask))  # json refuses numpy's
    assert coco.encode(mask) == " ".join(map(str, counts))
    for form in (counts, tuple(counts), np.array(counts)):
        np.testing.assert_array_equal(coco.decode(form, mask.shape), mask)
        assert coco.area(form, mask.shape) == mask.sum()


def test_relative_is_what_the_siim_decoder_reads():
    mask = random_mask((13, 9), 0.4, 5)
    dialect = RLEDialect(layout="relative", start=0, empty="-1")
    np.testing.assert_array_equal(siim_decode(dialect.encode(mask), 13, 9), mask)
    np.testing.assert_array_equal(dialect.decode(" 3 2 0 4 10 1", (4, 6)), siim_decode("3 2 0 4 10 1", 4, 6))


@all_dialects
@pytest.mark.parametrize("mask", EDGE_MASKS.values(), ids=EDGE_MASKS.keys())
def test_edge_masks(dialect, mask):
    text = dialect.encode(mask)
    assert text == reference_text(mask, dialect)
    decoded = dialect.decode(text, mask.shape)
    np.testing.assert_array_equal(decoded, mask)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    assert decoded.flags.writeable
    assert dialect.area(text, mask.shape) == mask.sum()


@all_dialects
@settings(deadline=None, max_examples=60)
@given(mask=hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 19)] * 2), elements=st.integers(0, 1)))
def test_round_trip(dialect, mask):
    text = dialect.encode(mask)
    assert text == reference_text(mask, dialect)
    np.testing.assert_array_equal(dialect.decode(text, mask.shape), mask)


@st.composite
def written_runs(draw):
    """Shape, reference mask and a valid "start length" code whose runs may touch."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 40))
    cuts = sorted(draw(st.sets(st.integers(0, height * width), max_size=20)))
    pieces = [piece for piece in itertools.pairwise(cuts) if draw(st.booleans())]
    flat = np.zeros(height * width, np.uint8)
    for begin, end in pieces:
        flat[begin:end] = 1
    text = " ".join(f"{begin + 1} {end - begin}" for begin, end in pieces)
    return flat.reshape(width, height).T, text


@settings(deadline=None)
@given(written_runs())
@example((np.ones((2, 3), np.uint8), "1 2 3 1 4 3"))
def test_touching_runs_are_read_and_rewritten_canonically(case):
    mask, text = case
    decoded = rle_decode(text, mask.shape)
    np.testing.assert_array_equal(decoded, mask)
    assert rle_encode(decoded) == reference_text(mask, RLEDialect())


def test_touching_runs_become_one():
    assert rle_encode(rle_decode("3 2 5 4 10 1", (4, 3))) == "3 6 10 1"
    coco = RLEDialect(layout="counts", start=0)
    assert coco.encode(coco.decode([2, 3, 0, 4, 3], (4, 3))) == "2 7 3"


def test_short_form_takes_order_and_start():
    assert rle_encode(MASK, order="C", start=0) == "1 2 4 2 10 2"
    np.testing.assert_array_equal(rle_decode("1 2 4 2 10 2", (3, 4), order="C", start=0), MASK)


def test_any_ascii_whitespace_separates_numbers():
    np.testing.assert_array_equal(rle_decode("\t2 1\n4   2\r\n7\x0b1\x0c9 1 12 1 \n", (3, 4)), MASK)


def test_order_is_not_transposition_of_the_result():
    assert rle_decode("1 3", (3, 2)).tolist() == [[1, 0], [1, 0], [1, 0]]
    assert rle_decode("1 3", (3, 2), order="C").tolist() == [[1, 1], [1, 0], [0, 0]]


@pytest.mark.parametrize("nothing", ["", " ", "\n\t ", None, float("nan"), np.float32("nan"), np.float64("nan"), pd.NA])
@all_dialects
def test_missing_values_are_empty_masks(dialect, nothing):
    mask = dialect.decode(nothing, (3, 5))
    assert mask.shape == (3, 5)
    assert not mask.any()
    assert dialect.area(nothing, (3, 5)) == 0


def test_minus_one_is_empty_only_where_declared():
    with pytest.raises(RLEError, match=r"token 1 \('-1'\).*RLEDialect\(empty='-1'\)"):
        rle_decode("-1", (3, 5))
    written = RLEDialect(empty="-1")
    assert written.encode(np.zeros((3, 5), bool)) == "-1"
    assert written.encode(np.ones((3, 5), bool)) == "1 15"
    read = RLEDialect(also_empty=("-1", "-"))
    assert read.encode(np.zeros((3, 5), bool)) == ""
    for dialect, text in [(written, "-1"), (written, " -1 "), (written, ""), (read, "-1"), (read, "-")]:
        assert not dialect.decode(text, (3, 5)).any()
    with pytest.raises(RLEError, match=r"token 1 \('-'\)"):
        written.decode("-", (3, 5))


def test_declared_marker_with_blanks_is_written_as_declared():
    siim = RLEDialect(layout="relative", start=0, empty=" -1")
    assert siim.encode(np.zeros((2, 2), np.uint8)) == " -1"
    assert not siim.decode(" -1", (2, 2)).any()
    assert not siim.decode("-1", (2, 2)).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "coco"}, "layout is 'coco'; expected one of 'start-length'"),
        ({"order": "f"}, "order is 'f'; expected one of 'F', 'C'"),
        ({"start": 2}, "start is 2; expected one of 0, 1"),
        ({"layout": "relative"}, "'relative'.*set start=0"),
        ({"layout": "counts", "start": 1}, "'counts'.*set start=0"),
        ({"empty": "1 1"}, "'1 1' would be read as runs"),
        ({"also_empty": ("-1", " 3 4 ")}, "'3 4' would be read as runs"),
        ({"layout": "counts", "start": 0, "empty": "12"}, "'12' would be read as runs"),
        ({"also_empty": "-1"}, "expected a tuple of texts"),
    ],
)
def test_dialects_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(RLEError, match=message):
        RLEDialect(**settings)


def test_package_import_is_light():
    code = "import sys, maskfold.rle; print(*sorted({'torch', 'pandas', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_run_without_pixels_may_stand_for_an_empty_mask():
    dialect = RLEDialect(order="C", empty="1 0", also_empty=("0",))
    assert dialect.encode(np.zeros((2, 3), np.uint8)) == "1 0"
    for text in ("1 0", " 1 0 ", "0", ""):
        assert not dialect.decode(text, (2, 3)).any()
    with pytest.raises(RLEError, match="shorter than one pixel"):
        dialect.decode("2 0", (2, 3))
