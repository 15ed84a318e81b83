"""Numbers on a command line, with a message for those that are not what they should be."""

import argparse
from collections.abc import Callable


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _number(text, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def below_one(text: str) -> float:
    """A number from 0 to below 1."""
    return _number(text, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def above_zero(text: str) -> float:
    """A number above 0."""
    return _number(text, lambda value: 0 < value < float("inf"), "a number above 0")


def finite(text: str) -> float:
    """A number, not nan or inf."""
    return _number(text, lambda value: abs(value) < float("inf"), "a number")


def count_from(least: int) -> Callable[[str], int]:
    """The type of whole numbers from ``least`` on."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least}")
        return int(text)

    return count


def file_name(*suffixes: str) -> Callable[[str], str]:
    """The type of names of files that end in one of ``suffixes``; an empty one stands for the default."""

    def name(text: str) -> str:
        if text and not text.lower().endswith(suffixes):
            raise argparse.ArgumentTypeError(f"'{text}': expected a name ending in {' or '.join(suffixes)}")
        return text

    return name


page_name = file_name(".html", ".htm")
picture_name = file_name(".png", ".jpg", ".jpeg", ".webp", ".pdf", ".svg")


def band_list(text: str) -> tuple[int, ...]:
    """``1-3,8`` as 1, 2, 3, 8."""
    bands: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"'{text}' is not a list of bands such as 1-3,8")
        bands += range(int(first), int(last or first) + 1)
    if not bands or min(bands) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' names no band: they are counted from 1")
    return tuple(bands)


def _number(text: str, fits: Callable[[float], bool], expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not fits(value):
        raise argparse.ArgumentTypeError(f"'{text}' is not {expected}")
    return value
