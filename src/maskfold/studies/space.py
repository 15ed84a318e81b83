"""What a search may try: its section in a study's file."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from maskfold.config.section import Count, Section


class Range(Section):
    """Numbers from ``low`` to ``high``; whole ones where both are."""

    low: int | float
    high: int | float
    log: bool = Field(default=False, description="try orders of magnitude alike; low must be above 0")

    @model_validator(mode="after")
    def _upwards(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}: low must be the smaller one")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}: with log it must be above 0")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)


def _different(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    if len({json.dumps(choice) for choice in choices}) < len(choices):
        raise ValueError("a choice is given twice")
    return choices


Choices = Annotated[tuple[Any, ...], Field(min_length=2), AfterValidator(_different)]


class Search(Section):
    """A search for better options: trials on folds of their own, the winner then compared as a variant.

    Attributes:
        trials: how many, pruned ones too.
        folds: that trials train and are judged by; none of the study's folds, on which the winner is confirmed.
        space: dotted keys, each with a range or a list of choices.
        prune: end a trial that is worse, after a third of its epochs or more, than half of the trials before it were at
            the same epoch.
        seed: of the search; trainings have the study's first seed.
    """

    trials: Count
    folds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    space: dict[str, Range | Choices] = Field(min_length=1)
    prune: bool = True
    seed: int = Field(default=0, ge=0)
