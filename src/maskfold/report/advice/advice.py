"""One piece of advice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """One thing to try: in a word, the figures that speak for it, and what to do (a command, a key)."""

    title: str
    figures: str
    action: str
