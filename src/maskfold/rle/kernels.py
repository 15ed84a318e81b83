"""Compiled inner loops of the codec: plain arrays in, plain arrays out, no Python objects.

`bounds` are the runs everywhere here: int64 `[begin, end, begin, end, …]`, 0-based, ends exclusive, in the
flattened order of the mask. Kernels compile at their first call, which imports numba, and are cached on disk.
"""

import numpy as np

from maskfold.compiled import compiled_later

MAX_DIGITS = 18  # numbers below 10**18: the sum of two still fits an int64
BLOCK = 64  # bytes that `find_bounds` looks at together

_ONES = np.uint64(0x0101010101010101)  # a 1 in every byte
_TOPS = np.uint64(0x8080808080808080)  # the highest bit of every byte
_ZEROS = np.uint64(0x3030303030303030)  # "00000000"
_SEVENS = np.uint64(0x7F7F7F7F7F7F7F7F)  # reaches the highest bit of a byte from 1 on
_FROM_10 = np.uint64(0x7676767676767676)  # reaches it from 10 on
_PAIRS = np.uint64(0x000000FF000000FF)
_SEVEN_DIGITS = np.uint64(10**7)
_EIGHT_BITS = np.uint64(0x0102040810204080)  # moves the lowest bits of 8 bytes into the highest byte
# Which bit of a word with one bit: each product has other six bits at its top (a de Bruijn sequence).
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_BIT_OF = np.argsort([(int(_DE_BRUIJN) << bit) % 2**64 >> 58 for bit in range(64)])


@compiled_later
def parse_numbers(words: np.ndarray, size: int, numbers: np.ndarray) -> tuple[int, bool]:
    """Read ASCII text into `numbers` (int64); returns their count, and whether all of it was read.

    `words` are its `size` bytes, all below 128, as little-endian uint64, with two words of blanks behind them. Stops at
    the first token that is not made of 1..18 digits; the count is then that token's index.
    Asking byte by byte costs a mispredicted branch at the end of most numbers, several times as much as the rest: so
    the end of a number is found, and its digits are added up, in the 8 bytes that begin with it.
    """
    count, at = 0, 0
    while at < size:
        shift = np.uint64(8 * (at & 7))
        word = words[at >> 3] >> shift | (words[(at >> 3) + 1] << np.uint64(1)) << (np.uint64(63) - shift)
        word ^= _ZEROS  # digits become their values, all other bytes 10 or more
        other = (word + _FROM_10) & _TOPS
        if other:
            # one bit for each byte up to the first that is no digit, summed up in the highest byte
            upto = ((other & (~other + np.uint64(1))) - np.uint64(1)) & _ONES
            digits = np.int64(upto * _ONES >> np.uint64(56)) - 1
            separator = np.int64((word >> np.uint64(8 * digits) ^ _ZEROS) & np.uint64(255))
            if digits:
                word <<= np.uint64(64 - 8 * digits)
                word = word * np.uint64(10) + (word >> np.uint64(8))  # pairs of digits
                tens = (word & _PAIRS) * np.uint64(100 + (10**6 << 32))
                word = (tens + (word >> np.uint64(16) & _PAIRS) * np.uint64(1 + (10**4 << 32))) >> np.uint64(32)
                numbers[count] = np.int64(word)
        else:
            value, digits, separator = np.int64(0), 0, 48
            while 0 <= separator - 48 <= 9 and digits <= MAX_DIGITS:
                value, digits = 10 * value + separator - 48, digits + 1
                separator = np.int64(
                    words[(at + digits - 1) >> 3] >> np.uint64(8 * ((at + digits - 1) & 7)) & np.uint64(255)
                )
            digits -= 1
            numbers[count] = value
        if separator != 32 and not 9 <= separator <= 13:
            return count, False
        count += 1 if digits else 0
        at += digits + 1
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
def find_bounds_down(words: np.ndarray, rows: np.ndarray, columns: np.ndarray, firsts: np.ndarray) -> int:
    """Write where a 0/1 uint8 mask changes value down its columns, as far as `rows` and `columns` have room.

    The rows of `words`, little-endian uint64 (H, n), are those of the mask, padded with background; a column goes on
    at the top of the next. The places come row by row; `firsts`, zeroed int64 of the padded width and one more, gets
    the number of places in each column, at the index after it. Returns as `find_bounds`; `sort_bounds` makes its order.
    So the mask is read as it lies in memory: to transpose it first would cost more than all else.
    """
    height, length = words.shape
    flat = words.ravel()
    changes = np.zeros((length + 7) // 8 * 8, np.uint64)
    count, seen = 0, np.uint64(0)
    for row in range(height):
        above = row - 1 if row else height - 1
        own, upper = flat[row * length : (row + 1) * length], flat[above * length : (above + 1) * length]
        anywhere = np.uint64(0)
        for k in range(length):  # three loops, since each is then done many words at a time
            changes[k] = own[k] ^ upper[k]
        for k in range(length):
            anywhere |= changes[k]
        for k in range(length):
            seen |= own[k]
        if row == 0:
            last = np.uint64(0)
            for k in range(length):
                changes[k] = own[k] ^ (upper[k] << np.uint64(8) | last)
                last = upper[k] >> np.uint64(56)
        elif anywhere == 0:
            continue
        for block in range(0, length, 8):
            changed = np.uint64(0)
            for k in range(8):  # a bit for each of 64 bytes
                changed |= (changes[block + k] * _EIGHT_BITS >> np.uint64(56)) << np.uint64(8 * k)
            while changed:
                lowest = changed & (~changed + np.uint64(1))
                column = 8 * block + _BIT_OF[lowest * _DE_BRUIJN >> np.uint64(58)]
                changed ^= lowest
                if count < rows.size:
                    rows[count], columns[count] = row, column
                    firsts[column + 1] += 1
                count += 1
    return -1 if seen & ~_ONES else count


@compiled_later
def sort_bounds(rows: np.ndarray, columns: np.ndarray, height: int, firsts: np.ndarray, bounds: np.ndarray) -> None:
    """Write the places that `find_bounds_down` found, numbered down the columns, in ascending order."""
    for column in range(1, firsts.size):
        firsts[column] += firsts[column - 1]
    for i in range(rows.size):
        column = columns[i]
        bounds[firsts[column]] = column * height + rows[i]
        firsts[column] += 1


@compiled_later
def write_numbers(numbers: np.ndarray, words: np.ndarray) -> int:
    """Write non-negative `numbers` as ASCII with a blank behind each; returns how many bytes.

    `words` take the bytes as little-endian uint64, with room for `MAX_DIGITS` + 1 bytes a number and a word more. Up to
    seven digits and the blank are made together, without a branch that depends on them, and joined to the word before.
    """
    at, filled, pending = 0, np.uint64(0), np.uint64(0)  # the first `filled` bits of words[at] are `pending`
    for number in numbers:
        rest, scale = np.uint64(number), np.uint64(1)
        if rest >= _SEVEN_DIGITS:
            scale = _SEVEN_DIGITS if rest < _SEVEN_DIGITS * _SEVEN_DIGITS else _SEVEN_DIGITS * _SEVEN_DIGITS
        first = True
        while scale:
            part = rest if scale == 1 else rest // scale
            rest -= part * scale
            # Digits in the bytes of a word, the first one lowest: halves, pairs, single ones.
            upper = part // np.uint64(10**4)
            digits = upper | (part - upper * np.uint64(10**4)) << np.uint64(32)
            upper = digits * np.uint64(10486) >> np.uint64(20) & np.uint64(0x7F_0000_007F)
            digits = upper | (digits - upper * np.uint64(100)) << np.uint64(16)
            upper = digits * np.uint64(103) >> np.uint64(10) & np.uint64(0xF_000F_000F_000F)
            digits = upper | (digits - upper * np.uint64(10)) << np.uint64(8)
            # One bit for each byte up to the first that is not 0, at most 8 of them, as in `parse_numbers`.
            there = (digits + _SEVENS) & _TOPS
            upto = ((there & (~there + np.uint64(1))) - np.uint64(1)) & _ONES
            zeros = ((upto * _ONES >> np.uint64(56)) - np.uint64(1)) * np.uint64(8) if first else np.uint64(8)
            token, bits = (digits | _ZEROS) >> zeros, np.uint64(64) - zeros
            if scale == 1:
                token |= np.uint64(32) << bits
                bits += np.uint64(8)
            joined = pending | token << filled
            words[at] = joined
            over = token >> np.uint64(1) >> (np.uint64(63) - filled)
            filled += bits
            pending = over if filled >= np.uint64(64) else joined
            at += np.int64(filled >> np.uint64(6))
            filled &= np.uint64(63)
            first, scale = False, scale // _SEVEN_DIGITS
    words[at] = pending
    return int(8 * at + np.int64(filled >> np.uint64(3)))
