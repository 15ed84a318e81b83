"""Competitions whose masks are run lengths in a CSV."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from maskfold.competitions.csv_images import CsvImages
from maskfold.competitions.files import CompetitionFiles, safe_paths
from maskfold.competitions.label_images import LabelReader
from maskfold.competitions.label_map import LabelMap
from maskfold.competitions.profile import CsvProfile
from maskfold.competitions.samples import Sample, Split, Survey, survey_samples
from maskfold.competitions.table import Key, column_names, gather_masks, keys, read_table, survey_masks
from maskfold.competitions.windows import MaskWindows
from maskfold.errors import CompetitionError, first_few, together
from maskfold.instances import drawn, numbered, plain
from maskfold.labels import Label, LabelSpec
from maskfold.rle import RLEError, Runs, ops


class CsvLayout:
    """Reads samples and masks as a `CsvProfile` describes them.

    Masks are the run-length strings of an image's rows; or a str, the path of a file that holds the mask.
    """

    submission_kind = "csv"

    def __init__(self, profile: CsvProfile, files: CompetitionFiles, class_names: tuple[str, ...] | None) -> None:
        self.files = files
        self.profile = profile if profile.rows != "class" or profile.names_classes else _with_classes(profile, files)
        if class_names is not None and len(class_names) != len(self.profile.class_names):
            raise CompetitionError(
                f"competition.class_names has {len(class_names)} names, the profile {profile.name} has "
                f"{len(self.profile.class_names)} classes: {', '.join(self.profile.class_names)}"
            )
        task = profile.task or ("multiclass" if profile.rows == "class" else "binary")
        self.labels = LabelSpec(task, class_names or self.profile.class_names)
        self.reader = LabelReader(self.labels, LabelMap.of(profile.label_map))
        self.dialect = profile.dialect

    def image_folders(self) -> set[str]:
        """Where the profile expects images."""
        return self.profile.train.folders | self.profile.test.folders

    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`; raises a CompetitionError where the table cannot be read at all."""
        spec = self.profile.train if split == "train" else self.profile.test
        images = CsvImages(self.profile, spec, self.files)
        masks, problems, notes = self._masks(split, images)
        paths, unsafe = safe_paths(masks)
        found, lost = [], []
        for name, path in paths.items():
            try:
                found.append(Sample(name, images.image(path), masks[name] if split == "train" else None))
            except CompetitionError as error:
                lost.append(str(error))
        problems = [*problems, *unsafe, *together(lost, "images cannot be found")]
        disorder, further = self._compare_columns() if split == "test" else ((), ())
        problems = [*disorder, *problems]
        source = spec.table or spec.image[0]
        survey = survey_samples(found, self.files, source=source, group=self.profile.group, problems=problems)
        return replace(survey, notes=notes, warnings=further)

    def _compare_columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Problems and warnings where the sample submission has other columns than a submission would have."""
        form, name = self.profile.form("test"), self.profile.test.table
        own, found = list(form.columns.values()), column_names(form, self.files.text(name))
        shown = (
            f"{name} has the columns {form.separator.join(found)}, a submission would have {form.separator.join(own)}"
        )
        if [column for column in found if column in own] != own:
            return (f"{shown}: give test.columns, or columns, in the sample submission's order",), ()
        further = [column or "the one without a name" for column in found if column not in own]
        return (), ((f"{shown}: without {first_few(further)} it may be refused",) if further else ())

    def _masks(self, split: Split, images: CsvImages) -> tuple[dict[str, Any], list[str], tuple[str, ...]]:
        """Id -> masks, what is wrong with them, and what has to be said."""
        if split == "train" and self.profile.train.mask is not None:
            return {name: images.mask(name) for name in images.ids()}, [], ()
        table = self.profile.train.table if split == "train" else self.profile.test.table
        assert table is not None
        masks, problems = survey_masks(self.profile.form(split), self._table(split), table)
        if split == "test" or self.profile.train.unlisted == "unused":
            return masks, problems, ()
        without = [name for name in images.ids() if name not in masks]
        empty = ("",) * max(1, len(self.profile.classes))
        note = (
            f"{len(without)} of {len(masks) + len(without)} images have no row in {table}: they count as empty "
            "(train.unlisted)"
        )
        return {**masks, **dict.fromkeys(without, empty)}, problems, (note,)

    @property
    def instances(self) -> bool:
        """See `Competition.instances`."""
        return self.profile.form("test").rows == "instance"

    @property
    def submission_size(self) -> tuple[int, int] | float | None:
        """See `Competition.submission_size`."""
        asked = self.profile.submission
        return asked.scale if asked.size is None else asked.size

    def sample_keys(self) -> list[Key]:
        """The rows of the sample submission, in its order."""
        return keys(self._table("test"))

    def read_masks(self, path: Path) -> dict[str, tuple[str, ...]]:
        """See `Competition.read_masks`; a table in the form of a submission, or in that of the training table."""
        data, errors = path.read_bytes(), []
        for form in (self.profile.form("test"), self.profile.form("train")):
            try:
                return gather_masks(form, read_table(form, data, str(path)), str(path))
            except CompetitionError as error:
                errors.append(error)
        raise errors[0]

    def annotations(self, name: str, column: str | None) -> dict[str, dict[str, tuple[str, ...]]]:
        """See `Competition.annotations`."""
        form = self.profile.form("train")
        table = read_table(form, self.files.read(name), name, annotator=column)
        if column is None:
            return {name: gather_masks(form, table, name)}
        unnamed = table["id"][table["annotator"] == ""]
        if len(unnamed):
            raise CompetitionError(f"{name}: {len(unnamed)} rows have no {column}: {first_few(unnamed)}")
        drawn = table.groupby("annotator", sort=True)
        return {str(who): gather_masks(form, rows, f"{name}, {column} {who}") for who, rows in drawn}

    def label(self, masks: tuple[str, ...] | str, shape: tuple[int, int]) -> Label:
        """See `Competition.label`."""
        if isinstance(masks, str):
            return self.reader.decode_for(self.files.read(masks), masks, shape)
        try:
            layers = (self.dialect.decode(rle, shape) for rle in masks)
            return self._instances(layers, shape) if self.instances else Label.whole(self._gather(layers, shape))
        except RLEError as error:
            raise _unreadable(error, shape) from None

    def runs(self, masks: tuple[str, ...] | str, shape: tuple[int, int]) -> tuple[Runs, ...]:
        """See `Competition.runs`: nothing is drawn."""
        if isinstance(masks, str):
            layers = self.labels.layers(self.label(masks, shape).values)
            return tuple(Runs.of_mask(layer, self.dialect.order) for layer in layers)
        try:
            rows = [self.dialect.runs(rle, shape) for rle in masks]
        except RLEError as error:
            raise _unreadable(error, shape) from None
        if self.labels.task == "multilabel":
            return tuple(rows)
        covered = ops.union(*rows)
        if not self.labels.exclusive:
            return (covered,)
        if sum(runs.area for runs in rows) > covered.area:
            self.label(masks, shape)  # raises: it names the classes that overlap
        return (ops.complement(covered), *rows)

    def objects(self, masks: tuple[str, ...], shape: tuple[int, int]) -> tuple[Runs, ...]:
        """See `Competition.objects`."""
        try:
            rows = [self.dialect.runs(rle, shape) for rle in masks]
        except RLEError as error:
            raise _unreadable(error, shape) from None
        return tuple(runs for runs in rows if len(runs))

    def windows(self, masks: tuple[str, ...], shape: tuple[int, int]) -> Callable[[slice, slice], np.ndarray]:
        """Draws what `label` has at rows and columns, without ever drawing the rest; the runs are read once."""
        try:
            runs = [self.dialect.runs(rle, shape) for rle in masks]
        except RLEError as error:
            raise _unreadable(error, shape) from None

        def window(rows: slice, columns: slice) -> np.ndarray:
            layers = (each.window(rows, columns) for each in runs)
            return self._gather(layers, (rows.stop - rows.start, columns.stop - columns.start))

        return window

    def coverage(self, masks: tuple[str, ...] | str, shape: tuple[int, int]) -> float:
        """See `Competition.coverage`."""
        if isinstance(masks, str):
            return float(np.mean(self.labels.foreground(self.label(masks, shape).values)))
        try:
            areas = [self.dialect.area(rle, shape) for rle in masks]
        except RLEError as error:
            raise _unreadable(error, shape) from None
        if self.labels.task == "multilabel" and np.count_nonzero(areas) > 1:
            return ops.union(*self.runs(masks, shape)).area / (shape[0] * shape[1])
        return min(1.0, sum(areas) / (shape[0] * shape[1]))  # instances may overlap

    def encode(self, mask: np.ndarray) -> dict[str, list[str]]:
        """Class value ("" where rows have none) -> the run-length strings of its rows.

        Where rows are instances these are those of the mask, see `maskfold.instances`; one without any is an empty row.
        """
        if self.profile.rows == "class":
            layers = self.labels.layers(mask)[1:] if self.labels.exclusive else self.labels.layers(mask)
            classes = zip(self.profile.csv_classes, layers, strict=True)
            return {value: [self.dialect.encode(layer)] for value, layer in classes}
        if self.instances and mask.any():
            found = numbered(mask)
            return {"": [self.dialect.encode(found == number) for number in np.unique(found[found > 0])]}
        return {"": [self.dialect.encode(mask)]}

    def encode_windows(self, mask: MaskWindows) -> dict[str, list[str]]:
        """`encode` of a mask that is read strip by strip; its rows are not instances."""
        first = 1 if self.labels.exclusive else 0
        values = self.profile.csv_classes if self.profile.rows == "class" else ("",)
        return {value: [self._encode_layer(mask, first + place)] for place, value in enumerate(values)}

    def _encode_layer(self, mask: MaskWindows, channel: int) -> str:
        order = self.dialect.order
        parts = (self.labels.layers(strip)[channel] for strip in mask.strips(order))
        return self.dialect.encode_parts(parts, mask.size)

    def overlaps(self, masks: Sequence[str], shape: tuple[int, int]) -> bool:
        """Whether masks of one image share pixels; they can be read."""
        rows = [self.dialect.runs(rle, shape) for rle in masks]
        return bool(rows) and sum(runs.area for runs in rows) > ops.union(*rows).area

    def _table(self, split: Split) -> pd.DataFrame:
        name = self.profile.train.table if split == "train" else self.profile.test.table
        assert name is not None
        rowless = split == "test" and self.profile.test.hidden
        return read_table(self.profile.form(split), self.files.read(name), name, rowless=rowless)

    def _instances(self, layers: Iterable[np.ndarray], shape: tuple[int, int]) -> Label:
        """Of rows that are instances."""
        found = drawn(layers, shape)
        return Label(plain(found), np.ones(shape, bool), found)

    def _gather(self, layers: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
        """The mask of the rows' layers."""
        if self.labels.exclusive:
            return self._exclusive(layers, shape)
        return np.stack(list(layers)) if self.labels.task == "multilabel" else reduce(np.maximum, layers)

    def _exclusive(self, layers: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
        label = np.zeros(shape, np.uint8)
        for index, layer in enumerate(layers, start=1):
            taken = np.unique(label[(layer != 0) & (label != 0)])
            if taken.size:
                names = first_few(self.labels.class_names[value] for value in taken)
                raise CompetitionError(
                    f"pixels belong to the class {self.labels.class_names[index]} and also to {names}: classes must "
                    "exclude each other, unless the profile has task: multilabel"
                )
            label[layer != 0] = index
        return label


def _with_classes(profile: CsvProfile, files: CompetitionFiles) -> CsvProfile:
    """The profile with the classes of the sample submission, in the order of their first rows."""
    name = profile.test.table
    values = tuple(dict.fromkeys(read_table(profile.form("test"), files.read(name), name)["class"]))
    names = values if profile.overlapping else ("background", *values)
    return profile.model_copy(update={"class_names": names, "class_values": values})


def _unreadable(error: RLEError, shape: tuple[int, int]) -> CompetitionError:
    return CompetitionError(f"{error} (its image is {shape[0]}x{shape[1]}, height x width)")
