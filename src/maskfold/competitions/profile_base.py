"""What the profiles of all layouts share."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from maskfold.competitions.channels import Channel
from maskfold.images import ImageSpec


class Section(BaseModel):
    """A mapping of known keys in a profile."""

    # Class values such as 1, 2, 3 are numbers in YAML and text in a CSV.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class BaseProfile(Section):
    """The keys of every profile."""

    name: str = Field(description="the profile's name; default: the file's")
    title: str = Field("", description="the competition, in words")
    metric: str = Field(description="the competition's metric: a name of maskfold.metrics, or package.module:Name")
    image_spec: ImageSpec = Field(ImageSpec(), description="channels and values of the images, see maskfold.images")
    channels: tuple[Channel, ...] = Field(
        (), description="how channels are made of those of the files; empty: they are those"
    )


def listed(value: Any) -> Any:
    """A single text or mapping where several may stand is a list of one."""
    return (value,) if isinstance(value, str | dict) else value
