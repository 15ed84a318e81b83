"""Bytes of label files to masks, nothing guessed."""

from dataclasses import dataclass
from io import BytesIO
from typing import Literal, cast

import numpy as np
from PIL import Image

from maskfold.competitions.decoders import decoding
from maskfold.competitions.images import read_npy
from maskfold.competitions.label_map import NOT_SCORED, LabelMap
from maskfold.competitions.tif import as_stored
from maskfold.errors import CompetitionError, first_few
from maskfold.labels import Label, LabelSpec

Palette = Literal["indices", "greys", "colours"]


@dataclass(frozen=True)
class LabelReader:
    """How a competition's label files are read and written.

    Attributes:
        labels: the task, binary or multiclass.
        label_map: what the files' values stand for. `None`: 0/1 or 0/255 of a binary task, else the classes and 255
            where nothing is scored.
        mat_variable: what a ``.mat`` file's mask is called, dots between the names of nested structures.
    """

    labels: LabelSpec
    label_map: LabelMap | None = None
    mat_variable: str | None = None

    def __post_init__(self) -> None:
        if self.label_map is not None:
            self.label_map.check(self.labels.value_names)

    def decode(self, data: bytes, name: str, shape: tuple[int, int] | None = None) -> Label:
        """The label in a file of this content.

        Args:
            data: of the file.
            name: in errors.
            shape: (H, W) that a picture must have, looked at before anything is decoded; None: any.

        Raises:
            CompetitionError: not an image, another size, colours where values are expected, values that are no class.
        """
        if name.lower().endswith(".mat"):
            values = _read_mat(data, name, self.mat_variable)
        elif name.lower().endswith(".npy"):
            values = read_npy_mask(data, name)
        else:
            values = _read_image(data, name, self._palette, shape)
        if self.label_map is not None:
            return self.label_map.label(values, name)
        return _classes(values, name, self.labels.channels) if self.labels.exclusive else _binary(values, name)

    def pixels(self, mask: np.ndarray) -> np.ndarray:
        """What a submission's file holds for a mask: uint8 or uint16 (H, W), or colours (H, W, 3), red green blue."""
        if self.label_map is not None:
            return self.label_map.values(mask)
        return mask if self.labels.exclusive else mask * np.uint8(255)

    def decode_for(self, data: bytes, name: str, shape: tuple[int, int]) -> Label:
        """`decode` of the mask of an image of ``shape`` (H, W).

        Raises:
            CompetitionError: as `decode`, or a mask of another size.
        """
        label = self.decode(data, name, shape)
        _check_size(label.valid.shape, shape, name)
        return label

    @property
    def _palette(self) -> Palette:
        if self.label_map is not None:
            return "colours" if self.label_map.colours else "indices"
        return "indices" if self.labels.exclusive else "greys"


def read_npy_mask(data: bytes, name: str) -> np.ndarray:
    """Whole numbers (H, W) from an npy file of shape (H, W) or (H, W, 1).

    Raises:
        CompetitionError: another file, shape or type.
    """
    array = read_npy(data, name)
    if array.shape[2] != 1 or array.dtype.kind == "f":
        raise CompetitionError(
            f"{name} holds {array.dtype} of shape {array.shape}: expected a mask of whole numbers, (H, W) or (H, W, 1)"
        )
    return array[..., 0].astype(np.uint8) if array.dtype == bool else array[..., 0]


def _binary(values: np.ndarray, name: str) -> Label:
    present = _present(values)
    if not (set(present) <= {0, 255} or set(present) <= {0, 1}):
        raise CompetitionError(
            f"{name} holds the values {first_few(present, 8)}, expected 0 and 255 or 0 and 1: write it without "
            "anti-aliasing, as png, or name its values in the profile's label_map"
        )
    return Label.whole((values != 0).astype(np.uint8))


def _classes(values: np.ndarray, name: str, classes: int) -> Label:
    wrong = [value for value in _present(values) if not 0 <= value < classes and value != NOT_SCORED]
    if wrong:
        raise CompetitionError(
            f"{name} holds the values {first_few(wrong, 8)}, expected classes 0..{classes - 1} and {NOT_SCORED} (not "
            "scored): are there more classes than class_names, or does the profile need a label_map?"
        )
    valid = values != NOT_SCORED
    return Label(np.where(valid, values, 0).astype(np.uint8), valid)


def _check_size(found: tuple[int, ...], shape: tuple[int, int], name: str) -> None:
    if found != tuple(shape):
        raise CompetitionError(
            f"{name} is {found[0]}x{found[1]} (height x width), its image {shape[0]}x{shape[1]}: they must be the same "
            "size"
        )


def _read_image(data: bytes, name: str, palette: Palette, shape: tuple[int, int] | None) -> np.ndarray:
    """Whole numbers (H, W); or, where a palette's ``colours`` are asked for, uint8 (H, W, 3) of any file.

    With ``greys`` a palette means its colours where all are grey, or else its indices.
    """
    with decoding(f"{name} cannot be read as a mask"), Image.open(BytesIO(as_stored(data))) as image:
        if shape is not None:
            _check_size((image.height, image.width), shape, name)
        if palette == "colours":
            return _colours(image, name)
        if image.mode == "P" and palette == "greys" and _grey_palette(image):
            image = image.convert("LA" if "transparency" in image.info else "L")
        values = np.array(image)
    values = _one_channel(values, name) if values.ndim == 3 else values
    return values.astype(np.uint8) if values.dtype == bool else values


def _colours(image: Image.Image, name: str) -> np.ndarray:
    """uint8 (H, W, 3) of any file, whose shapes must not be in the alpha channel alone."""
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        values = np.array(image.convert("RGBA"))
        _refuse_alpha_only(values, values[..., :3], name)
    return np.array(image.convert("RGB"))


def _one_channel(values: np.ndarray, name: str) -> np.ndarray:
    colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
    _refuse_alpha_only(values, colours, name)
    if (colours != colours[..., :1]).any():
        raise CompetitionError(
            f"{name} is a colour image, expected a mask of one channel: where colours stand for classes, name them in "
            "the profile's label_map (red green blue: class)"
        )
    return colours[..., 0]


def _read_mat(data: bytes, name: str, variable: str | None) -> np.ndarray:
    """Whole numbers (H, W) from a MATLAB file of version 5; nothing in it is executed."""
    from scipy.io import loadmat

    if variable is None:
        raise CompetitionError(
            f"{name} is MATLAB's: name its variable in the profile, as in mat_variable: GTcls.Segmentation"
        )
    first, *nested = variable.split(".")
    with decoding(f"{name} has no {variable} that can be read (mat_variable)"):
        value = loadmat(BytesIO(data), variable_names=[first])[first]
        for field in nested:
            value = value[field][0, 0]
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in "ui":
        raise CompetitionError(f"{variable} of {name} is not a matrix of whole numbers, as a mask is")
    return value


def _refuse_alpha_only(values: np.ndarray, colours: np.ndarray, name: str) -> None:
    alpha = values[..., -1]
    if values.shape[2] not in (2, 4) or (alpha == alpha[0, 0]).all():
        return
    if (colours == colours[0, 0]).all():
        raise CompetitionError(
            f"{name} has a single colour, its shapes are in the alpha channel: write them as values of one channel"
        )
    hidden = colours[alpha == 0]
    if hidden.size and (hidden != hidden[0]).any():
        raise CompetitionError(
            f"{name} has shapes of other values where its alpha channel makes them invisible: it is not clear which "
            "are meant; write them as values of one channel, without alpha"
        )


def _grey_palette(image: Image.Image) -> bool:
    # At most 256 in a palette file, so never None; of RGB, so never single numbers.
    colours = cast("list[tuple[int, tuple[int, int, int]]]", image.convert("RGB").getcolors())
    return all(red == green == blue for _, (red, green, blue) in colours)


def _present(values: np.ndarray) -> list[int]:
    if values.dtype in (np.uint8, np.uint16):
        return np.flatnonzero(np.bincount(values.ravel())).tolist()
    return np.unique(values).tolist()
