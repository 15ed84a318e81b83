"""Operations on runs against numpy and scipy on pixels."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from maskfold.rle import RLEDialect, RLEError, Runs, ops

SHAPES = st.tuples(st.integers(1, 13), st.integers(1, 17))
ORDERS = st.sampled_from(["F", "C"])
EIGHT = np.ones((3, 3))


def masks_of(shape):
    """Noise, and rectangles of all sizes with noise on them: long runs, and runs that go on in the next line."""
    noise = hnp.arrays(np.uint8, shape, elements=st.integers(0, 1))
    corner = st.tuples(*(st.integers(0, side) for side in shape))

    def box(corners):
        (top, left), (bottom, right) = corners
        mask = np.zeros(shape, np.uint8)
        mask[min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)] = 1
        return mask

    boxes = st.tuples(corner, corner).map(box)
    uniform = st.integers(0, 1).map(lambda value: np.full(shape, value, np.uint8))
    return st.one_of(noise, boxes, st.tuples(noise, boxes).map(lambda pair: pair[0] & pair[1]), uniform)


def several(least, most):
    return SHAPES.flatmap(lambda shape: st.lists(masks_of(shape), min_size=least, max_size=most))


ONE = SHAPES.flatmap(masks_of)
FULL, EMPTY = np.ones((5, 3), np.uint8), np.zeros((5, 3), np.uint8)
FIRST, LAST = EMPTY.copy(), EMPTY.copy()
FIRST[0, 0] = LAST[-1, -1] = 1


def assert_is(runs, mask, order):
    """Canonical, and the same pixels."""
    bounds = runs.bounds
    assert bounds.dtype == np.int64
    assert (np.diff(bounds) > 0).all(), "sorted, not empty, not touching"
    np.testing.assert_array_equal(runs.mask(), mask)
    assert runs == Runs.of_mask(np.asarray(mask, np.uint8), order)


@settings(max_examples=120, deadline=None)
@given(several(1, 6), ORDERS)
@example([FULL, EMPTY], "F")
@example([FIRST, LAST], "C")
@example([FIRST, 1 - FIRST], "F")
@example([LAST, 1 - LAST], "F")
def test_sets(masks, order):
    runs = [Runs.of_mask(mask, order) for mask in masks]
    assert_is(ops.union(*runs), np.maximum.reduce(masks), order)
    assert_is(ops.intersection(*runs), np.minimum.reduce(masks), order)
    assert_is(ops.complement(runs[0]), 1 - masks[0], order)
    assert_is(ops.symmetric_difference(runs[0], runs[-1]), masks[0] ^ masks[-1], order)
    pixels = tuple(map(np.count_nonzero, (masks[0] & masks[-1], masks[0], masks[-1])))
    assert ops.overlap(runs[0], runs[-1]) == pixels
    assert runs[0].area == masks[0].sum()


@settings(max_examples=120, deadline=None)
@given(several(1, 6), ORDERS, st.data())
def test_votes(masks, order, data):
    runs = [Runs.of_mask(mask, order) for mask in masks]
    votes = np.sum(masks, axis=0)
    assert_is(ops.vote(runs), (2 * votes > len(masks)).astype(np.uint8), order)
    least = data.draw(st.integers(1, len(masks)))
    assert_is(ops.vote(runs, least=least), (votes >= least).astype(np.uint8), order)
    tenths = data.draw(st.lists(st.integers(1, 9), min_size=len(masks), max_size=len(masks)))
    weighted = np.tensordot(tenths, np.stack(masks).astype(int), 1)
    found = ops.vote(runs, [tenth / 10 for tenth in tenths])
    assert_is(found, (2 * weighted > sum(tenths)).astype(np.uint8), order)
    found = ops.vote(runs, [tenth / 10 for tenth in tenths], least=tenths[0] / 10)
    assert_is(found, (weighted >= tenths[0]).astype(np.uint8), order)


def test_ties_of_decimals_are_ties():
    a, b, c = (Runs.of_mask(np.array([[0, 1, 1, 0]]) if k < 2 else np.array([[0, 0, 1, 1]])) for k in range(3))
    # 0.1 + 0.2 is more than 0.3 in floating point, and half of 0.6 is not more than half.
    assert_is(ops.vote([a, b, c], [0.1, 0.2, 0.3]), np.array([[0, 0, 1, 0]]), "F")


@pytest.mark.parametrize("count", [3, 7, 19])
def test_ties_of_shares_are_ties(count):
    """Numbers whose decimals do not end."""
    votes = np.arange(count + 1)[None].repeat(2, 0)
    runs = [Runs.of_mask((votes > k).astype(np.uint8)) for k in range(count)]
    equal = [1 / count] * count
    for least in range(1, count + 1):
        assert_is(ops.vote(runs, equal, least=least / count), (votes >= least).astype(np.uint8), "F")


def test_a_millionth_decides():
    a, b = Runs.of_mask(np.array([[1, 1, 0]])), Runs.of_mask(np.array([[0, 1, 1]]))
    for weights in ([0.5, 0.500001], [1 / 3, 1 / 3 + 1e-6]):
        assert_is(ops.vote([a, b], weights), b.mask(), "F")
        assert_is(ops.plurality([[a], [b]], weights)[0], b.mask(), "F")
        assert_is(ops.vote([a, b], weights, least=weights[1]), b.mask(), "F")


def test_half_of_thirds_is_not_more_than_half():
    thirds = [1 / 3, 1 / 3, 2 / 3]
    values = np.array([[1, 2, 0, 2], [1, 2, 1, 2], [2, 1, 1, 2]])
    runs = [Runs.of_mask(row[None] == 1) for row in values]
    assert_is(ops.vote(runs, thirds), np.array([[0, 0, 1, 0]]), "F")
    first, second = ops.plurality([[Runs.of_mask(row[None] == k) for k in (1, 2)] for row in values], thirds)
    assert_is(first, np.array([[1, 1, 1, 0]]), "F")  # the first of equals
    assert_is(second, np.array([[0, 0, 0, 1]]), "F")


@settings(max_examples=120, deadline=None)
@given(SHAPES.flatmap(lambda shape: st.lists(hnp.arrays(np.uint8, shape, elements=st.integers(0, 3)), min_size=1,
                                             max_size=5)), ORDERS, st.data())  # fmt: skip
def test_plurality(values, order, data):
    weights = data.draw(st.lists(st.integers(1, 4), min_size=len(values), max_size=len(values)))
    voters = [[Runs.of_mask(mask == value, order) for value in (1, 2, 3)] for mask in values]
    votes = sum(weight * (mask == np.arange(4)[:, None, None]) for weight, mask in zip(weights, values, strict=True))
    expected = votes.argmax(0)  # the first of equals
    for value, runs in enumerate(ops.plurality(voters, weights), start=1):
        assert_is(runs, (expected == value).astype(np.uint8), order)


def test_a_class_that_wins_to_the_last_pixel():
    voters = [[Runs.of_mask(np.full((4, 3), value == 2)) for value in (1, 2)]]
    first, second = ops.plurality(voters)
    assert_is(first, np.zeros((4, 3)), "F")
    assert_is(second, np.ones((4, 3)), "F")


@settings(max_examples=120, deadline=None)
@given(several(2, 2), ORDERS)
@example([EMPTY, EMPTY], "F")
@example([FULL, FULL], "C")
def test_dice_and_iou(masks, order):
    a, b = (Runs.of_mask(mask, order) for mask in masks)
    both, either, total = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum(), int(masks[0].sum() + masks[1].sum())
    assert ops.dice(a, b, empty=0.25) == (2 * both / total if total else 0.25)
    assert ops.iou(a, b, empty=0.25) == (both / either if either else 0.25)


@settings(max_examples=120, deadline=None)
@given(ONE, ORDERS)
@example(FIRST, "F")
@example(LAST, "C")
@example(FULL, "F")
def test_bounding_box(mask, order):
    found = ops.bounding_box(Runs.of_mask(mask, order))
    if not mask.any():
        assert found is None
        return
    rows, columns = np.nonzero(mask)
    assert found == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert all(type(side) is int for side in found)


@settings(max_examples=200, deadline=None)
@given(ONE, ORDERS, st.integers(0, 12))
@example(FULL, "F", 15)
@example(FULL, "F", 16)
@example(np.eye(5, 4, dtype=np.uint8), "C", 4)
@example(np.eye(5, 4, dtype=np.uint8)[:, ::-1], "F", 4)
def test_small_components(mask, order, least):
    labels, count = ndimage.label(mask, EIGHT)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    keep = areas >= least
    keep[0] = False
    runs = Runs.of_mask(mask, order)
    assert_is(ops.remove_small(runs, least), keep[labels].astype(np.uint8), order)
    assert sorted(ops.component_areas(runs)) == sorted(areas[1:])


@settings(max_examples=200, deadline=None)
@given(ONE, ORDERS, st.integers(0, 12))
@example(np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]], np.uint8), "F", 1)
@example(np.array([[1, 1, 1], [1, 0, 1], [1, 0, 1]], np.uint8), "C", 5)
@example(FULL, "C", 3)
def test_small_holes(mask, order, most):
    labels, _ = ndimage.label(1 - mask)
    filled = mask.copy()
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        open_to_border = any(part.start == 0 or part.stop == side for part, side in zip(place, mask.shape, strict=True))
        if not open_to_border and (labels == number).sum() <= most:
            filled[labels == number] = 1
    assert_is(ops.fill_small_holes(Runs.of_mask(mask, order), most), filled, order)


def test_a_spiral_is_one_component():
    size = 21
    mask = np.zeros((size, size + 4), np.uint8)
    for ring in range(0, size // 2, 2):
        mask[ring, ring : size - ring] = mask[size - 1 - ring, ring : size - ring] = 1
        mask[ring : size - ring, size - 1 - ring] = 1
        mask[ring + 2 : size - ring, ring] = 1
        mask[ring + 2, ring : ring + 3] = 1
    for order in ("F", "C"):
        assert ops.component_areas(Runs.of_mask(mask, order)).tolist() == [mask.sum()]


@settings(max_examples=120, deadline=None)
@given(ONE, ORDERS, st.sampled_from(["start-length", "start-end", "relative", "counts"]))
def test_text_to_runs_and_back(mask, order, layout):
    dialect = RLEDialect(layout, order, start=0)
    text = dialect.encode(mask)
    runs = dialect.runs(text, mask.shape)
    assert_is(runs, mask, order)
    assert dialect.text(runs) == text


def test_runs_that_touch_become_one():
    runs = RLEDialect().runs("2 2 4 1 5 3 9 1", (3, 4))
    assert runs.bounds.tolist() == [1, 7, 8, 9]
    assert len(runs) == 2


def test_markers_of_the_dialect():
    dialect = RLEDialect(empty="-1")
    assert dialect.text(dialect.runs("-1", (3, 2))) == "-1"
    assert dialect.runs(None, (3, 2)).area == 0


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda a, b: ops.union(), "there is no mask"),
        (lambda a, b: ops.union(a, b), "2x3 in order F and 3x2 in order F: expected one shape"),
        (lambda a, b: ops.dice(a, Runs(a.bounds, a.shape, "C")), "2x3 in order C and 2x3 in order F"),
        (lambda a, b: ops.vote([a, a], [1.0]), "the weights are 1: expected 2 numbers"),
        (lambda a, b: ops.vote([a, a], [1.0, 0.0]), "the weights are 1, 0: expected 2 numbers"),
        (lambda a, b: ops.vote([a, a], [1.0, float("nan")]), "the weights are 1, nan"),
        (lambda a, b: ops.vote([a, a], least=3), "least is 3: expected more than 0 and at most .* 2"),
        (lambda a, b: ops.vote([a, a], least=0), "least is 0"),
        (lambda a, b: ops.vote([a, a], least=float("nan")), "least is nan"),
        (lambda a, b: ops.vote([]), "there is no mask"),
        (lambda a, b: ops.vote([a, a], [1.0, 1e13]), "the weights are 1, 1e[+]13: expected 2 numbers"),
        (lambda a, b: ops.plurality([[a], [a, a]]), r"the voters have \[1, 2\] classes"),
        (lambda a, b: ops.plurality([[], []]), r"the voters have \[0\] classes"),
        (lambda a, b: RLEDialect(order="C").text(a), "the runs are in order F, the dialect writes order C"),
    ],
)
def test_refusals(call, named):
    a, b = Runs.of_mask(np.eye(2, 3)), Runs.of_mask(np.eye(3, 2))
    with pytest.raises(RLEError, match=named):
        call(a, b)
