"""The masks of a training table by image, and a sample of them that is drawn."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property

import cv2

from maskfold.checks.draft.pictures import read_image, size_of
from maskfold.checks.draft.places import ImagePaths
from maskfold.checks.draft.roles import Roles
from maskfold.checks.draft.tables import RUNS
from maskfold.checks.readings import DrawnMask, edges
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.patterns import PathLookup, Pattern
from maskfold.competitions.samples import ImagePath
from maskfold.datasets.copies import THUMBNAIL
from maskfold.errors import CompetitionError
from maskfold.images import ImageSpec, to_rgb
from maskfold.picks import every_nth

# Images whose masks are tried.
SAMPLE = 150


class MasksByImage:
    """The rows of a training table, gathered.

    Attributes:
        files: of the competition.
        rows: image -> (class, run lengths) of its rows that hold runs.
    """

    def __init__(self, files: CompetitionFiles, images: ImagePaths, roles: Roles) -> None:
        self.files = files
        self._paths = frozenset(images.paths)
        self._id = Pattern(roles.places.id_pattern) if roles.places.id_pattern else None
        below = [f"{root}/" if root else "" for root in roles.places.roots]
        self._lookups = [[PathLookup(Pattern(root + text), files) for text in roles.places.patterns] for root in below]
        self._images = list(dict.fromkeys(roles.images))
        self.rows: dict[str, list[tuple[str, str]]] = {}
        for image, value, text in zip(roles.images, roles.classes, roles.masks, strict=True):
            if RUNS.fullmatch(text):
                self.rows.setdefault(image, []).append((value, text))

    def path(self, image: str) -> ImagePath | None:
        """The files of an image; None where not all of them are there."""
        fields = {} if self._id is None else self._id.match(image)
        if fields is None:
            return None
        for lookups in self._lookups:
            with suppress(CompetitionError):
                paths = tuple(lookup.path({"id": image, **fields}) for lookup in lookups)
                if paths and self._paths.issuperset(paths):
                    return paths[0] if len(paths) == 1 else paths
        return None

    @cached_property
    def located(self) -> list[tuple[str, ImagePath]]:
        """(image, its files) of all images of the table that are there."""
        found = ((image, self.path(image)) for image in self._images)
        return [(image, path) for image, path in found if path is not None]

    def sample(self, spec: ImageSpec | None) -> list[DrawnMask]:
        """Some of the images with runs, of which size and picture can be read."""
        filled = [(image, path) for image, path in self.located if image in self.rows]
        drawn = (self._drawn(image, path, spec) for image, path in every_nth(filled, SAMPLE))
        return [item for item in drawn if item is not None]

    def _drawn(self, image: str, path: ImagePath, spec: ImageSpec | None) -> DrawnMask | None:
        try:
            shape = size_of(self.files, path)
            picture = read_image(self.files, path, spec)
        except CompetitionError:
            return None
        grey = to_rgb(picture, spec) if spec is not None and picture.shape[2] == spec.channels else picture
        small = cv2.resize(grey.mean(2), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        return DrawnMask(image, tuple(text for _, text in self.rows[image]), shape, edges(small))


def by_class(rows: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Class -> run lengths."""
    found: dict[str, list[str]] = {}
    for value, text in rows:
        found.setdefault(value, []).append(text)
    return found
