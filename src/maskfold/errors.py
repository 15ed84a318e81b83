"""What goes wrong, as one family of errors, and the wording that their messages share.

A message is for the user: what was found, what was expected, what to do. Commands print it without a traceback.
"""

import difflib
import os
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
LISTED = 20  # names or sentences of one kind of problem that a message holds


class MaskfoldError(ValueError):
    """A mistake of the user or of their files, not of the program."""


class ConfigError(MaskfoldError):
    """A config file or an override that cannot be used."""


class YamlError(MaskfoldError):
    """Text that is not YAML, or not of the plain and bounded kind that is read here."""


class UnsafeArchiveError(MaskfoldError):
    """An archive, or a member of one, that is made to do harm; the message begins with what it is."""


class CompetitionError(MaskfoldError):
    """A competition's files, or the profile that describes them, cannot be used."""


class SubmissionError(CompetitionError):
    """A submission that does not have the form the competition asks for; the message lists every problem."""


class FoldsError(MaskfoldError):
    """Folds that cannot be made, or a folds file that does not fit."""


class SamplerError(MaskfoldError):
    """Batches that cannot be made from the images at hand."""


class AugmentationError(MaskfoldError):
    """An augmentation that cannot be built or applied."""


class ModelError(MaskfoldError):
    """A network that cannot be built, or weights that do not fit."""


class RunError(MaskfoldError):
    """A run folder that is missing, damaged, in use, or of another config."""


class BusyError(RunError):
    """Another process is working on the same fold."""


class ClusterError(MaskfoldError):
    """Other machines that cannot be asked to work."""


class StorageError(MaskfoldError):
    """A key that is none, a place that cannot be opened or written to, or a disk that is full."""


class InferenceError(MaskfoldError):
    """Nothing to predict with, predictions that are not numbers, runs that do not fit together …"""


class TrainingError(MaskfoldError):
    """Training cannot start or go on: a loss that is not a number, weights of other folds …"""


class StudyError(MaskfoldError):
    """A study whose variants cannot be compared, or whose search cannot be made."""


class ExportError(MaskfoldError):
    """A network that cannot be written in another form, or a file of such a form that differs from the network."""


class PackError(MaskfoldError):
    """A pack that cannot be written, or one that is missing, damaged or unsafe to unpack."""


class RasterError(MaskfoldError):
    """A raster that cannot be read by windows, cut or written as asked."""


class ReportError(MaskfoldError):
    """A report that cannot be written as asked."""


def first_few(items: Iterable[object], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    rest = iter(items)
    names = ", ".join(map(str, islice(rest, most)))
    more = sum(1 for _ in rest)
    return names + (f" and {more} more" if more else "")


def together(messages: Sequence[str], what: str) -> list[str]:
    """Messages about one thing as at most one problem: the only one, or the number of ``what`` and the first ones."""
    return list(messages) if len(messages) < 2 else [f"{len(messages)} {what}: {first_few(messages, LISTED)}"]


def nearest(word: str, known: Sequence[str], *, otherwise: str | None = None) -> str:
    """A hint ``did you mean X?`` for a misspelt word or a key without its section, else ``otherwise``.

    Without ``otherwise`` it is the list of what is known.
    """
    placed = [key for key in known if key.endswith("." + word.rpartition(".")[2])]
    matches = placed or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if matches:
        return f"did you mean {' or '.join(matches)}?"
    return otherwise or (f"known are {', '.join(known)}" if known else "there are none")


def raise_all(problems: Sequence[str]) -> None:
    """Raise one CompetitionError of all problems, if there are any."""
    if problems:
        raise CompetitionError("; ".join(problems))


def os_reason(error: OSError) -> str:
    """Why a file cannot be opened or written, without the number and the path that Python puts around it."""
    if error.strerror or error.errno:
        return (error.strerror or os.strerror(error.errno or 0)).lower()
    return str(error) or type(error).__name__


def repeated(items: Sequence[Item]) -> list[Item]:
    """The items that occur more than once, each once, in order of their second occurrence."""
    seen: set[Item] = set()
    twice: dict[Item, None] = {}
    for item in items:
        if item in seen:
            twice[item] = None
        seen.add(item)
    return list(twice)
