"""Every code of real competitions' files must come back as it was written."""

import csv
import os
import struct
from pathlib import Path

import pytest

from maskfold.rle import RLEDialect, rle_decode, rle_encode

DATA = os.environ.get("MASKFOLD_REAL_DATA")
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(DATA is None, reason="MASKFOLD_REAL_DATA is not set"),
]


def jpeg_shape(path):
    """(H, W) from the frame header of a JPEG file."""
    data, at = path.read_bytes(), 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return struct.unpack(">HH", data[at + 5 : at + 9])


def check_rows(rows):
    """Decode and encode `(code, shape)` rows; returns how many held a mask."""
    dialect, masks = RLEDialect(), 0
    for rle, shape in rows:
        mask = rle_decode(rle, shape)
        assert rle_encode(mask) == rle
        assert dialect.area(rle, shape) == mask.sum() == sum(map(int, rle.split()[1::2]))
        masks += bool(rle)
    return masks


def read(path, delimiter=","):
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def test_satellite_buildings():
    folder = Path(DATA) / "satellite_buildings"
    rows = read(folder / "train_mask.csv", "\t")
    assert check_rows((rle, jpeg_shape(folder / "train" / name)) for name, rle in rows) > 500


def test_tgs_salt():
    rows = read(Path(DATA) / "tgs_salt" / "train.csv")[1:]
    assert check_rows((rle, (101, 101)) for _, rle in rows) > 1000


def test_airbus_sample():
    rows = read(Path(DATA) / "airbus_sample" / "train_ship_segmentations.csv")[1:]
    assert check_rows((rle, (768, 768)) for _, rle in rows) > 10
