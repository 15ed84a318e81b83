"""Channels made of what files hold: one moment of a sequence, the difference of two bands, a stretched range."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskfold.errors import CompetitionError


@dataclass(frozen=True)
class Channel:
    """(plus - minus - low) / (high - low), cut to [0, 1].

    Attributes:
        plus: a channel as it is stored, counted from 0; those of several files follow each other.
        minus: another one, that is subtracted; None: nothing is.
        low: the value that becomes 0.
        high: the value that becomes 1.

    Raises:
        CompetitionError: values that do not go together.
    """

    plus: int
    minus: int | None = None
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if min(self.stored) < 0:
            raise CompetitionError(f"channels are counted from 0, found {min(self.stored)}")
        if not self.low < self.high:
            raise CompetitionError(f"low is {self.low:g} and high {self.high:g}: high must be above low")

    @property
    def stored(self) -> tuple[int, ...]:
        """The stored channels that it is made of."""
        return (self.plus,) if self.minus is None else (self.plus, self.minus)


def make_channels(stored: np.ndarray, channels: Sequence[Channel], name: str) -> np.ndarray:
    """float32 (H, W, C) in [0, 1] of what files hold, (H, W, S).

    Raises:
        CompetitionError: fewer stored channels than ``channels`` name.
    """
    highest = max(place for channel in channels for place in channel.stored)
    if highest >= stored.shape[2]:
        raise CompetitionError(
            f"{name} has the channels 0 to {stored.shape[2] - 1}, the profile's channels are made of channel {highest}"
        )
    made = np.empty((*stored.shape[:2], len(channels)), np.float32)
    for place, channel in enumerate(channels):
        values = stored[..., channel.plus].astype(np.float32)
        if channel.minus is not None:
            values = values - stored[..., channel.minus].astype(np.float32)
        made[..., place] = ((values - channel.low) / (channel.high - channel.low)).clip(0, 1)
    return made
