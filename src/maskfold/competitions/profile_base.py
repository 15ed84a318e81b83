"""What the profiles of all layouts share."""

from abc import abstractmethod
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from maskfold.competitions.channels import Channel
from maskfold.competitions.patterns import Pattern
from maskfold.config import GroupConfig
from maskfold.images import ImageSpec


class Section(BaseModel):
    """A mapping of known keys in a profile."""

    # Class values such as 1, 2, 3 are numbers in YAML and text in a CSV.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)


class MetricChoice(Section):
    """A metric by its name, and the options that it is made with as further keys: ``{name: f_beta, beta: 0.5}``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(description="a name of maskfold.metrics, or package.module:Name")

    @property
    def options(self) -> dict[str, Any]:
        """The further keys."""
        return dict(self.model_extra or {})


class PixelSize(Section):
    """What tables say about the size of the pixels of each image."""

    wanted: Annotated[float, Field(gt=0)] = Field(description="size that the pixels of all images are brought to")
    train: str = Field(description="CSV with the pixel size of each training image")
    test: str = Field(description="CSV with that of each test image")
    id: str = Field("id", description="their column with the image's id")
    column: str = Field("pixel_size", description="their column with the size, in the unit of wanted")


class Medals(Section):
    """Scores of a board that is closed, at its medals' ranks, its median and its first rank."""

    winner: float = Field(description="score of the first rank")
    gold: float | None = Field(None, description="least score of a gold medal")
    silver: float | None = Field(None, description="least score of a silver medal")
    bronze: float | None = Field(None, description="least score of a bronze medal")
    median: float | None = Field(None, description="median of all scores")
    board: str = Field("private leaderboard", description="which board")
    source: str = Field(description="where the figures are from")

    def lines(self) -> list[tuple[str, float]]:
        """Name and score of what is known, the highest first."""
        known = {name: getattr(self, name) for name in ("winner", "gold", "silver", "bronze", "median")}
        return [(name, line) for name, line in known.items() if line is not None]

    @model_validator(mode="after")
    def _descending(self) -> "Medals":
        lines = [line for _, line in self.lines()]
        if lines != sorted(lines, reverse=True):
            raise ValueError(f"the lines {', '.join(map(str, lines))} must fall from winner to median")
        return self


def _named(value: Any) -> Any:
    """A name alone is a choice without options."""
    return {"name": value} if isinstance(value, str) else value


def _with_group(text: str) -> str:
    if Pattern(text).fields.count("group") != 1:
        raise ValueError(f"group is '{text}': it must hold {{group}}, as in images/{{group}}_*")
    return text


Group = GroupConfig | Annotated[str, AfterValidator(_with_group)]
"""Which images belong together: a table of the competition; or a pattern of the images' paths, with {group}."""


class BaseProfile(Section):
    """The keys of every profile."""

    name: str = Field(description="the profile's name; default: the file's")
    title: str = Field("", description="the competition, in words")
    metric: Annotated[MetricChoice, BeforeValidator(_named)] = Field(
        description="the competition's metric: a name of maskfold.metrics, or package.module:Name; with options: "
        "{name: f_beta, beta: 0.5}"
    )
    image_spec: ImageSpec = Field(ImageSpec(), description="channels and values of the images, see maskfold.images")
    pixel_size: PixelSize | None = Field(None, description="sizes of pixels that differ from image to image")
    channels: tuple[Channel, ...] = Field(
        (), description="how channels are made of those of the files; empty: they are those"
    )
    tile_scale: Annotated[float, Field(gt=0, le=8)] | None = Field(
        None,
        description="scale at which training tiles were cut; test images are then rasters, predicted by windows at it; "
        "null: training images are no tiles",
    )
    tile_side: Annotated[int, Field(ge=1)] | None = Field(
        None, description="side of these tiles, as large as which the windows are; null: that of the first tile"
    )
    group: Group | None = Field(None, description="which images belong together: table, or pattern with {group}")
    medals: Medals | None = Field(None, description="what scores its closed board gave medals for")
    signs: tuple[str, ...] = Field(
        (), description="further files, or patterns of some, by which a folder is known to hold this data set"
    )

    @property
    @abstractmethod
    def needs(self) -> list[str]:
        """What a folder must have: files, folders (with a trailing /), patterns of which there must be a file."""

    @property
    @abstractmethod
    def needs_to_predict(self) -> list[str]:
        """The same of a folder whose test images are predicted by networks that were trained elsewhere."""

    @property
    def raster_scale(self) -> float:
        """By which rasters are resized to be like the training images."""
        return 1.0 if self.tile_scale is None else self.tile_scale


def listed(value: Any) -> Any:
    """A single text or mapping where several may stand is a list of one."""
    return (value,) if isinstance(value, str | dict) else value
