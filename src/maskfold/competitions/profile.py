"""What a competition's files look like, as data: the schema of ``profiles/*.yaml`` and of a user's own profile."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from maskfold.competitions.label_profiles import (
    CocoJsonProfile,
    CocoSource,
    FileListProfile,
    LabelFilesProfile,
    LabelSource,
    LabelSubmission,
    PngMasksProfile,
)
from maskfold.competitions.profile_base import BaseProfile, Group, Section, listed
from maskfold.config import GroupConfig
from maskfold.errors import CompetitionError, nearest
from maskfold.images import ImageSpec
from maskfold.rle import RLEDialect

SHIPPED = Path(__file__).parent / "profiles"

ColumnRole = Literal["id", "class", "mask"]


class CsvSplit(Section):
    """The train or the test split of a competition with RLE masks."""

    table: str = Field(description="CSV with this split's ids and masks; for test, the sample submission")
    image: Annotated[tuple[str, ...], BeforeValidator(listed), Field(min_length=1)] = Field(
        description="path of an image, with {id} where the id stands; a list: files whose channels follow each other"
    )

    @model_validator(mode="after")
    def _has_id(self) -> "CsvSplit":
        for pattern in self.image:
            if "{id}" not in pattern:
                raise ValueError(f"image is '{pattern}': it must hold {{id}}, as in train/{{id}}.png")
        return self

    @property
    def folders(self) -> set[str]:
        """The folders of the images, up to the part that depends on the id."""
        return {pattern.partition("{id}")[0].rpartition("/")[0] for pattern in self.image} - {""}

    def files(self, name: str) -> str | tuple[str, ...]:
        """The image of the id ``name``: its path, or its paths where there are several."""
        paths = tuple(pattern.replace("{id}", name) for pattern in self.image)
        return paths[0] if len(self.image) == 1 else paths


class CsvSubmission(Section):
    """What is asked for, where it is not a mask of the image's own size."""

    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        default=None, description="(H, W) of the masks of the test split; null: each image's own"
    )


class CsvProfile(BaseProfile):
    """Masks as run lengths in a CSV; the submission is such a CSV."""

    layout: Literal["csv"]
    train: CsvSplit
    test: CsvSplit
    separator: str = Field(",", min_length=1, max_length=1, description="between the fields of a row")
    header: bool = Field(True, description="whether the first row holds column names")
    columns: dict[ColumnRole, str] = Field(description="role -> column name, in a submission's order")
    rows: Literal["image", "class", "instance"] = Field("image", description="one row per …")
    task: Literal["multiclass", "multilabel"] | None = Field(
        None, description="rows: class: classes exclude each other (multiclass; null), or may overlap (multilabel)"
    )
    class_names: tuple[str, ...] = Field(("foreground",), description="rows: class, multiclass: background first")
    class_values: tuple[str, ...] = Field((), description="the classes of class_names as the CSV writes them")
    class_separator: str | None = Field(None, description="splits an id column of the form image_class")
    dialect: RLEDialect = Field(RLEDialect(), description="how masks are written, see maskfold.rle")
    group: Group | None = Field(None, description="which images belong together: table, or pattern with {group}")
    submission: CsvSubmission = Field(CsvSubmission(), description="the size of the masks that are submitted")

    @model_validator(mode="after")
    def _fits_together(self) -> "CsvProfile":
        missing = {"id", "mask"} - set(self.columns)
        if missing:
            raise ValueError(f"columns lacks {' and '.join(sorted(missing))}")
        if self.rows == "class":
            self._check_classes()
        elif (
            len(self.class_names) != 1
            or self.class_values
            or self.class_separator
            or "class" in self.columns
            or self.task is not None
        ):
            raise ValueError(
                f"rows is {self.rows}, so there is one class: class_names must hold one name, and task, class_values, "
                "class_separator and columns.class belong to rows: class"
            )
        return self

    def _check_classes(self) -> None:
        if not self.classes:
            first = "" if self.overlapping else "background and "
            raise ValueError(f"rows is class: class_names must hold {first}at least one class")
        if ("class" in self.columns) == (self.class_separator is not None):
            raise ValueError(
                "rows is class: give either columns.class, or class_separator where the id column holds both"
            )
        if self.class_values and len(self.class_values) != len(self.classes):
            raise ValueError(
                f"class_values has {len(self.class_values)} values for the {len(self.classes)} classes of class_names "
                "(a multiclass task's background is not in the CSV)"
            )

    @property
    def needs(self) -> list[str]:
        """What a folder must have: files, and folders with a trailing /."""
        splits = (self.train, self.test)
        folders = [f"{folder}/" for split in splits for folder in sorted(split.folders)]
        return [*(split.table for split in splits), *folders]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that have rows in the CSV; empty for a binary competition."""
        if self.rows != "class":
            return ()
        return self.class_names if self.overlapping else self.class_names[1:]

    @property
    def overlapping(self) -> bool:
        """Whether a pixel can have several classes."""
        return self.task == "multilabel"

    @property
    def csv_classes(self) -> tuple[str, ...]:
        """``classes`` as the CSV writes them."""
        return self.class_values or self.classes


Profile = CsvProfile | PngMasksProfile | FileListProfile | LabelFilesProfile | CocoJsonProfile
_SCHEMA = TypeAdapter(Annotated[Profile, Field(discriminator="layout")])


def shipped_profiles() -> tuple[Profile, ...]:
    """The profiles that come with maskfold, the more specific layouts first."""
    profiles = [read_profile(path) for path in sorted(SHIPPED.glob("*.yaml"))]
    specific = ["csv", "label-files", "coco-json", "file-list", "png-masks"]

    def order(profile: Profile) -> tuple[int, int, bool]:
        # Where two ask for the same files, the one of no particular data set comes first.
        return (
            specific.index(profile.layout),
            -len(profile.needs) - len(profile.signs),
            profile.name != profile.layout,
        )

    return tuple(sorted(profiles, key=order))


def load_profile(name: str) -> Profile:
    """A shipped profile by its name, or a user's by the path of its YAML.

    Raises:
        CompetitionError: no such profile (the nearest is named), or one that does not fit the schema.
    """
    if name.endswith((".yaml", ".yml")):
        return read_profile(Path(name))
    known = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    if name not in known:
        raise CompetitionError(
            f"competition.profile is '{name}', no profile of that name: {nearest(name, known)}; "
            "a profile of your own is given as a path that ends in .yaml"
        )
    return read_profile(SHIPPED / f"{name}.yaml")


def read_profile(path: Path) -> Profile:
    """Read and check one profile file.

    Raises:
        CompetitionError: missing file, no YAML mapping, unknown keys, values that do not fit.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CompetitionError(f"there is no profile {path}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CompetitionError(f"profile {path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise CompetitionError(f"profile {path} holds no mapping of keys such as 'layout: csv'")
    try:
        return _SCHEMA.validate_python({"name": path.stem, **tree})
    except ValidationError as error:
        problems = "; ".join(_explain(item) for item in error.errors())
        raise CompetitionError(f"profile {path}: {problems}") from None


def _explain(item: Mapping[str, Any]) -> str:
    # The first part of a location is the layout that the union chose.
    key = ".".join(str(part) for part in item["loc"][1:] if part != "[key]")
    if item["type"] == "union_tag_not_found":
        return "the key layout is missing: set it to csv, png-masks, file-list, label-files or coco-json"
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {key}: {nearest(key.rpartition('.')[2], _known_keys())}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _known_keys() -> list[str]:
    models = (CsvProfile, PngMasksProfile, FileListProfile, LabelFilesProfile, LabelSource, LabelSubmission)
    models = (*models, CocoJsonProfile, CocoSource, CsvSplit, CsvSubmission, GroupConfig)
    keys = {key for model in models for key in model.model_fields}
    return sorted(keys | {field.name for kind in (RLEDialect, ImageSpec) for field in fields(kind)})
