"""What a competition's files look like, as data: the schema of ``profiles/*.yaml`` and of a user's own profile."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from maskfold.competitions.channels import Channel
from maskfold.competitions.csv_split import ColumnRole, CsvSlices, CsvSubmission, CsvTest, CsvTrain
from maskfold.competitions.label_map import LabelMapEntries
from maskfold.competitions.label_profiles import (
    CocoJsonProfile,
    CocoSource,
    FileListProfile,
    LabelFilesProfile,
    LabelSource,
    LabelSubmission,
    PngMasksProfile,
)
from maskfold.competitions.patterns import Pattern, PatternText
from maskfold.competitions.profile_base import BaseProfile, PixelSize
from maskfold.config import GroupConfig
from maskfold.errors import CompetitionError, YamlError, nearest, os_reason
from maskfold.images import ImageSpec
from maskfold.rle import RLEDialect
from maskfold.yaml_text import load_yaml

SHIPPED = Path(__file__).parent / "profiles"
FILL_IN = "FILL-IN"  # what a draft of a profile holds where only a person knows


class CsvProfile(BaseProfile):
    """Masks as run lengths in a CSV; the submission is such a CSV."""

    layout: Literal["csv"]
    train: CsvTrain
    test: CsvTest
    separator: str = Field(",", pattern=r"^[^\r\n\"\x00]$", description="between the fields of a row, one character")
    header: bool = Field(True, description="whether the first row holds column names")
    columns: dict[ColumnRole, str] = Field(description="role -> column name, in a submission's order")
    rows: Literal["image", "class", "instance"] = Field("image", description="one row per …")
    task: Literal["multiclass", "multilabel"] | None = Field(
        None, description="rows: class: classes exclude each other (multiclass; null), or may overlap (multilabel)"
    )
    class_names: tuple[str, ...] = Field(("foreground",), description="rows: class, multiclass: background first")
    class_values: tuple[str, ...] = Field((), description="the classes of class_names as the CSV writes them")
    class_separator: str | None = Field(None, description="splits an id column of the form image_class")
    label_map: LabelMapEntries = Field(
        None, description="train.mask: value or colour in the files -> class, or 255: not scored; null: 0/255 or 0/1"
    )
    dialect: RLEDialect = Field(RLEDialect(), description="how masks are written, see maskfold.rle")
    id_pattern: PatternText | None = Field(None, description="fields of the ids, such as {case}_{slice:d}, for paths")
    slices: CsvSlices | None = Field(None, description="neighbouring slices of a volume as channels")
    submission: CsvSubmission = Field(CsvSubmission(), description="what masks are asked for")

    @model_validator(mode="after")
    def _fits_together(self) -> "CsvProfile":
        for split in ("train", "test"):
            form = self.form(split)
            missing = {"id", "mask"} - set(form.columns)
            if missing:
                raise ValueError(f"columns lacks {' and '.join(sorted(missing))}")
            if self.rows == "class":
                form.check_classes()
            elif (
                len(self.class_names) != 1
                or self.class_values
                or form.class_separator
                or "class" in form.columns
                or self.task is not None
            ):
                raise ValueError(
                    f"rows is {self.rows}, so there is one class: class_names must hold one name, and task, "
                    "class_values, class_separator and columns.class belong to rows: class"
                )
        self._check_fields()
        return self

    def check_classes(self) -> None:
        """Raise a ValueError where classes and the columns that name them do not go together."""
        if ("class" in self.columns) == (self.class_separator is not None):
            raise ValueError(
                "rows is class: give either columns.class, or class_separator where the id column holds both"
            )
        if not self.names_classes:
            if self.class_values:
                raise ValueError("class_values without class_names: name the classes, in the same order")
            return
        if not self.classes:
            first = "" if self.overlapping else "background and "
            raise ValueError(f"rows is class: class_names must hold {first}at least one class")
        if self.class_values and len(self.class_values) != len(self.classes):
            raise ValueError(
                f"class_values has {len(self.class_values)} values for the {len(self.classes)} classes of class_names "
                "(a multiclass task's background is not in the CSV)"
            )

    def _check_fields(self) -> None:
        known = {"id", *(Pattern(self.id_pattern).fields if self.id_pattern else ())}
        mask = (self.train.mask,) if self.train.mask else ()
        for text in (*self.train.image, *self.test.image, *mask):
            unknown = set(Pattern(text).fields) - known
            if unknown:
                raise ValueError(
                    f"the path {text} has the field {', '.join(sorted(unknown))}, expected {', '.join(sorted(known))}: "
                    "further fields come from id_pattern"
                )
        if self.slices is not None and f"{{{self.slices.field}:d}}" not in (self.id_pattern or ""):
            raise ValueError(f"slices.field is {self.slices.field}: write {{{self.slices.field}:d}} in id_pattern")
        if self.submission.rows is not None and self.rows != "instance":
            raise ValueError("submission.rows belongs to rows: instance")
        if self.train.mask is not None and self.overlapping:
            raise ValueError("train.mask is a file of classes that exclude each other: give train.table")
        if self.train.mask is None and self.label_map is not None:
            raise ValueError("label_map says what the files of train.mask hold: give train.mask instead of train.table")

    def form(self, split: Literal["train", "test"]) -> "CsvProfile":
        """The profile as the table of a split has it: a submission has the form of the test split's."""
        own = self.train if split == "train" else self.test
        changed: dict[str, Any] = {}
        if own.columns is not None:
            changed = {"columns": own.columns, "class_separator": own.class_separator}
        if split == "test" and self.submission.rows is not None:
            changed["rows"] = self.submission.rows
        return self.model_copy(update=changed) if changed else self

    @property
    def names_classes(self) -> bool:
        """Whether the profile names the classes, which else are those of the sample submission."""
        return "class_names" in self.model_fields_set

    @property
    def needs(self) -> list[str]:
        tables = [table for table in (self.train.table, self.test.table) if table is not None]
        return [*tables, *(f"{folder}/" for folder in sorted(self.train.folders)), *self._test_folders]

    @property
    def needs_to_predict(self) -> list[str]:
        return [*([] if self.test.table is None else [self.test.table]), *self._test_folders]

    @property
    def _test_folders(self) -> list[str]:
        return [] if self.test.hidden else [f"{folder}/" for folder in sorted(self.test.folders)]

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


@cache
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


def own_profile(name: str) -> bool:
    """Whether ``competition.profile`` is the path of a user's own profile, not the name of a shipped one."""
    return name.endswith((".yaml", ".yml"))


def load_profile(name: str) -> Profile:
    """A shipped profile by its name, or a user's by the path of its YAML.

    Raises:
        CompetitionError: no such profile (the nearest is named), or one that does not fit the schema.
    """
    if own_profile(name):
        return read_profile(Path(name))
    known = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    if name not in known:
        raise CompetitionError(
            f"competition.profile is '{name}': there is no profile of that name; {nearest(name, known)}; "
            "a profile of your own is given as a path that ends in .yaml"
        )
    return read_profile(SHIPPED / f"{name}.yaml")


def profile_yaml(profile: Profile) -> str:
    """A profile as the content of a file, with its name, for `read_profile`."""
    return yaml.safe_dump(profile.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)


def read_profile(path: Path) -> Profile:
    """Read and check one profile file.

    Raises:
        CompetitionError: missing file, no YAML mapping, unknown keys, values that do not fit.
    """
    try:
        tree = load_yaml(path.read_bytes())
    except FileNotFoundError:
        raise CompetitionError(f"there is no profile {path}") from None
    except YamlError as error:
        raise CompetitionError(f"profile {path} is not valid YAML: {error}") from None
    except OSError as error:
        raise CompetitionError(f"profile {path} cannot be read: {os_reason(error)}") from None
    if not isinstance(tree, dict):
        raise CompetitionError(f"profile {path} holds no mapping of keys such as 'layout: csv'")
    if open_keys := list(_to_fill_in(tree)):
        raise CompetitionError(
            f"profile {path} is a draft: {', '.join(open_keys)} still to be filled in. Replace {FILL_IN} by what the "
            "competition's pages say; the comment above each key tells what is meant"
        )
    try:
        return _SCHEMA.validate_python({"name": path.stem, **tree})
    except ValidationError as error:
        problems = "; ".join(_explain(item) for item in error.errors())
        raise CompetitionError(f"profile {path}: {problems}") from None


def _to_fill_in(tree: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """The keys, with dots, that hold `FILL_IN` or a list with it."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _to_fill_in(value, f"{section}{key}.")
        elif value == FILL_IN or (isinstance(value, list) and FILL_IN in value):
            yield f"{section}{key}"


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
    models = (*models, CocoJsonProfile, CocoSource, CsvTrain, CsvTest, CsvSubmission, CsvSlices, PixelSize, GroupConfig)
    keys = {key for model in models for key in model.model_fields}
    return sorted(keys | {field.name for kind in (RLEDialect, ImageSpec, Channel) for field in fields(kind)})
