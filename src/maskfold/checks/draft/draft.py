"""What a draft of a profile is: keys with their reasons, and what nobody but the user can know."""

from dataclasses import dataclass, field
from typing import Any

from maskfold.competitions.profile import FILL_IN
from maskfold.metrics import METRICS


@dataclass(frozen=True)
class Entry:
    """A key of the profile.

    Attributes:
        key: with dots, such as ``train.table``.
        value: as YAML holds it.
        reason: why, a sentence or two.
    """

    key: str
    value: Any
    reason: str = ""


@dataclass
class Draft:
    """A profile to be written.

    Attributes:
        entries: in the order in which they are written.
        doubts: what was chosen without evidence, or could not be told.
        remarks: what was found beside it, and may be of use.
    """

    entries: list[Entry] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, key: str, value: Any, reason: str = "") -> None:
        """Write down a key."""
        self.entries.append(Entry(key, value, reason))

    def leave_open(self, key: str, reason: str) -> None:
        """Write down a key that has to be filled in."""
        self.entries.append(Entry(key, FILL_IN, reason))

    def leave_metric_open(self) -> None:
        """Write down that the score has to be filled in, and which ones there are."""
        reason = "no file tells how a submission is scored: see the competition's page on evaluation"
        self.leave_open("metric", f"{reason}. There are {', '.join(METRICS)}; or package.module:Name, your own")

    @property
    def tree(self) -> dict[str, Any]:
        """The profile as a mapping, as its YAML would be read."""
        tree: dict[str, Any] = {}
        for entry in self.entries:
            *sections, name = entry.key.split(".")
            place = tree
            for section in sections:
                place = place.setdefault(section, {})
            place[name] = entry.value
        return tree

    @property
    def open(self) -> list[str]:
        """The keys that have to be filled in."""
        return [entry.key for entry in self.entries if entry.value == FILL_IN]
