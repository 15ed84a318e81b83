"""A value and why it is that."""

from typing import Any, NamedTuple


class Reason(NamedTuple):
    """What a rule decides: a value of the config, and the rule with the measured number that led to it."""

    value: Any
    why: str
