"""What an image is: how many channels, in which numbers, and how people see it."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from maskfold.errors import MaskfoldError

PixelType = Literal["uint8", "uint16", "float32"]
FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


@dataclass(frozen=True)
class ImageSpec:
    """How the images of a competition are stored.

    Attributes:
        channels: of every image.
        dtype: of its values.
        scale: the value that means 1.0; 0 stands for the largest of the dtype, and for 1 with float32.
        rgb: the channels that people, and encoders trained on red, green and blue, see as these, counted from 0; empty:
            the first three, or as many as there are.

    Raises:
        MaskfoldError: values that do not go together.
    """

    channels: int = 3
    dtype: PixelType = "uint8"
    scale: float = 0.0
    rgb: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise MaskfoldError(f"channels is {self.channels}: an image has at least 1")
        if self.dtype not in get_args(PixelType):
            raise MaskfoldError(f"dtype is {self.dtype}: expected {', '.join(get_args(PixelType))}")
        if self.scale < 0:
            raise MaskfoldError(f"scale is {self.scale:g}: it is the value that means 1.0, above 0")
        object.__setattr__(self, "scale", float(self.scale or FULL_SCALE[self.dtype]))
        object.__setattr__(self, "rgb", tuple(self.rgb) or tuple(min(place, self.channels - 1) for place in range(3)))
        if len(self.rgb) != 3 or not all(0 <= place < self.channels for place in self.rgb):
            raise MaskfoldError(
                f"rgb is {list(self.rgb)}: expected three channels of 0 to {self.channels - 1}, those of red, green "
                "and blue"
            )

    @property
    def plain(self) -> bool:
        """Whether images are what screens show: 8 bits of red, green and blue."""
        return self == PLAIN

    @property
    def channel_names(self) -> tuple[str, ...]:
        """One name for each channel: red, green and blue where people see them so, else its number from 1."""
        if self.channels == 1:
            return ("grey",)
        colours = dict(zip(self.rgb, ("red", "green", "blue"), strict=True)) if len(set(self.rgb)) == 3 else {}
        return tuple(colours.get(place, f"channel {place + 1}") for place in range(self.channels))

    def __str__(self) -> str:
        """As it stands in a profile, without what follows from the rest."""
        parts = [f"channels: {self.channels}", f"dtype: {self.dtype}", f"scale: {self.scale:g}"]
        return f"image_spec: {{{', '.join(parts)}}}"


PLAIN = ImageSpec()


def to_rgb(image: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """An image as people look at it: uint8 (H, W, 3), 255 where a value reaches ``spec.scale``.

    Args:
        image: (H, W, C) as `Competition.image` reads it.
        spec: of the image.
    """
    if spec.plain:
        return image
    shown = np.ascontiguousarray(image[..., list(spec.rgb)])
    if spec.dtype == "uint8" and spec.scale == 255:
        return shown
    return (np.nan_to_num(shown.astype(np.float32) / spec.scale).clip(0, 1) * 255).round().astype(np.uint8)
