"""What a command says, safe for the terminal: names come from other people's tables, archives and runs."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

# Control characters, which move the cursor, colour or rename the window; marks that turn the direction of writing;
# halves of surrogates, which stand for bytes of a name that are no text; blanks without width, which nobody sees.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """``text`` with everything that a terminal would obey instead of show written as an escape, ``\\x1b``."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class PlainStream:
    """A text stream that shows what it is given, see `printable`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text``; the length is that of what was given."""
        self._stream.write(printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def plain_output() -> Iterator[None]:
    """Inside, standard output shows and never obeys, and neither stream fails at a character that it cannot write."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with redirect_stdout(PlainStream(sys.stdout)):  # pyright: ignore[reportArgumentType]
        yield
