import io
import sys

import numpy as np
import pytest
from tests.catalogue import drawing

from maskfold.competitions.images import decode_image, image_size
from maskfold.errors import CompetitionError
from maskfold.images import ImageSpec

SCENE = np.random.default_rng(1).integers(0, 256, (9, 13, 3), np.uint8)


@pytest.fixture
def content(tmp_path):
    drawing.dicom(tmp_path, "a.dcm", SCENE)
    return (tmp_path / "a.dcm").read_bytes()


def test_without_pydicom_it_is_said_how_to_get_it(content, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(CompetitionError, match=r"a\.dcm is a DICOM file, which pydicom reads: pip install pydicom"):
        decode_image(content, "a.dcm")


def test_grey_levels_as_stored_or_inverted(content):
    pytest.importorskip("pydicom")
    grey = drawing.grey(SCENE)
    np.testing.assert_array_equal(decode_image(content, "a.dcm", ImageSpec(1))[..., 0], grey)
    inverted = content.replace(b"MONOCHROME2 ", b"MONOCHROME1 ")
    np.testing.assert_array_equal(decode_image(inverted, "a.dcm")[..., 2], 255 - grey)
    assert image_size(io.BytesIO(content), "a.dcm") == (9, 13)


@pytest.mark.parametrize("wrong", [b"no dicom at all", b""])
def test_what_is_no_dicom_file(wrong):
    pytest.importorskip("pydicom")
    with pytest.raises(CompetitionError, match=r"a\.dcm cannot be read as DICOM"):
        decode_image(wrong, "a.dcm")
    with pytest.raises(CompetitionError, match=r"the size of a\.dcm cannot be read"):
        image_size(io.BytesIO(wrong), "a.dcm")


def test_half_a_file(content):
    pytest.importorskip("pydicom")
    with pytest.raises(CompetitionError, match=r"a\.dcm cannot be read as DICOM"):
        decode_image(content[:-40], "a.dcm")
