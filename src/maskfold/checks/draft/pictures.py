"""What the images are: their channels, type and sizes, from a sample of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.images import decode_files, image_size, stored_spec
from maskfold.competitions.samples import ImagePath, paths_of
from maskfold.errors import CompetitionError
from maskfold.images import PLAIN, ImageSpec
from maskfold.picks import every_nth

# Images that are decoded, and of which the header is read.
DECODED, MEASURED = 16, 200
# Values that mean 1.0 in what sensors and programs write; the smallest that holds the largest value found.
SCALES = (1.0, 255.0, 1023.0, 4095.0, 10000.0, 16383.0, 65535.0)


@dataclass
class Pictures:
    """What a sample of images shows.

    Attributes:
        spec: how all images decoded are stored; None where they differ or cannot be read.
        sizes: (H, W) -> images measured.
        highest: largest value in the images decoded.
        failures: messages about images that cannot be read.
    """

    spec: ImageSpec | None = None
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    highest: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def needs_spec(self) -> bool:
        """Whether a profile must say how images are stored: 8-bit grey, colours and alpha need no word."""
        return self.spec is not None and not _is_ordinary(self.spec)


def look_at_images(files: CompetitionFiles, images: Sequence[ImagePath]) -> Pictures:
    """Measure some images, and decode a few of them."""
    found = Pictures()
    for image in every_nth(images, MEASURED):
        try:
            found.sizes[size_of(files, image)] += 1
        except CompetitionError as error:
            found.failures.append(str(error))
    specs: Counter[ImageSpec] = Counter()
    for image in every_nth(images, DECODED):
        try:
            spec = _spec_of(files, image)
            specs[spec] += 1
            found.highest = max(found.highest, float(np.nanmax(read_image(files, image, spec))))
        except CompetitionError as error:
            found.failures.append(str(error))
    if len(specs) == 1 or (specs and all(map(_is_ordinary, specs))):
        spec = specs.most_common(1)[0][0]
        found.spec = ImageSpec(spec.channels, spec.dtype, _scale(spec, found.highest))
    return found


def size_of(files: CompetitionFiles, image: ImagePath) -> tuple[int, int]:
    """(H, W) of an image, from its header.

    Raises:
        CompetitionError: no such file, or not an image.
    """
    first = paths_of(image)[0]
    with files.open(first) as stream:
        return image_size(stream, first)


def read_image(files: CompetitionFiles, image: ImagePath, spec: ImageSpec | None) -> np.ndarray:
    """An image (H, W, C) as ``spec`` says; without one a single file as 8-bit colours, several as they are stored.

    Raises:
        CompetitionError: no such file, or not such an image.
    """
    plain = spec is None or _is_ordinary(spec)
    own = PLAIN if plain and len(paths_of(image)) == 1 else spec or _spec_of(files, image)
    return decode_files([(path, files.read(path)) for path in paths_of(image)], own)


def _is_ordinary(spec: ImageSpec) -> bool:
    """8-bit grey, colours, or colours and alpha: what is read as colours without a word in the profile."""
    return spec.dtype == "uint8" and spec.channels in (1, 3, 4)


def _spec_of(files: CompetitionFiles, image: ImagePath) -> ImageSpec:
    specs = [stored_spec(files.read(path), path) for path in paths_of(image)]
    return ImageSpec(sum(spec.channels for spec in specs), specs[0].dtype)


def _scale(spec: ImageSpec, highest: float) -> float:
    if spec.dtype == "uint8":
        return 255.0
    return next((scale for scale in SCALES if highest <= scale), float(np.ceil(highest)))
