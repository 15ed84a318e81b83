"""Contests whose masks are image files: binary pngs beside the images, or label maps named in lists."""

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from maskfold.competitions.errors import CompetitionError, first_few
from maskfold.competitions.files import ContestFiles, safe_path
from maskfold.competitions.images import IMAGE_SUFFIXES, decode_binary, decode_classes
from maskfold.competitions.profile import FileListProfile, PngMasksProfile
from maskfold.competitions.samples import Part, read_columns, sample_table
from maskfold.competitions.table import refuse_duplicates


class _LabelFiles(ABC):
    """Masks that are files: paths inside the contest's folder, or contents where `read_masks` read them."""

    submission_kind = "png"
    files: ContestFiles
    class_names: tuple[str, ...]

    @abstractmethod
    def decode(self, data: bytes, name: str) -> np.ndarray:
        """Content of a label file -> uint8 (H, W)."""

    def mask(self, masks: str | bytes, shape: tuple[int, int]) -> np.ndarray:
        """See `Competition.mask`."""
        name = masks if isinstance(masks, str) else "the mask"
        mask = self.decode(self.files.read(masks) if isinstance(masks, str) else masks, name)
        if mask.shape != tuple(shape):
            raise CompetitionError(
                f"{name} is {mask.shape[0]}x{mask.shape[1]} (height x width), its image "
                f"{shape[0]}x{shape[1]}: they must be the same size"
            )
        return mask

    def coverage(self, masks: str | bytes, shape: tuple[int, int]) -> float:
        """See `Competition.coverage`."""
        mask = self.mask(masks, shape)
        return float(np.mean((mask != 0) & (mask != 255)))

    def read_masks(self, path: Path) -> dict[str, bytes]:
        """See `Competition.read_masks`."""
        ids = {name: image_id for image_id, name in self.file_names().items()}
        labels = list(read_pngs(path))
        refuse_duplicates((name for name, _ in labels), str(path))
        unknown = [name for name, _ in labels if name not in ids]
        if unknown:
            raise CompetitionError(f"{path} holds {len(unknown)} files of no test image: {first_few(unknown)}")
        return {ids[name]: content for name, content in labels}

    def file_names(self) -> dict[str, str]:
        """Test id -> its file in a submission: without folders and without the image's suffix.

        Raises:
            CompetitionError: two ids with one file name.
        """
        names = {image_id: f"{_stem(image_id)}.png" for image_id in self.samples("test")["id"]}
        refuse_duplicates(names.values(), "the names of the submission's files")
        return names

    @abstractmethod
    def samples(self, part: Part) -> pd.DataFrame:
        """See `Competition.samples`."""


class PngMasks(_LabelFiles):
    """Reads samples and masks as a `PngMasksProfile` says."""

    def __init__(
        self, profile: PngMasksProfile, files: ContestFiles, class_names: tuple[str, ...] | None
    ) -> None:
        if class_names is not None and len(class_names) != 1:
            raise CompetitionError(
                f"competition.class_names has {len(class_names)} names, binary masks have one class"
            )
        self.profile = profile
        self.files = files
        self.class_names = class_names or profile.class_names

    @staticmethod
    def missing(profile: PngMasksProfile, files: ContestFiles) -> list[str]:
        """What the profile needs and the folder lacks."""
        return [f"{folder}/" for folder in (profile.images, profile.masks) if not files.has_folder(folder)]

    def samples(self, part: Part) -> pd.DataFrame:
        """See `Competition.samples`."""
        images = self._by_stem(self.profile.images)
        masks = self._by_stem(self.profile.masks)
        strangers = sorted(set(masks) - set(images))
        if strangers:
            raise CompetitionError(
                f"{len(strangers)} masks have no image of the same stem in {self.profile.images}: "
                f"{first_few(masks[stem] for stem in strangers)}"
            )
        splits = self._splits(images, masks)
        rows = []
        for stem, split in splits.items():
            if (split == "test") == (part == "test"):
                row = {"id": stem, "image": images[stem], "masks": masks.get(stem), "split": split}
                rows.append({**row, "masks": None, "split": None} if part == "test" else row)
        return sample_table(rows, self.files, source=self.profile.images)

    def decode(self, data: bytes, name: str) -> np.ndarray:
        """Content of a mask file -> uint8 (H, W) of 0 and 1."""
        return decode_binary(data, name)

    def _by_stem(self, folder: str) -> dict[str, str]:
        names = [name for name in self.files.names(folder) if _is_image(name)]
        refuse_duplicates((PurePosixPath(name).stem for name in names), folder)
        return {PurePosixPath(name).stem: f"{folder}/{name}" for name in names}

    def _splits(self, images: dict[str, str], masks: dict[str, str]) -> dict[str, str | None]:
        """Stem -> train, valid, test; without a split file test (no mask) or None (mask)."""
        source = self.profile.split
        if not self.files.exists(source):
            return {stem: None if stem in masks else "test" for stem in images}
        rows = read_columns(self.files, source, "id", "split")
        refuse_duplicates((stem for stem, _ in rows), source)
        splits = dict(rows)
        problems = {
            "ids without an image": sorted(set(splits) - set(images)),
            "images without a row": sorted(set(images) - set(splits)),
            "splits other than train, valid, test": sorted(set(splits.values()) - {"train", "valid", "test"}),
            "train or valid ids without a mask": sorted(
                stem for stem, split in rows if split != "test" and stem not in masks
            ),
        }
        found = [f"{len(names)} {what}: {first_few(names)}" for what, names in problems.items() if names]
        if found:
            raise CompetitionError(f"{source}: {'; '.join(found)}")
        return splits


class FileList(_LabelFiles):
    """Reads samples and labels as a `FileListProfile` says."""

    def __init__(
        self, profile: FileListProfile, files: ContestFiles, class_names: tuple[str, ...] | None
    ) -> None:
        self.profile = profile
        self.files = files
        self.class_names = class_names or profile.class_names or self._labels_file()
        if len(self.class_names) < 2:
            raise CompetitionError(
                f"the names of the classes are not known: set competition.class_names (two or more), or write "
                f"them into {profile.labels}, one per line"
            )

    @staticmethod
    def missing(profile: FileListProfile, files: ContestFiles) -> list[str]:
        """What the profile needs and the folder lacks."""
        return [] if files.exists(profile.train) else [profile.train]

    def samples(self, part: Part) -> pd.DataFrame:
        """See `Competition.samples`."""
        lists = {"train": self.profile.train, "valid": self.profile.valid}
        lists = lists if part == "train" else {"test": self.profile.test}
        rows = [row for split, name in lists.items() for row in self._lines(name, split)]
        return sample_table(rows, self.files, source=" and ".join(lists.values()))

    def decode(self, data: bytes, name: str) -> np.ndarray:
        """Content of a label file -> uint8 (H, W) of classes, 255 not scored."""
        return decode_classes(data, name, len(self.class_names))

    def _labels_file(self) -> tuple[str, ...]:
        if not self.files.exists(self.profile.labels):
            return ()
        lines = self.files.read(self.profile.labels).decode("utf-8-sig").splitlines()
        return tuple(line.strip() for line in lines if line.strip())

    def _lines(self, name: str, split: str) -> list[dict[str, str | None]]:
        """One sample per line of a list; a list that is not there is empty."""
        if not self.files.exists(name):
            return []
        rows = []
        for number, line in enumerate(self.files.read(name).decode("utf-8-sig").splitlines(), start=1):
            fields = [field.strip() for field in line.split(self.profile.separator)]
            if not line.strip():
                continue
            expected = (1, 2) if split == "test" else (2,)
            if len(fields) not in expected:
                raise CompetitionError(
                    f"{name}, line {number}: {len(fields)} fields, expected 'image label'"
                    + (" or 'image'" if split == "test" else "")
                )
            rows.append({"id": fields[0], "image": safe_path(fields[0]), "masks": None, "split": None})
            if split != "test":
                rows[-1].update(masks=self._label(fields[1], name, number), split=split)
        return rows

    def _label(self, path: str, name: str, number: int) -> str:
        path = safe_path(path)
        if not self.files.exists(path):
            raise CompetitionError(f"{name}, line {number}: there is no label {path}")
        return path


def read_pngs(path: Path) -> Iterator[tuple[str, bytes]]:
    """(file name, content) of what lies in a folder or a zip archive of label files, one at a time.

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
