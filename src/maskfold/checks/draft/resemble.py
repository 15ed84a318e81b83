"""Which of the profiles that come with maskfold a profile is like, and where it differs."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maskfold.competitions.profile import Profile, shipped_profiles

# What says nothing about the form of the files.
WORDS = frozenset({"name", "title", "metric", "medals", "class_names", "class_values"})
# Profiles that differ in more keys than this are not alike.
MOST = 6


@dataclass(frozen=True)
class Resemblance:
    """The nearest profile.

    Attributes:
        name: of the profile that comes with maskfold.
        metric: its score.
        differences: what differs, a few words each: the key, what it has and what it would have to have.
    """

    name: str
    metric: str
    differences: tuple[str, ...]


def nearest_profile(profile: Profile, unknown: Collection[str] = ()) -> Resemblance | None:
    """The nearest profile of the same layout, but for the keys ``unknown``; None where all differ much."""
    found = [_compared(profile, other, unknown) for other in shipped_profiles() if other.layout == profile.layout]
    best = min((item for item in found if item is not None), key=lambda item: len(item.differences), default=None)
    return best if best is not None and len(best.differences) <= MOST else None


def _compared(profile: Profile, other: Profile, unknown: Collection[str]) -> Resemblance | None:
    """None where they have less in common than what differs, of the keys that are not as by default in both."""
    own, their = (
        {key: value for key, value in _flat(each.model_dump()) if key not in unknown} for each in (profile, other)
    )
    changed = {
        **dict(_flat(profile.model_dump(exclude_defaults=True))),
        **dict(_flat(other.model_dump(exclude_defaults=True))),
    }
    differences = tuple(_differences(own, their))
    common = sum(own[key] == their.get(key) for key in changed if key in own)
    return Resemblance(other.name, other.metric.name, differences) if common >= len(differences) else None


def _differences(own: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(own.keys() | other.keys()):
        if own.get(key) != other.get(key):
            yield f"{key} is {_shown(own.get(key))}, there {_shown(other.get(key))}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list) and value:
        return ", ".join(map(str, value))
    return repr(value) if value in ("", None, [], ()) or str(value).strip() != str(value) else str(value)


def _flat(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if not before and key in WORDS:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
