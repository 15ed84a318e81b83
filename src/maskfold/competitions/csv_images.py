"""Where the images of a CSV competition are: from an id to files, and from files to ids."""

from collections.abc import Mapping, Sequence

from maskfold.competitions.csv_split import CsvSplit, CsvTrain
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.patterns import PathLookup, Pattern, images_alone
from maskfold.competitions.profile import CsvProfile
from maskfold.competitions.samples import ImagePath
from maskfold.errors import CompetitionError


class CsvImages:
    """Finds the files of one split's images (and masks) below its roots."""

    def __init__(self, profile: CsvProfile, split: CsvSplit, files: CompetitionFiles) -> None:
        self._files = files
        self._split = split
        self._id = Pattern(profile.id_pattern) if profile.id_pattern else None
        self._slices = profile.slices
        self._images = [self._lookups(text) for text in split.image]
        mask = split.mask if isinstance(split, CsvTrain) else None
        self._mask = [] if mask is None else self._lookups(mask)

    def ids(self) -> list[str]:
        """The ids of all images that are there, sorted."""
        each = (pattern.find(self._files) for pattern in self._split.below_roots(self._split.image[0]))
        found = {path: values for paths in each for path, values in paths.items()}
        masks = [lookup.pattern for lookup in self._mask]
        return sorted({values["id"] for values in images_alone(found, masks).values()})

    def _fields(self, name: str) -> dict[str, str]:
        """The fields that paths of the id ``name`` are made of.

        Raises:
            CompetitionError: an id of another form than ``id_pattern``.
        """
        found = {} if self._id is None else self._id.match(name)
        if self._id is not None and found is None:
            raise CompetitionError(f"the id {name} is not of the form {self._id.text} (id_pattern)")
        return {"id": name, **(found or {})}

    def image(self, name: str) -> ImagePath:
        """The image of the id ``name``: its path, or its paths where it is several files.

        Raises:
            CompetitionError: an id of another form, no file where a pattern has to be looked up, several files.
        """
        values = self._fields(name)
        offsets = (0,) if self._slices is None else self._slices.offsets
        paths = [self._slice(lookups, values, offset) for offset in offsets for lookups in self._images]
        return paths[0] if len(paths) == 1 else tuple(paths)

    def mask(self, name: str) -> str:
        """The file of the mask of the id ``name``, where the profile names one.

        Raises:
            CompetitionError: as `image`.
        """
        return self._path(self._mask, self._fields(name))

    def _lookups(self, text: str) -> list[PathLookup]:
        return [PathLookup(pattern, self._files) for pattern in self._split.below_roots(text)]

    def _slice(self, lookups: Sequence[PathLookup], values: Mapping[str, str], offset: int) -> str:
        """The file so many slices away, or the last one on the way there."""
        step = -1 if offset > 0 else 1
        for distance in range(offset, 0, step):
            path = self._shifted(lookups, values, distance)
            if path is not None:
                return path
        return self._path(lookups, values)

    def _shifted(self, lookups: Sequence[PathLookup], values: Mapping[str, str], distance: int) -> str | None:
        assert self._slices is not None
        assert self._id is not None
        for text in _moved(values[self._slices.field], distance):
            moved = {**values, self._slices.field: text}
            try:
                path = self._path(lookups, {**moved, "id": self._id.fill(moved)})
            except CompetitionError:
                continue
            if self._files.exists(path):
                return path
        return None

    def _path(self, lookups: Sequence[PathLookup], values: Mapping[str, str]) -> str:
        if len(lookups) == 1:
            return lookups[0].path(values)
        found = []
        for lookup in lookups:
            try:
                path = lookup.path(values)
            except CompetitionError:
                continue
            if self._files.exists(path):
                found.append(path)
        if len(found) != 1:
            where = ", ".join(self._split.roots)
            raise CompetitionError(f"{values['id']}: {len(found)} of its files below {where}, expected one")
        return found[0]


def _moved(digits: str, distance: int) -> list[str]:
    """How the number so many away may be written: whether 10 follows 09 or 9 cannot be told from it."""
    number = int(digits) + distance
    if number < 0:
        return []
    least = len(digits) if digits[0] == "0" else 1
    return list(dict.fromkeys(f"{number:0{width}d}" for width in range(len(digits), least - 1, -1)))
