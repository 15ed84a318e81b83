"""Competitions whose masks are run lengths in a CSV."""

from collections.abc import Iterable
from functools import reduce
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from maskfold.competitions.files import CompetitionFiles, safe_paths
from maskfold.competitions.profile import CsvProfile
from maskfold.competitions.samples import Sample, Split, Survey, survey_samples
from maskfold.competitions.table import Key, gather_masks, keys, read_table, survey_masks
from maskfold.errors import CompetitionError, first_few
from maskfold.labels import Label, LabelSpec
from maskfold.rle import RLEError, Runs, ops


class CsvLayout:
    """Reads samples and masks as a `CsvProfile` describes them."""

    submission_kind = "csv"

    def __init__(self, profile: CsvProfile, files: CompetitionFiles, class_names: tuple[str, ...] | None) -> None:
        if class_names is not None and len(class_names) != len(profile.class_names):
            raise CompetitionError(
                f"competition.class_names has {len(class_names)} names, the profile {profile.name} has "
                f"{len(profile.class_names)} classes: {', '.join(profile.class_names)}"
            )
        self.profile = profile
        self.files = files
        task = profile.task or ("multiclass" if profile.rows == "class" else "binary")
        self.labels = LabelSpec(task, class_names or profile.class_names)
        self.dialect = profile.dialect

    def image_folders(self) -> set[str]:
        """Where the profile expects images."""
        return self.profile.train.folders | self.profile.test.folders

    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`; raises a CompetitionError where the table cannot be read at all."""
        spec = self.profile.train if split == "train" else self.profile.test
        masks, problems = survey_masks(self.profile, self._table(spec.table), spec.table)
        paths, unsafe = safe_paths(masks)
        found = [
            Sample(image, spec.files(path), masks[image] if split == "train" else None) for image, path in paths.items()
        ]
        problems = [*problems, *unsafe]
        return survey_samples(found, self.files, source=spec.table, group=self.profile.group, problems=problems)

    @property
    def submission_size(self) -> tuple[int, int] | None:
        """See `Competition.submission_size`."""
        return self.profile.submission.size

    def sample_keys(self) -> list[Key]:
        """The rows of the sample submission, in its order."""
        return keys(self._table(self.profile.test.table))

    def read_masks(self, path: Path) -> dict[str, tuple[str, ...]]:
        """See `Competition.read_masks`."""
        return gather_masks(self.profile, read_table(self.profile, path.read_bytes(), str(path)), str(path))

    def annotations(self, name: str, column: str | None) -> dict[str, dict[str, tuple[str, ...]]]:
        """See `Competition.annotations`."""
        table = read_table(self.profile, self.files.read(name), name, annotator=column)
        if column is None:
            return {name: gather_masks(self.profile, table, name)}
        unnamed = table["id"][table["annotator"] == ""]
        if len(unnamed):
            raise CompetitionError(f"{name}: {len(unnamed)} rows have no {column}: {first_few(unnamed)}")
        drawn = table.groupby("annotator", sort=True)
        return {str(who): gather_masks(self.profile, rows, f"{name}, {column} {who}") for who, rows in drawn}

    def label(self, masks: tuple[str, ...], shape: tuple[int, int]) -> Label:
        """See `Competition.label`."""
        try:
            layers = (self.dialect.decode(rle, shape) for rle in masks)
            return Label.whole(self._gather(layers, shape))
        except RLEError as error:
            raise _unreadable(error, shape) from None

    def runs(self, masks: tuple[str, ...], shape: tuple[int, int]) -> tuple[Runs, ...]:
        """See `Competition.runs`: nothing is drawn."""
        try:
            drawn = [self.dialect.runs(rle, shape) for rle in masks]
        except RLEError as error:
            raise _unreadable(error, shape) from None
        if self.labels.task == "multilabel":
            return tuple(drawn)
        covered = ops.union(*drawn)
        if not self.labels.exclusive:
            return (covered,)
        if sum(map(ops.area, drawn)) > ops.area(covered):
            self.label(masks, shape)  # raises: it names the classes that overlap
        return (ops.complement(covered), *drawn)

    def coverage(self, masks: tuple[str, ...], shape: tuple[int, int]) -> float:
        """See `Competition.coverage`."""
        try:
            areas = [self.dialect.area(rle, shape) for rle in masks]
        except RLEError as error:
            raise _unreadable(error, shape) from None
        if self.labels.task == "multilabel" and np.count_nonzero(areas) > 1:
            return ops.area(ops.union(*self.runs(masks, shape))) / (shape[0] * shape[1])
        return min(1.0, sum(areas) / (shape[0] * shape[1]))  # instances may overlap

    def encode(self, mask: np.ndarray) -> dict[str, list[str]]:
        """Class value ("" where rows have none) -> the run-length strings of its rows.

        An instance is a component of 8-connected pixels; a mask without any is one empty row.
        """
        if self.profile.rows == "class":
            layers = self.labels.layers(mask)[1:] if self.labels.exclusive else self.labels.layers(mask)
            classes = zip(self.profile.csv_classes, layers, strict=True)
            return {value: [self.dialect.encode(layer)] for value, layer in classes}
        if self.profile.rows == "instance" and mask.any():
            count, components = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
            return {"": [self.dialect.encode(components == index) for index in range(1, count)]}
        return {"": [self.dialect.encode(mask)]}

    def _table(self, name: str) -> pd.DataFrame:
        return read_table(self.profile, self.files.read(name), name)

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


def _unreadable(error: RLEError, shape: tuple[int, int]) -> CompetitionError:
    return CompetitionError(f"{error} (its image is {shape[0]}x{shape[1]}, height x width)")
