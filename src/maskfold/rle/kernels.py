"""Compiled inner loops of the codec: plain arrays in, plain arrays out, no Python objects.

`bounds` are the runs everywhere here: int64 `[begin, end, begin, end, …]`, 0-based, ends exclusive, in the
flattened order of the mask. Kernels compile at their first call, which imports numba, and are cached on disk.
"""

import numpy as np

from maskfold.compiled import compiled_later

MAX_DIGITS = 18  # numbers below 10**18: the sum of two still fits an int64
BLOCK = 64  # bytes that `find_bounds` looks at together

_ONES = np.uint64(0x0101010101010101)  # a 1 in every byte


@compiled_later
def parse_numbers(text: np.ndarray, numbers: np.ndarray) -> tuple[int, bool]:
    """Read ASCII `text` (uint8) into `numbers` (int64); returns their count, and whether all of it was read.

    Stops at the first token that is not made of 1..18 digits; the count is then that token's index.
    """
    count, value, digits = 0, 0, 0
    for byte in text:
        digit = np.int64(byte) - 48
        if 0 <= digit <= 9 and digits < MAX_DIGITS:
            value = 10 * value + digit
            digits += 1
        elif byte == 32 or 9 <= byte <= 13:
            if digits:
                numbers[count] = value
                count, value, digits = count + 1, 0, 0
        else:
            return count, False
    if digits:
        numbers[count] = value
        count += 1
    return count, True


@compiled_later
def locate_runs(numbers: np.ndarray, relative: bool, ends: bool, start: int, pixels: int, bounds: np.ndarray) -> int:
    """Turn pairs of `numbers` into `bounds` (same size); returns the index of the first bad one, or -1.

    Runs must be sorted, apart or touching, at least one pixel long and inside `pixels`. `bounds` is
    filled up to and including the bad run.
    """
    previous = 0
    for i in range(0, numbers.size, 2):
        begin = previous + numbers[i] if relative else numbers[i] - start
        end = numbers[i + 1] - start + 1 if ends else begin + numbers[i + 1]
        bounds[i], bounds[i + 1] = begin, end
        if begin < previous or begin >= pixels:
            return i
        if end <= begin or end > pixels:
            return i + 1
        previous = end
    return -1


@compiled_later
def fill_rows(mask: np.ndarray, bounds: np.ndarray) -> None:
    """Set the runs of a row-major numbering in the zeroed uint8 `mask` (H, W)."""
    flat = mask.ravel()
    for i in range(0, bounds.size, 2):
        flat[bounds[i] : bounds[i + 1]] = 1


@compiled_later
def fill_columns(mask: np.ndarray, bounds: np.ndarray) -> None:
    """Set the runs of a column-major numbering in the zeroed uint8 `mask` (H, W).

    Writing down the columns of a row-major array, or transposing it afterwards, costs several times more
    than this: mark only where a column changes value, then carry the values from row to row.
    """
    height, width = mask.shape
    for i in range(0, bounds.size, 2):
        left, right = bounds[i] // height, bounds[i + 1] // height
        mask[bounds[i] - left * height, left] ^= 1
        for column in range(left + 1, min(right + 1, width)):
            mask[0, column] ^= 1
        if right < width:
            mask[bounds[i + 1] - right * height, right] ^= 1
    for row in range(1, height):
        for column in range(width):
            mask[row, column] ^= mask[row - 1, column]


@compiled_later
def fill_lines(part: np.ndarray, bounds: np.ndarray, length: int, first_line: int, first_pixel: int) -> None:
    """Set in the zeroed uint8 `part` what the runs cover of it, without drawing the rest of the mask.

    A mask's pixels are numbered along lines of `length` pixels; `part` is the lines from `first_line` on, of each the
    pixels from `first_pixel` on.
    """
    for line in range(part.shape[0]):
        begin = (first_line + line) * length + first_pixel
        end = begin + part.shape[1]
        # The bound after `begin` at an odd place ends a run that `begin` is in.
        i = np.searchsorted(bounds, begin, side="right") // 2 * 2
        while i < bounds.size and bounds[i] < end:
            part[line, max(bounds[i], begin) - begin : min(bounds[i + 1], end) - begin] = 1
            i += 2


@compiled_later
def find_bounds(words: np.ndarray, bounds: np.ndarray) -> int:
    """Write where a 0/1 uint8 sequence changes value, as far as `bounds` has room.

    `words` are its bytes as little-endian uint64, padded with background to whole blocks of 8 words.
    Returns the number of bounds, also of those that found no room; -1 if a value is neither 0 nor 1.
    Time goes into mispredicted branches, hence whole blocks without a change are passed at once, and
    within a word the changed bytes are enumerated instead of every byte being asked.
    """
    count, last, unchanged, seen = 0, np.uint64(0), np.uint64(0), np.uint64(0)
    for block in range(0, words.size, 8):
        difference = np.uint64(0)
        for k in range(block, block + 8):
            difference |= words[k] ^ unchanged
        if difference == 0:
            continue
        for k in range(block, block + 8):
            changed = words[k] ^ (words[k] << np.uint64(8) | last)
            last = words[k] >> np.uint64(56)
            seen |= words[k]
            while changed:
                lowest = changed & (~changed + np.uint64(1))
                if count < bounds.size:
                    # one bit for each byte below `lowest`, summed up in the highest byte
                    below = (lowest - np.uint64(1)) & _ONES
                    bounds[count] = 8 * k + np.int64(below * _ONES >> np.uint64(56))
                count += 1
                changed ^= lowest
        unchanged = _ONES * last
    return -1 if seen & ~_ONES else count


@compiled_later
def write_numbers(numbers: np.ndarray, text: np.ndarray) -> int:
    """Write non-negative `numbers` as ASCII with a blank before each, at the end of `text` (uint8).

    Returns the index in `text` of the first blank.
    """
    at = text.size
    for k in range(numbers.size - 1, -1, -1):
        rest = np.uint64(numbers[k])
        while True:
            quotient = rest // np.uint64(10)
            at -= 1
            text[at] = 48 + rest - 10 * quotient
            rest = quotient
            if rest == 0:
                break
        at -= 1
        text[at] = 32
    return at
