"""What the checks write down, and the way it is worded."""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from maskfold.errors import first_few
from maskfold.progress import progress

LISTED_HERE = 100  # faults of one kind that a check lists: who repairs them wants to see all
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Notes:
    """Sentences for the user.

    Attributes:
        problems: what makes training or a submission fail, or wrong; one sentence each.
        warnings: what is worth a look.
        facts: name -> what there is, in the order of the checks.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there are no problems; warnings do not count."""
        return not self.problems

    def text(self) -> str:
        """All of it for a terminal."""
        width = max(map(len, self.facts), default=0)
        indent = " " * (width + 2)
        lines = [wrap(f"{name:{width}}  {value}", indent) for name, value in self.facts.items()]
        for kind, items in (("Problem", self.problems), ("Warning", self.warnings)):
            lines += [wrap(f"{kind}: {item}", "  ") for item in items]
        return "\n".join([*lines, f"Problems: {len(self.problems)}. Warnings: {len(self.warnings)}."])


def wrap(text: str, indent: str) -> str:
    """Lines of at most 110 characters; names are not broken."""
    return textwrap.fill(text, 110, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def counts(counter: Counter[str]) -> str:
    """``512x512 (700), 500x500 (87)``, the most frequent first."""
    return first_few((f"{name} ({count})" for name, count in counter.most_common()), 6)


def in_threads(function: Callable[[Item], Result], items: Sequence[Item], label: str) -> Iterator[Result]:
    """``function`` of every item, in order; decoders work outside Python's lock, so threads share them out."""
    pool = ThreadPoolExecutor()
    try:
        yield from progress(pool.map(function, items), label, total=len(items), unit=label.removesuffix("s"))
    finally:
        pool.shutdown(cancel_futures=True)
