"""What `encode` takes for a mask, and what it refuses to guess about."""

import numpy as np
import pytest
import torch

from maskfold.rle import RLEDialect, RLEError, kernels, rle_encode

MASK = (np.random.default_rng(0).random((37, 22)) < 0.4).astype(np.uint8)


def runs_by_numpy(mask, order):
    """The usual numpy encoder: padding, differences, positions."""
    padded = np.concatenate([[0], mask.ravel(order=order).astype(int), [0]])
    runs = np.flatnonzero(np.diff(padded)) + 1
    runs[1::2] -= runs[0::2]
    return " ".join(map(str, runs))


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("dtype", [bool, "u1", "i1", "u2", "i4", "i8", "u8", ">i2", "f2", "f4", "f8", np.longdouble])
def test_any_number_type(dtype, order):
    assert rle_encode(MASK.astype(dtype), order=order) == runs_by_numpy(MASK, order)


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64])
@pytest.mark.parametrize(
    "view",
    [
        lambda mask: mask.T,
        lambda mask: mask[::2, ::3],
        lambda mask: mask[::-1, ::-1],
        lambda mask: mask[:, 3:9],
        lambda mask: mask[5:6],
        lambda mask: mask[5:6, ::2],
        lambda mask: mask[::2, 4:5],
        lambda mask: np.asfortranarray(mask),
        lambda mask: np.broadcast_to(mask[:1], (9, 22)),
        lambda mask: np.frombuffer(mask.tobytes(), mask.dtype).reshape(mask.shape),
        lambda mask: np.stack([mask, 1 - mask.astype(int)], axis=-1).astype(mask.dtype)[..., 1],
    ],
)
def test_any_memory_layout(view, dtype, order):
    mask = view(MASK.astype(dtype))
    before = mask.copy()
    assert rle_encode(mask, order=order) == runs_by_numpy(mask, order)
    np.testing.assert_array_equal(mask, before)


def test_unaligned_memory():
    buffer = np.zeros(MASK.size + 3, np.uint8)
    buffer[3:] = MASK.ravel()
    assert rle_encode(buffer[3:].reshape(MASK.shape), order="C") == runs_by_numpy(MASK, "C")


def test_tensors_and_lists_are_arrays_too():
    assert rle_encode(torch.from_numpy(MASK).bool()) == runs_by_numpy(MASK, "F")
    assert rle_encode([[0, 1], [1, 1]]) == "2 3"


@pytest.mark.parametrize("shape", [(64, 64), (8, 8), (7, 9), (1, 65), (65, 1), (200, 311)])
def test_more_runs_than_the_first_guess_has_room_for(shape):
    stripes = np.zeros(shape, np.uint8)
    stripes.ravel()[::2] = 1
    assert rle_encode(stripes, order="C") == runs_by_numpy(stripes, "C")
    assert rle_encode(stripes, order="F") == runs_by_numpy(stripes, "F")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (np.array([[0, 255], [255, 0]], np.uint8), "0, 255"),
        (np.array([[255, 255], [255, 255]], np.uint8), "255"),
        (np.array([[0, 1], [255, 0]], np.uint8), "0, 1, 255"),
        (np.array([[0, 1], [2, 0]], np.uint8), "0, 1, 2"),
        (np.array([[0, 1], [-1, 0]], np.int8), "-1, 0, 1"),
        (np.array([[0, 1], [256, 0]], np.int32), "0, 1, 256"),
        (np.array([[0, 1], [257, 0]], np.int64), "0, 1, 257"),
        (np.array([[0, 0.5], [1, 0]], np.float32), "0.0, 0.5, 1.0"),
        (np.array([[0, np.nan], [1, 0]]), "0.0, 1.0, nan"),
        (np.arange(256, dtype=np.uint8).reshape(16, 16), "0, 1, 2, 3, 4, 5, …"),
    ],
)
def test_other_values_are_refused_by_name(values, named):
    with pytest.raises(RLEError, match=r"mask > 127") as caught:
        rle_encode(values)
    assert str(caught.value).startswith(f"mask holds {named}; expected only 0 and 1")


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("value", [2, 128, 255])
def test_one_wrong_pixel_is_found_wherever_it_is(order, value):
    for row, column in np.ndindex(9, 23):
        for background in (0, 1):
            mask = np.full((9, 23), background, np.uint8)
            mask[row, column] = value
            with pytest.raises(RLEError, match=str(value)):
                rle_encode(mask, order=order)


@pytest.mark.parametrize("shape", [(), (4,), (4, 5, 1), (1, 4, 5), (0, 5), (4, 0)])
def test_masks_are_two_dimensional_and_not_empty(shape):
    with pytest.raises(RLEError, match=r"mask has shape .* expected two dimensions"):
        rle_encode(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("mask", [np.array([["0", "1"]]), np.array([[0, None]], object), np.ones((2, 2), complex)])
def test_other_dtypes_are_refused(mask):
    with pytest.raises(RLEError, match="mask has dtype"):
        RLEDialect().encode(mask)


def test_kernels_compile_where_nothing_can_be_cached(monkeypatch):
    def njit(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: lambda *arguments: (function(*arguments), options)

    monkeypatch.setattr("numba.njit", njit)
    assert kernels._compiled(lambda numbers: sum(numbers))([3, 4]) == (7, {"nogil": True})
