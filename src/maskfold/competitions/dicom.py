"""DICOM files as grey images, read by pydicom, which only they need."""

from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import IO

import numpy as np

from maskfold.competitions.decoders import decoding
from maskfold.errors import CompetitionError

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})


def read_dicom(data: bytes, name: str) -> np.ndarray:
    """(H, W, C) as stored, of unsigned whole numbers; of MONOCHROME1 inverted, so that more is brighter.

    Raises:
        CompetitionError: not a DICOM file, one of several frames, without pixels, or compressed in a way that nothing
            here reads; pydicom is not installed.
    """
    pydicom = _pydicom(name)
    with decoding(f"{name} cannot be read as DICOM"):
        found = pydicom.dcmread(BytesIO(data))
        pixels = found.pixel_array
    if int(found.get("NumberOfFrames") or 1) > 1 or pixels.ndim > 3:
        raise CompetitionError(f"{name} holds {pixels.shape[0]} frames, expected one image: write one file for each")
    if pixels.dtype.kind != "u":
        raise CompetitionError(f"{name} holds {pixels.dtype}, which may be below 0: convert the images to png or npy")
    if found.PhotometricInterpretation == "MONOCHROME1":
        pixels = (1 << found.BitsStored) - 1 - pixels
    return pixels[..., None] if pixels.ndim == 2 else pixels


def dicom_size(stream: IO[bytes], name: str) -> tuple[int, int]:
    """``(H, W)``; nothing behind the header is read.

    Raises:
        CompetitionError: as `read_dicom`.
    """
    pydicom = _pydicom(name)
    with decoding(f"the size of {name} cannot be read"):
        found = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
        return int(found.Rows), int(found.Columns)


def _pydicom(name: str) -> ModuleType:
    try:
        return import_module("pydicom")
    except ImportError:
        raise CompetitionError(
            f"{name} is a DICOM file, which pydicom reads: pip install pydicom, or maskfold[dicom]"
        ) from None
