"""Other people's decoders on files from anywhere."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import UnidentifiedImageError

from maskfold.errors import CompetitionError, os_reason


@contextmanager
def decoding(message: str) -> Iterator[None]:
    """What a decoder raises on a damaged file becomes a CompetitionError: ``message: reason``.

    Decoders raise whatever their own code stumbles over (ValueError of a text chunk, struct.error, IndexError …), and
    have no common base but Exception. Our own errors and a lack of memory pass.
    """
    try:
        yield
    except (CompetitionError, MemoryError):
        raise
    except Exception as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        reason = re.sub(r":? <[^<>]* at 0x[0-9a-f]+>", "", " ".join(reason.split()))  # of Python's objects
        reason = "it is not an image" if isinstance(error, UnidentifiedImageError) else reason
        raise CompetitionError(f"{message}: {reason[:200]}{'…' if len(reason) > 200 else ''}") from None
