"""A competition's images: their files, sizes and pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.images import check_whole, decode_files, has_its_end, image_size, is_too_large
from maskfold.competitions.pixel_size import read_factors
from maskfold.competitions.profile import Profile
from maskfold.competitions.samples import ImagePath, Sample, Samples, paths_of
from maskfold.errors import CompetitionError, raise_all, together
from maskfold.images import ImageSpec


class StoredImages:
    """Images as a profile describes them. Their sizes are read once; pickles leave these out.

    Attributes:
        profile: the profile as read from its YAML.
        files: the competition's, wherever they are.
        max_pixels: of an image that is read whole.
    """

    def __init__(self, profile: Profile, files: CompetitionFiles, max_pixels: int) -> None:
        self.profile, self.files, self.max_pixels = profile, files, max_pixels
        self._sizes: dict[ImagePath, tuple[int, int]] = {}
        self._factors: dict[str, dict[str, float]] = {}  # of each table of pixel sizes

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sizes": {}}

    @property
    def images(self) -> ImageSpec:
        return self.profile.image_spec

    def image(self, path: ImagePath) -> np.ndarray:
        """An image as it is stored: ``(H, W, C)`` of the dtype of `images`; colours in the order red, green, blue.

        Raises:
            CompetitionError: no such file, not an image, one that does not fit the profile's ``image_spec`` or is too
                large to be read whole.
        """
        check_whole(paths_of(path)[0], self.size(path), self.max_pixels)
        files = [(name, self.files.read(name)) for name in paths_of(path)]
        return decode_files(files, self.images, self.profile.channels)

    def stands(self, path: ImagePath) -> tuple[tuple[int, ...], ...]:
        """How the files of an image stand, see `CompetitionFiles.stands`.

        Raises:
            CompetitionError: no such file.
        """
        return tuple(map(self.files.stands, paths_of(path)))

    def size(self, path: ImagePath) -> tuple[int, int]:
        """``(H, W)`` of an image; only its header is read, and only once.

        Raises:
            CompetitionError: no such file, or not an image.
        """
        if path not in self._sizes:
            first = paths_of(path)[0]  # the others have its size, or the image is refused
            with self.files.open(first) as stream:
                self._sizes[path] = image_size(stream, first)
        return self._sizes[path]

    def sizes(self, samples: Samples) -> list[tuple[int, int]]:
        """`size` of each sample's image."""
        return [self.size(sample.image) for sample in samples]

    def remember_sizes(self, samples: Samples, sizes: Sequence[tuple[int, int]]) -> None:
        """Take the sizes from another process, which has read the headers."""
        self._sizes |= {sample.image: size for sample, size in zip(samples, sizes, strict=True)}

    def refuse_cut_off(self, samples: Samples) -> None:
        """Refuse images whose files were cut off, by a download that broke off say, before hours of work on the others.

        Only the last bytes are read, and all of a file that does not end as its format does.

        Raises:
            CompetitionError: those that cannot be read.
        """
        problems = []
        for path in [sample.image for sample in samples if not self._has_its_ends(sample.image)]:
            try:
                self.image(path)
            except CompetitionError as error:
                problems.append(str(error))
        raise_all(together(problems, "images cannot be read"))

    def _has_its_ends(self, path: ImagePath) -> bool:
        for name in paths_of(path):
            with self.files.open(name) as stream:
                if not has_its_end(stream, name):
                    return False
        return True

    def resampling(self, sample: Sample) -> float:
        """Factor by which networks see a sample's image, so that the pixels of all are of one size; 1 as a rule.

        Raises:
            CompetitionError: the profile names tables of pixel sizes, and they lack the sample or hold no sizes.
        """
        asked = self.profile.pixel_size
        if asked is None:
            return 1.0
        own, other = (asked.test, asked.train) if sample.masks is None else (asked.train, asked.test)
        # Where predictions are made there need not be a table of the training images.
        for table in (own, other) if self.files.exists(other) else (own,):
            if table not in self._factors:
                self._factors[table] = read_factors(self.files, table, asked)
            if sample.id in self._factors[table]:
                return self._factors[table][sample.id]
        raise CompetitionError(f"{asked.train} and {asked.test} have no row of {sample.id} (pixel_size)")

    def is_large(self, path: ImagePath) -> bool:
        """Whether an image has more pixels than are read whole.

        Raises:
            CompetitionError: as `size`.
        """
        return is_too_large(paths_of(path)[0], self.size(path), self.max_pixels)
