"""Between what a table's cell or a JSON list holds and an int64 array of non-negative numbers."""

import math
import re
import sys
from collections.abc import Sequence

import numpy as np

from maskfold.errors import MaskfoldError
from maskfold.rle import kernels


class RLEError(MaskfoldError):
    """A run-length code, a mask or a dialect that cannot be what it should be."""


def is_missing(rle: object) -> bool:
    """Whether `rle` is None, a float NaN or pandas.NA: how tables hand over an empty cell."""
    if isinstance(rle, float | np.floating):
        return math.isnan(rle)
    # looked up, not imported: pandas takes longer to load than all of this package
    return rle is None or rle is getattr(sys.modules.get("pandas"), "NA", None)


def parse_text(text: str) -> np.ndarray:
    """The unsigned integers of `text`, separated by ASCII whitespace, as int64.

    Raises:
        RLEError: a token is not an unsigned integer or has more than 18 digits.
    """
    data = text.encode("ascii", "replace")
    words = np.frombuffer(data + b" " * (24 - len(data) % 8), "<u8")
    numbers = np.empty(len(data) // 2 + 1, np.int64)
    count, complete = kernels.parse_numbers(words, len(data), numbers)
    if not complete:
        token = re.findall(r"[^ \t-\r]+", text)[count]
        raise token_error(count, token, _complaint(token))
    return numbers[:count]


def parse_list(values: Sequence[int] | np.ndarray) -> np.ndarray:
    """A list of non-negative integers as int64, refused like the tokens of a text."""
    for index, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise token_error(index, value, "is not an integer")
        if not 0 <= value < 10**kernels.MAX_DIGITS:
            raise token_error(index, value, _complaint(str(value)))
    return np.array(values, np.int64)


def format_numbers(numbers: np.ndarray) -> str:
    """Non-negative int64 `numbers` of up to 18 digits as decimal text, one blank between them."""
    words = np.empty(numbers.size * (kernels.MAX_DIGITS + 1) // 8 + 2, "<u8")
    size = kernels.write_numbers(numbers, words)
    return words.view(np.uint8)[: max(0, size - 1)].tobytes().decode("ascii")


def token_error(index: int, token: object, complaint: str) -> RLEError:
    """The error that names the token at 0-based `index`; `complaint` completes the sentence."""
    text = str(token)
    shown = text if len(text) <= 24 else f"{text[:20]}…"
    return RLEError(f"RLE token {index + 1} ('{shown}') {complaint}")


def _complaint(token: str) -> str:
    if token == "-1":
        return "is not a pixel or a length; if it marks empty masks here, declare it: RLEDialect(empty='-1')"
    if token.isascii() and token.isdigit():
        return f"has more than {kernels.MAX_DIGITS} digits"
    return "is not an unsigned integer"
