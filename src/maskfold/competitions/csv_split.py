"""The keys of a profile that say where the images and masks of the two splits of a CSV competition are."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from maskfold.competitions.patterns import Pattern, PatternText
from maskfold.competitions.profile_base import Section, listed

ColumnRole = Literal["id", "class", "mask"]


class CsvSplit(Section):
    """What both splits of a competition with RLE masks have."""

    image: Annotated[tuple[PatternText, ...], BeforeValidator(listed), Field(min_length=1)] = Field(
        description="path of an image, with {id} where the id stands; a list: files whose channels follow each other"
    )
    roots: Annotated[tuple[str, ...], BeforeValidator(listed), Field(min_length=1)] = Field(
        default=("",), description="folders in which the image is looked for"
    )
    columns: dict[ColumnRole, str] | None = Field(
        default=None, description="role -> column of this table, where it has other columns than the profile's"
    )
    class_separator: str | None = Field(None, description="with columns: splits an id column of the form image_class")

    @model_validator(mode="after")
    def _has_id(self) -> "CsvSplit":
        for pattern in self.image:
            if not Pattern(pattern).fields:
                raise ValueError(f"image is '{pattern}': it must hold {{id}}, as in train/{{id}}.png")
        if self.class_separator is not None and self.columns is None:
            raise ValueError("class_separator belongs to columns of this table: give both, or neither")
        return self

    @property
    def folders(self) -> set[str]:
        """The folders of the images, up to the part that depends on the id."""
        return {pattern.folder for image in self.image for pattern in self.below_roots(image)} - {""}

    def below_roots(self, text: str) -> list[Pattern]:
        """The pattern ``text`` in each of ``roots``."""
        return [Pattern(f"{root.rstrip('/')}/{text}" if root else text) for root in self.roots]


class CsvTrain(CsvSplit):
    """The training split: masks are in a table, or each in a file."""

    table: str | None = Field(None, description="CSV with the ids and masks of the training images")
    mask: PatternText | None = Field(
        default=None, description="instead of table: path of an image's mask, of the values that label_map names"
    )
    unlisted: Literal["unused", "empty"] = Field(
        "unused", description="images that have no row: not used, or with an empty mask"
    )

    @model_validator(mode="after")
    def _has_masks(self) -> "CsvTrain":
        if (self.table is None) == (self.mask is None):
            raise ValueError("give either table, a CSV of masks, or mask, the path of an image's mask in a file")
        if (self.mask or self.unlisted == "empty") and "id" not in Pattern(self.image[0]).fields:
            raise ValueError(
                f"image is '{self.image[0]}': where no table names all images it must hold {{id}}, so that files "
                "tell the ids"
            )
        return self


class CsvTest(CsvSplit):
    """The test split."""

    table: str = Field(description="the sample submission")
    hidden: bool = Field(
        default=False, description="whether the images may be absent and the sample submission have no row"
    )


class CsvSlices(Section):
    """Neighbouring slices of a volume as channels."""

    field: str = Field(description="field of id_pattern that numbers the slices, as in {slice:d}")
    offsets: Annotated[tuple[int, ...], Field(min_length=1)] = Field(
        description="the slices that are an image, counted from its own; at the ends the last one that there is"
    )


class CsvSubmission(Section):
    """What is asked for, where it is not one mask of the image's own size, or where not every mask will do."""

    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        default=None, description="(H, W) of the masks of the test split; null: each image's own"
    )
    scale: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="instead of size: their size as a fraction of the image's, 0.25 for a quarter"
    )
    rows: Literal["image"] | None = Field(
        default=None, description="image: one row for each image, though the training table has one for each instance"
    )
    overlap: bool = Field(default=True, description="whether the masks of an image may share pixels")
    empty: bool = Field(default=True, description="whether a mask may be empty")

    @model_validator(mode="after")
    def _one_size(self) -> "CsvSubmission":
        if self.size is not None and self.scale is not None:
            raise ValueError("give either submission.size or submission.scale")
        return self
