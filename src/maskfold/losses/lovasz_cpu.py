"""Lovász weights of float32 errors on a CPU: one radix sort of the positive errors, in linear time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from maskfold.compiled import compiled

# A positive float32 orders like its bits, an integer below 2^31: three digits of 11, 10 and 10 bits.
_DIGITS = ((0, 11), (11, 10), (21, 10))
_POSITIVE = np.uint32(0x7FFFFFFF)
_FOREGROUND = np.uint64(1 << 31)
_INDEX = np.uint64((1 << 31) - 1)
_PARALLEL_FROM = 1 << 16  # pixels; below, starting a thread costs more than it saves


def lovasz_weights_cpu(errors: Tensor, foreground: Tensor) -> tuple[Tensor, Tensor]:
    """What `maskfold.losses.lovasz.lovasz_weights` returns, for float32 errors on the CPU.

    Rows are shared among `torch.get_num_threads()` threads of our own: numba's thread layers do not
    survive a fork (OpenMP) or two callers at once (workqueue).
    """
    errors, foreground = errors.contiguous(), foreground.contiguous()
    rows, pixels = errors.shape
    threads = min(rows, torch.get_num_threads()) if errors.numel() >= _PARALLEL_FROM else 1
    values, weights = errors.new_empty(rows), torch.empty_like(errors)
    # One more than pixels, see _pack.
    scratch = torch.empty(threads, 2, pixels + 1, dtype=torch.int64).numpy().view(np.uint64)
    arrays = errors.numpy(), foreground.numpy(), weights.numpy(), values.numpy()

    def share(first: int) -> None:
        items, spare = scratch[first]
        _weigh_rows(*arrays, items, spare, first, threads)

    if threads == 1:
        share(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(share, range(threads)))
    return values, weights


@compiled
def _weigh_rows(
    errors: np.ndarray,
    foreground: np.ndarray,
    weights: np.ndarray,
    values: np.ndarray,
    items: np.ndarray,
    spare: np.ndarray,
    first: int,
    step: int,
) -> None:
    """Every `step`-th row from `first`; `items` and `spare` are memory to sort in."""
    for row in range(first, len(errors), step):
        weights[row] = 0.0
        size = _pack(errors[row], foreground[row], items)
        order = _sort(items[:size], spare[:size])
        values[row] = _weigh(order, errors[row], foreground[row].sum(), weights[row])


@compiled
def _pack(errors: np.ndarray, foreground: np.ndarray, items: np.ndarray) -> int:
    """Pack key, label and index of every positive or NaN error into 64 bits; return how many there are.

    Keys are complements, so that ascending keys are descending errors, and NaN comes first.
    """
    bits = errors.view(np.uint32)
    size = 0
    for i in range(errors.size):
        key = np.uint64(_POSITIVE - (bits[i] & _POSITIVE))
        # Written always and overwritten by the next if it does not count: a branch would be mispredicted.
        items[size] = key << np.uint64(32) | np.uint64(foreground[i]) << np.uint64(31) | np.uint64(i)
        size += not errors[i] <= 0.0
    return size


@compiled
def _sort(items: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """Radix sort by the upper 32 bits, least significant digit first; the result is one of the two arrays."""
    counts = np.zeros((3, 2048), np.int64)
    for item in items:
        key = item >> np.uint64(32)
        counts[0, key & np.uint64(2047)] += 1
        counts[1, key >> np.uint64(11) & np.uint64(1023)] += 1
        counts[2, key >> np.uint64(21)] += 1
    for digit, (shift, width) in enumerate(_DIGITS):
        places = counts[digit]
        place = 0
        for value in range(1 << width):
            place, places[value] = place + places[value], place
        mask = np.uint64((1 << width) - 1)
        for item in items:
            value = item >> np.uint64(32 + shift) & mask
            spare[places[value]] = item
            places[value] += 1
        items, spare = spare, items
    return items


@compiled
def _weigh(items: np.ndarray, errors: np.ndarray, foreground: int, weights: np.ndarray) -> float:
    """Fill the weights of the sorted items; return their inner product with the errors."""
    union = intersection = float(foreground)
    total = 0.0
    for item in items:
        index = item & _INDEX
        if item & _FOREGROUND:
            intersection -= 1.0
            weight = 1.0 / union
        else:
            union += 1.0
            weight = intersection / (union * (union - 1.0)) if union > 1.0 else 1.0
        weights[index] = weight
        total += float(weight * errors[index])
    return total
