"""Competitions whose masks are image files: binary pngs beside the images, or label maps named in lists."""

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import get_args

import numpy as np

from maskfold.competitions.files import CompetitionFiles, safe_path
from maskfold.competitions.images import IMAGE_SUFFIXES, decode_binary, decode_classes
from maskfold.competitions.label_profiles import FileListProfile, PngMasksProfile
from maskfold.competitions.samples import OwnSplit, Sample, Split, Survey, read_pairs, survey_samples
from maskfold.competitions.table import duplicates
from maskfold.errors import CompetitionError, first_few, raise_all, together
from maskfold.labels import Label, LabelSpec
from maskfold.rle import Runs


class _LabelFiles(ABC):
    """Masks that are files: paths inside the competition's folder, or contents where `read_masks` read them."""

    submission_kind = "png"
    submission_size = None
    files: CompetitionFiles
    labels: LabelSpec

    @abstractmethod
    def decode(self, data: bytes, name: str) -> Label:
        """Content of a label file."""

    def label(self, masks: str | bytes, shape: tuple[int, int]) -> Label:
        """See `Competition.label`."""
        name = masks if isinstance(masks, str) else "the mask"
        label = self.decode(self.files.read(masks) if isinstance(masks, str) else masks, name)
        height, width = label.valid.shape
        if (height, width) != tuple(shape):
            raise CompetitionError(
                f"{name} is {height}x{width} (height x width), its image "
                f"{shape[0]}x{shape[1]}: they must be the same size"
            )
        return label

    def runs(self, masks: str | bytes, shape: tuple[int, int]) -> tuple[Runs, ...]:
        """See `Competition.runs`."""
        return tuple(map(Runs.of_mask, self.labels.layers(self.label(masks, shape).values)))

    def coverage(self, masks: str | bytes, shape: tuple[int, int]) -> float:
        """See `Competition.coverage`."""
        return float(np.mean(self.labels.foreground(self.label(masks, shape).values)))

    def read_masks(self, path: Path) -> dict[str, bytes]:
        """See `Competition.read_masks`."""
        ids = {name: image_id for image_id, name in self.file_names().items()}
        labels = list(read_pngs(path))
        problems = duplicates((name for name, _ in labels), str(path))
        unknown = [name for name, _ in labels if name not in ids]
        if unknown:
            problems.append(f"{path} holds {len(unknown)} files of no test image: {first_few(unknown)}")
        raise_all(problems)
        return {ids[name]: content for name, content in labels}

    def file_names(self) -> dict[str, str]:
        """Test id -> its file in a submission: without folders and without the image's suffix.

        Raises:
            CompetitionError: two ids with one file name.
        """
        names = {image_id: f"{_stem(image_id)}.png" for image_id in self.survey("test").checked().ids}
        raise_all(duplicates(names.values(), "the names of the submission's files"))
        return names

    def annotations(self, name: str, column: str | None) -> dict[str, dict[str, str]]:
        """See `Competition.annotations`: here of a folder."""
        if column is not None:
            raise CompetitionError(
                f"masks by several annotators are rows of a table with a column {column} only where masks are run "
                "lengths: give a folder of masks for each annotator, and no column"
            )
        ids = self.survey("train").checked().ids
        raise_all(duplicates(map(_stem, ids), f"the stems of training images, by which {name} names them"))
        by_stem = {_stem(image_id): image_id for image_id in ids}
        masks, problems = self._by_stem(name)
        raise_all(problems or ([] if masks else [f"there are no masks in {self.files.root / name}"]))
        return {name: {by_stem.get(stem, stem): path for stem, path in masks.items()}}

    def _by_stem(self, folder: str) -> tuple[dict[str, str], list[str]]:
        """Stem -> path of a folder's images, and the stems that two of them share."""
        names = [name for name in self.files.names(folder) if _is_image(name)]
        problems = duplicates((PurePosixPath(name).stem for name in names), folder)
        return {PurePosixPath(name).stem: f"{folder}/{name}" for name in names}, problems

    @abstractmethod
    def image_folders(self) -> set[str]:
        """Where the profile expects images; empty where lists name them."""

    @abstractmethod
    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`; raises a CompetitionError where a list cannot be read at all."""


class PngMasks(_LabelFiles):
    """Reads samples and masks as a `PngMasksProfile` describes them."""

    def __init__(self, profile: PngMasksProfile, files: CompetitionFiles, class_names: tuple[str, ...] | None) -> None:
        if class_names is not None and len(class_names) != 1:
            raise CompetitionError(f"competition.class_names has {len(class_names)} names, binary masks have one class")
        self.profile = profile
        self.files = files
        self.labels = LabelSpec("binary", class_names or profile.class_names)

    def image_folders(self) -> set[str]:
        """The one folder of images."""
        return {self.profile.images}

    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`."""
        images, twice = self._by_stem(self.profile.images)
        masks, masks_twice = self._by_stem(self.profile.masks)
        problems = [*twice, *masks_twice]
        strangers = sorted(set(masks) - set(images))
        if strangers:
            problems.append(
                f"{len(strangers)} masks have no image of the same stem in {self.profile.images}: "
                f"{first_few(masks[stem] for stem in strangers)}"
            )
        splits, misfits = self._splits(images, masks)
        if split == "test":
            found = [Sample(stem, images[stem]) for stem, own in splits.items() if own == "test"]
        else:
            found = [
                Sample(stem, images[stem], masks[stem], split=own) for stem, own in splits.items() if own != "test"
            ]
        return survey_samples(found, self.files, source=self.profile.images, problems=[*problems, *misfits])

    def decode(self, data: bytes, name: str) -> Label:
        """Content of a mask file, of 0 and 1 (or 255)."""
        return Label.whole(decode_binary(data, name))

    def _splits(self, images: dict[str, str], masks: dict[str, str]) -> tuple[dict[str, OwnSplit | None], list[str]]:
        """Stem -> train, valid, test; without a split file test (no mask) or None (mask). And what does not fit."""
        source = self.profile.split
        if not self.files.exists(source):
            return {stem: None if stem in masks else "test" for stem in images}, []
        rows = read_pairs(self.files, source, "id", "split")
        splits = dict(rows)
        problems = {
            "ids without an image": sorted(set(splits) - set(images)),
            "images without a row": sorted(set(images) - set(splits)),
            "splits other than train, valid, test": sorted(set(splits.values()) - {"train", "valid", "test"}),
            "train or valid ids without a mask": sorted(
                stem for stem, split in rows if split != "test" and stem not in masks
            ),
        }
        found = [f"{source}: {len(names)} {what}: {first_few(names)}" for what, names in problems.items() if names]
        known: dict[str, OwnSplit] = {name: name for name in get_args(OwnSplit)}
        usable: dict[str, OwnSplit | None] = {
            stem: known[split]
            for stem, split in splits.items()
            if stem in images and split in known and (split == "test" or stem in masks)
        }
        return usable, [*duplicates((stem for stem, _ in rows), source), *found]


class FileList(_LabelFiles):
    """Reads samples and labels as a `FileListProfile` describes them."""

    def __init__(self, profile: FileListProfile, files: CompetitionFiles, class_names: tuple[str, ...] | None) -> None:
        self.profile = profile
        self.files = files
        names = class_names or profile.class_names or self._labels_file()
        if len(names) < 2:
            raise CompetitionError(
                f"the names of the classes are not known: set competition.class_names (two or more), or write "
                f"them into {profile.labels}, one per line"
            )
        self.labels = LabelSpec("multiclass", names)

    def image_folders(self) -> set[str]:
        """None: the lists name the images."""
        return set()

    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`."""
        profile = self.profile
        lists: dict[OwnSplit, str] = (
            {"train": profile.train, "valid": profile.valid} if split == "train" else {"test": profile.test}
        )
        found, problems = self._listed(lists)
        return survey_samples(found, self.files, source=" and ".join(lists.values()), problems=problems)

    def annotations(self, name: str, column: str | None) -> dict[str, dict[str, str]]:
        """See `Competition.annotations`: of a list, or of a folder."""
        if column is not None or not self.files.exists(name):
            return super().annotations(name, column)
        found, problems = self._listed({"train": name})
        raise_all([*problems, *duplicates((sample.id for sample in found), name)])
        return {name: {sample.id: sample.masks for sample in found}}

    def decode(self, data: bytes, name: str) -> Label:
        """Content of a label file: classes, and 255 where nothing is scored."""
        return decode_classes(data, name, self.labels.channels)

    def _labels_file(self) -> tuple[str, ...]:
        if not self.files.exists(self.profile.labels):
            return ()
        lines = self.files.text(self.profile.labels).splitlines()
        return tuple(line.strip() for line in lines if line.strip())

    def _lines(self, name: str) -> list[tuple[int, str]]:
        """(number, text) of a list's lines that are not blank; a list that is not there is empty."""
        if not self.files.exists(name):
            return []
        lines = self.files.text(name).splitlines()
        return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]

    def _listed(self, lists: dict[OwnSplit, str]) -> tuple[list[Sample], list[str]]:
        """The samples of lists, and at most one problem: the lines that cannot be used."""
        found, problems = [], []
        for own, name in lists.items():
            for number, line in self._lines(name):
                try:
                    found.append(self._sample(line, own))
                except CompetitionError as error:
                    problems.append(f"{name}, line {number}: {error}")
        return found, together(problems, "lines cannot be used")

    def _sample(self, line: str, split: OwnSplit) -> Sample:
        """The sample of one line."""
        fields = [field.strip() for field in line.split(self.profile.separator)]
        if len(fields) != 2 and (split != "test" or len(fields) != 1):
            expected = "'image label'" + (" or 'image'" if split == "test" else "")
            raise CompetitionError(f"{len(fields)} fields, expected {expected}")
        image = safe_path(fields[0])
        if split == "test":
            return Sample(fields[0], image)
        return Sample(fields[0], image, self._label(fields[1]), split=split)

    def _label(self, path: str) -> str:
        path = safe_path(path)
        if not self.files.exists(path):
            raise CompetitionError(f"there is no label {path}")
        return path


def read_pngs(path: Path) -> Iterator[tuple[str, bytes]]:
    """(file name, content) of what is in a folder or a zip archive of label files, one at a time.

    Raises:
        CompetitionError: there is no such folder or archive.
    """
    if path.is_dir():
        for file in sorted(path.iterdir()):
            yield file.name, file.read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                yield member.filename, archive.read(member)
    else:
        raise CompetitionError(f"{path} is neither a folder nor a zip archive of pngs")


def _stem(image_id: str) -> str:
    path = PurePosixPath(image_id)
    return path.stem if _is_image(image_id) else path.name


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
