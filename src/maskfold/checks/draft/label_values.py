"""What label files hold: two values, classes by number, or colours; told from a sample of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image

from maskfold.checks.draft.tables import Table
from maskfold.competitions.decoders import decoding
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.label_images import read_npy_mask
from maskfold.competitions.label_map import NOT_SCORED
from maskfold.errors import CompetitionError
from maskfold.picks import every_nth

# Files that are read; more different values than these are no classes.
READ, MOST = 60, 256
# Of all pixels, those near the ends of the scale, where a mask was compressed with loss.
NEAR, ENDS = 0.97, 24
# The same of colours, whose channels are blurred more; and of all pixels those that a colour has which is meant.
NEAR_CORNERS, MEANT = 0.9, 0.001

Kind = Literal["two", "two scales", "numbers", "colours", "blurred", "blurred colours", "other"]
Value = int | tuple[int, int, int]


@dataclass
class LabelValues:
    """What a sample of label files holds.

    Attributes:
        pixels: value, or colour (red, green, blue) -> number of pixels.
        sets: the values of a file -> number of such files.
        read: number of files read.
        failures: messages about files that cannot be read.
    """

    pixels: Counter[Value] = field(default_factory=Counter)
    sets: Counter[frozenset[Value]] = field(default_factory=Counter)
    read: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def values(self) -> list[Value]:
        """All values, sorted; colours where there is one, of all files then."""
        return sorted(self.pixels, key=lambda value: (isinstance(value, tuple), value))

    @property
    def kind(self) -> Kind:
        """What the values can be."""
        values = set(self.pixels)
        if any(isinstance(value, tuple) for value in values):
            return "colours" if len(values) <= MOST else "blurred colours" if self.corners else "other"
        if len(values) <= 2:
            return "two"
        if values == {0, 1, 255} and not self.files_with(1, 255):
            return "two scales"
        if self._at_the_ends() and {0, 255} <= values:
            return "blurred"
        return "numbers" if len(values) <= MOST else "other"

    def files_with(self, *values: Value) -> int:
        """Number of files that hold all of these."""
        return sum(count for found, count in self.sets.items() if found.issuperset(values))

    @property
    def corners(self) -> list[tuple[int, int, int]]:
        """The colours of 0 and 255 near which nearly all pixels are, sorted; none where others are as well."""
        counts: Counter[tuple[int, int, int]] = Counter()
        for value, count in self.pixels.items():
            if isinstance(value, tuple) and all(not ENDS < level < 255 - ENDS for level in value):
                red, green, blue = (255 * (level > ENDS) for level in value)
                counts[(red, green, blue)] += count
        if counts.total() < NEAR_CORNERS * self.pixels.total():
            return []
        return sorted(corner for corner, count in counts.items() if count >= MEANT * self.pixels.total())

    def _at_the_ends(self) -> bool:
        """Whether nearly all pixels are near 0 and 255, and other values are between them."""
        ends = sum(
            count for value, count in self.pixels.items() if isinstance(value, int) and not ENDS < value < 255 - ENDS
        )
        return len(self.pixels) > 3 and ends >= NEAR * self.pixels.total() and max(self._inner(), default=0) > ENDS

    def _inner(self) -> Iterable[int]:
        return (value for value in self.pixels if isinstance(value, int) and value < NOT_SCORED)


def read_labels(files: CompetitionFiles, paths: Sequence[str]) -> LabelValues:
    """The values of some of the label files."""
    found = LabelValues()
    arrays = {path: _read(files, path, found) for path in every_nth(paths, READ)}
    usable = {path: array for path, array in arrays.items() if array is not None}
    coloured = any(array.ndim == 3 for array in usable.values())
    for array in usable.values():
        counts = _count(array, coloured=coloured)
        found.pixels.update(counts)
        found.sets[frozenset(counts)] += 1
        found.read += 1
        if len(found.pixels) > 4 * MOST and not found.corners:
            break
    return found


def named_values(tables: Sequence[Table], values: Sequence[Value]) -> tuple[dict[Value, str], str]:
    """Value or colour -> name, of a table with a row for each; and the table's path. Empty where none has them all."""
    for table in tables:
        columns = {column: table.values(column) for column in table.columns}
        numbers = [column for column, cells in columns.items() if all(_is_level(cell) for cell in cells)]
        names = [
            column for column in columns if column not in numbers and len(set(columns[column])) == len(columns[column])
        ]
        wanted = 3 if any(isinstance(value, tuple) for value in values) else 1
        if len(numbers) < wanted or not names:
            continue
        rows = zip(*(columns[column] for column in numbers[:wanted]), columns[names[0]], strict=True)
        found: dict[Value, str] = {}
        for *levels, name in rows:
            key = tuple(map(int, levels))
            found[(key[0], key[1], key[2]) if wanted == 3 else key[0]] = name
        if set(values) - {NOT_SCORED} <= found.keys():
            return found, table.path
    return {}, ""


def _is_level(cell: str) -> bool:
    return cell.isascii() and cell.isdigit() and int(cell) < 256


def _read(files: CompetitionFiles, path: str, found: LabelValues) -> np.ndarray | None:
    """Whole numbers (H, W), or colours (H, W, 3). A palette means its indices."""
    try:
        array = _array(files.read(path), path)
    except CompetitionError as error:
        found.failures.append(str(error))
        return None
    if array.ndim == 3:
        colours = array[..., :3] if array.shape[2] >= 3 else np.repeat(array[..., :1], 3, axis=2)
        array = colours if (colours != colours[..., :1]).any() else colours[..., 0]
    if array.dtype.kind not in "bui":
        found.failures.append(f"{path} holds {array.dtype}")
        return None
    return array


def _array(data: bytes, path: str) -> np.ndarray:
    if path.lower().endswith(".npy"):
        return read_npy_mask(data, path)
    with decoding(f"{path} cannot be read as a mask"), Image.open(BytesIO(data)) as image:
        return np.array(image)


def _count(array: np.ndarray, *, coloured: bool) -> Counter[Value]:
    if not coloured:
        values, counts = np.unique(array, return_counts=True)
        return Counter({int(value): int(count) for value, count in zip(values, counts, strict=True)})
    colours = array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)
    red, green, blue = (colours[..., channel].astype(np.int64) for channel in range(3))
    values, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    triples = ((int(value) >> 16, int(value) >> 8 & 255, int(value) & 255) for value in values)
    return Counter(dict(zip(triples, map(int, counts), strict=True)))
