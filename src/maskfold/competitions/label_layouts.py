"""What all competitions have in common whose masks are image files."""

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from maskfold.archives import DAMAGED, check_member, open_zip
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.images import is_image
from maskfold.competitions.label_images import LabelReader
from maskfold.competitions.label_map import LabelMap
from maskfold.competitions.label_profiles import LabelProfile
from maskfold.competitions.samples import Split, Survey
from maskfold.competitions.table import duplicates
from maskfold.errors import CompetitionError, UnsafeArchiveError, first_few, raise_all
from maskfold.labels import Label, LabelSpec
from maskfold.rle import Runs


class LabelLayout(ABC):
    """Masks that are files: paths inside the competition's folder, or contents where `read_masks` read them."""

    submission_kind = "files"
    submission_size = None
    instances = False
    profile: LabelProfile

    def __init__(self, profile: LabelProfile, files: CompetitionFiles, labels: LabelSpec) -> None:
        self.files = files
        self.labels = labels
        self.reader = LabelReader(labels, LabelMap.of(profile.label_map), profile.mat_variable)
        self.profile = profile

    def label(self, masks: str | bytes, shape: tuple[int, int]) -> Label:
        """See `Competition.label`."""
        if isinstance(masks, str):
            return self.reader.decode_for(self.files.read(masks), masks, shape)
        return self.reader.decode_for(masks, "the mask", shape)

    def runs(self, masks: str | bytes, shape: tuple[int, int]) -> tuple[Runs, ...]:
        """See `Competition.runs`."""
        return tuple(map(Runs.of_mask, self.labels.layers(self.label(masks, shape).values)))

    def coverage(self, masks: str | bytes, shape: tuple[int, int]) -> float:
        """See `Competition.coverage`."""
        return float(np.mean(self.labels.foreground(self.label(masks, shape).values)))

    def read_masks(self, path: Path) -> dict[str, bytes]:
        """See `Competition.read_masks`."""
        ids = {name: image_id for image_id, name in self.file_names().items()}
        labels = list(read_mask_files(path))
        problems = duplicates((name for name, _ in labels), str(path))
        unknown = [name for name, _ in labels if name not in ids]
        if unknown:
            problems.append(f"{path} holds {len(unknown)} files of no test image: {first_few(unknown)}")
        raise_all(problems)
        return {ids[name]: content for name, content in labels}

    def file_names(self) -> dict[str, str]:
        """Test id -> its file in a submission, named by the id without folders and without an image's suffix.

        Raises:
            CompetitionError: two ids with one file name.
        """
        form = self.profile.submission.file
        names = {image_id: form.replace("{id}", stem(image_id)) for image_id in self.survey("test").checked().ids}
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
        raise_all(duplicates(map(stem, ids), f"the stems of training images, by which {name} names them"))
        by_stem = {stem(image_id): image_id for image_id in ids}
        masks, problems = self.images_by_stem(name)
        raise_all(problems or ([] if masks else [f"there are no masks in {self.files.root / name}"]))
        return {name: {by_stem.get(name_of_mask, name_of_mask): path for name_of_mask, path in masks.items()}}

    def images_by_stem(self, folder: str) -> tuple[dict[str, str], list[str]]:
        """Stem -> path of a folder's images, and the stems that two of them share."""
        names = [name for name in self.files.names(folder) if is_image(name)]
        problems = duplicates((PurePosixPath(name).stem for name in names), folder)
        return {PurePosixPath(name).stem: f"{folder}/{name}" for name in names}, problems

    @abstractmethod
    def image_folders(self) -> set[str]:
        """Where the profile expects images; empty where lists name them."""

    @abstractmethod
    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`; raises a CompetitionError where a list cannot be read at all."""


def read_mask_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """(file name, content) of what is in a folder or zip archive of mask files, one at a time.

    Raises:
        CompetitionError: there is no such folder or archive, or folders in it; an archive that is damaged or may not be
            read.
    """
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.is_dir():
                raise CompetitionError(f"{path} holds the folder {file.name}, expected mask files and nothing else")
            yield file.name, file.read_bytes()
    elif zipfile.is_zipfile(path):
        yield from _archived(path)
    else:
        raise CompetitionError(
            f"{path} is not a folder or zip archive of mask files: give one, or name its competition with --config "
            "or --runs"
        )


def _archived(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with open_zip(path) as archive:
            for member in archive.infolist():
                check_member(member)
                content = archive.read(member)
                yield member.filename, content
    except UnsafeArchiveError as error:
        raise CompetitionError(f"{path} is not read: {error}; if it is meant, unpack it yourself") from None
    except DAMAGED as error:
        raise CompetitionError(f"{path} cannot be read: {error}") from None


def lines_of(files: CompetitionFiles, path: str) -> list[tuple[int, str]]:
    """(number, text without blanks around it) of a list's lines that are not blank; none where there is no list."""
    if not files.exists(path):
        return []
    lines = enumerate(files.text(path).splitlines(), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def stem(image_id: str) -> str:
    """An id without folders and without an image's suffix."""
    path = PurePosixPath(image_id)
    return path.stem if is_image(image_id) else path.name
