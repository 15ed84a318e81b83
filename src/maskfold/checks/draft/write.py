"""A draft as YAML that a person can read and correct: every key below the reason for its value."""

import textwrap
from typing import Any

import yaml

from maskfold.checks.draft.draft import Draft, Entry

WIDTH = 110


def as_yaml(draft: Draft, heading: str) -> str:
    """The text of a profile.

    Args:
        draft: its keys; those of one section stand together.
        heading: what is described, and how the draft was made.
    """
    lines = _comment(heading)
    for title, notes in (("Not certain:", draft.doubts), ("Found beside it:", draft.remarks)):
        if notes:
            lines += ["#", f"# {title}", *(line for note in notes for line in _comment(f"- {note}", further="  "))]
    section = ""
    for entry in draft.entries:
        own, _, name = entry.key.rpartition(".")
        indent = "  " if own else ""
        if own != section or not own:
            lines.append("")
        if own and own != section:
            lines.append(f"{own}:")
        section = own
        lines += [f"{indent}{line}" for line in _comment(entry.reason)]
        lines.append(f"{indent}{name}: {_value(entry)}")
    return "\n".join(lines) + "\n"


def _value(entry: Entry) -> str:
    value: Any = entry.value
    return yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False).strip()[
        1:-1
    ]


def _comment(text: str, further: str = "") -> list[str]:
    """Lines that begin with #. Names of files are foreign: what is not printable, line breaks above all, goes."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return [f"# {line}" for line in textwrap.wrap(printable, WIDTH, subsequent_indent=further, break_long_words=False)]
