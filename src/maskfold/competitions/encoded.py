"""A mask in the form in which a submission holds it: rows of run lengths, or an image file."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from maskfold.competitions.competition import Competition
from maskfold.competitions.images import is_large
from maskfold.competitions.windows import MaskWindows
from maskfold.errors import SubmissionError
from maskfold.program import command_line

Rows = dict[str, list[str]]  # a value of the table's class column -> its run lengths


@dataclass(frozen=True)
class EncodedMask:
    """One image's mask.

    Attributes:
        id: the image's.
        size: (H, W) of the mask.
        there: whether anything is in it.
        content: rows of the table, or the bytes of an image file.
    """

    id: str
    size: tuple[int, int]
    there: bool
    content: Rows | bytes


class MaskEncoder:
    """Checks masks of test images and encodes them, in any process: what a `SubmissionWriter` takes."""

    def __init__(self, competition: Competition) -> None:
        self.competition = competition
        self._samples = competition.samples("test").by_id

    def __call__(self, id: str, mask: np.ndarray | MaskWindows) -> EncodedMask:
        """Encode a mask, bool or integers as the competition's ``labels`` has it, of `Competition.mask_size`.

        It may be a mask of instances (`maskfold.instances`), which are rows where the competition wants them.

        Raises:
            SubmissionError: an unknown id, another size, values that are not classes; as `check_windows`.
        """
        if id not in self._samples:
            raise SubmissionError(f"{id} is not a test image of this competition: it cannot be part of a submission")
        size = self.competition.mask_size(self._samples[id])
        self._check_shape(id, mask, size)
        if isinstance(mask, MaskWindows):
            watched = _Watched(mask)
            content = self._windows(MaskWindows(watched.read, mask.size))
            return EncodedMask(id, size, watched.there, content)
        numbered = self.competition.instances and mask.dtype == np.int32
        self._check_values(id, mask, numbered=numbered)
        return EncodedMask(id, size, bool(mask.any()), self._whole(mask if numbered else mask.astype(np.uint8)))

    def check_windows(self, size: tuple[int, int]) -> None:
        """Whether a mask of this size that is read by windows can be written.

        Raises:
            SubmissionError: rows of instances, which are components of a whole mask; a file that would be too large.
        """
        if self.competition.instances:
            raise SubmissionError(
                f"the profile {self.competition.profile.name} has rows: instance, and the components of a mask that is "
                f"read by windows are not known: write tifs or polygons instead, with {command_line('tile', 'predict')}"
            )
        if self.competition.submission_kind != "csv" and is_large(size, self.competition.max_pixels):
            raise SubmissionError(
                f"a mask of {size[0]}x{size[1]} pixels is too large for a mask file: write tifs with "
                f"{command_line('tile', 'predict')}"
            )

    def _whole(self, mask: np.ndarray) -> Rows | bytes:
        layout = self.competition.layout
        if self.competition.submission_kind == "csv":
            return layout.encode(mask)
        pixels = layout.reader.pixels(mask)
        if pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        return cv2.imencode(Path(layout.profile.submission.file).suffix, pixels)[1].tobytes()

    def _windows(self, mask: MaskWindows) -> Rows | bytes:
        self.check_windows(mask.size)
        if self.competition.submission_kind == "csv":
            return self.competition.layout.encode_windows(mask)
        return self._whole(mask.whole())

    def _check_shape(self, id: str, mask: np.ndarray | MaskWindows, size: tuple[int, int]) -> None:
        labels = self.competition.labels
        shape = labels.mask_shape(mask.size) if isinstance(mask, MaskWindows) else mask.shape
        if shape != labels.mask_shape(size):
            raise SubmissionError(
                f"the mask of {id} has shape {shape}, expected {labels.mask_shape(size)}: that of its image, or of the "
                "profile's submission"
            )

    def _check_values(self, id: str, mask: np.ndarray, *, numbered: bool) -> None:
        highest = self.competition.labels.highest
        if mask.dtype.kind not in "bui" or mask.min() < 0 or (mask.max() > highest and not numbered):
            raise SubmissionError(
                f"the mask of {id} ({mask.dtype}) holds {mask.min()} to {mask.max()}, expected whole numbers "
                f"0 to {highest}"
            )


class _Watched:
    """Reads a mask's windows, and remembers whether there was anything in them."""

    def __init__(self, mask: MaskWindows) -> None:
        self.mask, self.there = mask, False

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        window = self.mask.read(rows, columns)
        self.there = self.there or bool(window.any())
        return window
