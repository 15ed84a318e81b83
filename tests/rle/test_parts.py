import numpy as np
import pytest
from tests.conftest import reference_rle

from maskfold.rle import RLEDialect, RLEError

DIALECTS = [
    RLEDialect(),
    RLEDialect(order="C"),
    RLEDialect(layout="relative", start=0, order="C"),
    RLEDialect(layout="counts", start=0),
    RLEDialect(empty="-1"),
]


def drawn(share=0.4, shape=(23, 41)):
    mask = (np.random.default_rng(3).random(shape) < share).astype(np.uint8)
    mask[4:19, 7:9] = mask[0, :5] = mask[-1, -3:] = 1  # runs that go on over rows, columns and to the last pixel
    return mask


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_window_of_runs_is_that_of_the_mask(dialect, share):
    mask = drawn(share) if share < 1 else np.ones((23, 41), np.uint8)
    runs = dialect.runs(dialect.encode(mask), mask.shape)
    for top, bottom, left, right in [(0, 23, 0, 41), (5, 6, 8, 9), (3, 17, 0, 40), (22, 23, 30, 41), (0, 4, 40, 41)]:
        window = runs.window(slice(top, bottom), slice(left, right))
        assert window.dtype == np.uint8
        assert window.flags.c_contiguous
        np.testing.assert_array_equal(window, mask[top:bottom, left:right])
    assert runs.area == mask.sum()


def test_runs_that_touch_are_one_shape():
    runs = RLEDialect().runs("1 2 3 4 9 1", (5, 3))
    np.testing.assert_array_equal(runs.window(slice(0, 5), slice(0, 2)).T, [[1, 1, 1, 1, 1], [1, 0, 0, 1, 0]])
    np.testing.assert_array_equal(runs.window(slice(2, 3), slice(0, 2)), [[1, 0]])


@pytest.mark.parametrize("step", [1, 3, 10, 50])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_parts_are_encoded_as_the_whole(step, share):
    mask = drawn(share) if share < 1 else np.ones((23, 41), np.uint8)
    columns = [mask[:, start : start + step] for start in range(0, 41, step)]
    assert RLEDialect().encode_parts(columns, mask.shape) == reference_rle(mask)
    rows = [mask[start : start + step] for start in range(0, 23, step)]
    assert RLEDialect(order="C").encode_parts(rows, mask.shape) == reference_rle(mask.T)


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_every_dialect_has_one_text_for_a_mask(dialect):
    for mask in (drawn(), np.zeros((9, 4), np.uint8)):
        lines = mask.T if dialect.order == "F" else mask
        parts = [line[:, None] if dialect.order == "F" else line[None] for line in lines]
        assert dialect.encode_parts(parts, mask.shape) == dialect.encode(mask)


def test_parts_hold_0_and_1():
    with pytest.raises(RLEError, match="expected only 0 and 1"):
        RLEDialect().encode_parts([np.full((4, 2), 255, np.uint8)], (4, 2))
