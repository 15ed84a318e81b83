"""Errors about a contest's files, and the wording they share."""

from collections.abc import Iterable, Sequence


class CompetitionError(ValueError):
    """A contest's files, or the profile that describes them, cannot be used. The message is for the user."""


class SubmissionError(CompetitionError):
    """A submission that does not have the form the contest asks for; the message lists every problem."""


def first_few(items: Iterable[object], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    names = [str(item) for item in items]
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def together(messages: Sequence[str], what: str) -> list[str]:
    """Messages of one kind as at most one problem: the only one, or the number of ``what`` and the first few."""
    return list(messages) if len(messages) < 2 else [f"{len(messages)} {what}: {first_few(messages)}"]


def raise_all(problems: Sequence[str]) -> None:
    """Raise one CompetitionError of all problems, if there are any."""
    if problems:
        raise CompetitionError("; ".join(problems))


def repeated(items: Sequence[object]) -> list[object]:
    """The items that occur more than once, each once, in order of their second occurrence."""
    seen: set[object] = set()
    twice: dict[object, None] = {}
    for item in items:
        if item in seen:
            twice[item] = None
        seen.add(item)
    return list(twice)
