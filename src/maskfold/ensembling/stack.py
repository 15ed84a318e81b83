"""What stands in ``ensemble.yaml`` of a fitted layer that puts several runs' probabilities together: stacking.

Wolpert, "Stacked generalization", Neural Networks 5, 1992. The layer is a convolution of 3 x 3 pixels whose eight outer
weights are alike, so that it treats a mirrored image as the image: two numbers for each run, and a bias for each class.
So few are fitted surely to the pixels of the out-of-fold maps, and people can read them.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Stack(BaseModel):
    """A fitted layer; `maskfold.ensembling.stack_layer` applies it.

    Attributes:
        own: of each run, the factor of a pixel's logit (or logarithm, where classes exclude each other).
        around: of each run, the factor of the mean logit of the 3 x 3 pixels around it.
        bias: of each class.
        exclusive: whether the classes exclude each other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    own: Annotated[tuple[float, ...], Field(min_length=1)]
    around: tuple[float, ...]
    bias: Annotated[tuple[float, ...], Field(min_length=1)]
    exclusive: bool

    @model_validator(mode="after")
    def _adds_up(self) -> "Stack":
        if len(self.own) != len(self.around):
            raise ValueError(f"a stack has {len(self.own)} factors of pixels and {len(self.around)} of what is around")
        return self

    def line(self) -> str:
        """The layer for people to read."""
        each = "; ".join(f"{own:+.2f} and {around:+.2f}" for own, around in zip(self.own, self.around, strict=True))
        return f"stacked: factors of each run's pixel and of those around it {each}"
