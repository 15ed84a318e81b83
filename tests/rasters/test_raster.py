import pickle
import sys

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.drawn_rasters import write_tif

from maskfold.competitions import open_competition
from maskfold.competitions.images import decode_image
from maskfold.config import CompetitionConfig
from maskfold.errors import CompetitionError, RasterError
from maskfold.images import PLAIN, ImageSpec
from maskfold.rasters import Raster
from maskfold.resizing import fit_image

RNG = np.random.default_rng(4)
RGB = RNG.integers(0, 256, (70, 93, 3), np.uint8)
PART = slice(11, 48), slice(60, 93)


def test_windows_are_those_of_the_image(tmp_path):
    raster = Raster([write_tif(tmp_path / "a.tif", RGB)], PLAIN)
    assert raster.size == (70, 93)
    assert raster.spec == PLAIN
    np.testing.assert_array_equal(raster.read(PART), RGB[PART])
    assert raster.crs is None


def test_a_part_of_the_resized_raster_is_that_of_the_resized_image(tmp_path):
    raster = Raster([write_tif(tmp_path / "a.tif", RGB)], PLAIN)
    for size in ((35, 46), (28, 37), (140, 200)):
        part = slice(5, 20), slice(7, 36)
        wanted = fit_image(RGB, size)[part].astype(int)
        found = raster.resized(size, part)
        assert found.dtype == np.uint8
        assert abs(found.astype(int) - wanted).max() <= 1  # OpenCV rounds on the way where it enlarges
        assert (found != wanted).mean() < 0.35


def test_files_follow_each_other_and_pages_are_bands(tmp_path):
    layers = RNG.integers(0, 65536, (5, 70, 93), np.uint16)
    folder = tmp_path / "layers"
    paths = [write_tif(folder / f"{place:02}.tif", layer[..., None]) for place, layer in enumerate(layers)]
    raster = Raster(paths, ImageSpec(5, "uint16"))
    np.testing.assert_array_equal(raster.read(PART), np.moveaxis(layers, 0, -1)[PART])
    pages = [Image.fromarray(layer) for layer in layers]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(Raster([tmp_path / "pages.tif"]).read(PART), np.moveaxis(layers, 0, -1)[PART])
    chosen = Raster(paths, bands=[4, 2])
    assert chosen.spec == ImageSpec(2, "uint16")
    np.testing.assert_array_equal(chosen.read(PART), np.moveaxis(layers[[3, 1]], 0, -1)[PART])
    with pytest.raises(RasterError, match=r"band 6 of .*00\.tif and 4 more is asked for: it has bands 1 to 5"):
        Raster(paths, bands=[6])


def test_grey_is_repeated_and_alpha_is_dropped_as_where_images_are_read_whole(tmp_path):
    four = np.dstack([RGB, RNG.integers(0, 256, (70, 93), np.uint8)])
    for name, image, options in (
        ("grey", RGB[..., :1], {}),
        ("alpha", four, {"photometric": "rgb", "alpha": "yes"}),
        ("four", four, {"photometric": "rgb", "alpha": "no"}),
    ):
        path = write_tif(tmp_path / f"{name}.tif", image, **options)
        spec = ImageSpec(4) if name == "four" else PLAIN
        whole = decode_image(path.read_bytes(), path.name, spec)
        np.testing.assert_array_equal(Raster([path], spec).read(PART), whole[PART])
    assert Raster([tmp_path / "alpha.tif"]).spec == PLAIN
    with pytest.raises(CompetitionError, match="has 4 channels of uint8, the profile expects 3"):
        Raster([tmp_path / "four.tif"], PLAIN)


def test_jp2(tmp_path):
    (tmp_path / "a.jp2").write_bytes(
        cv2.imencode(".jp2", RGB[..., ::-1], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1].tobytes()
    )
    whole = decode_image((tmp_path / "a.jp2").read_bytes(), "a.jp2")
    np.testing.assert_array_equal(Raster([tmp_path / "a.jp2"], PLAIN).read(PART), whole[PART])


def test_no_data_is_known_by_value_or_alpha(tmp_path):
    image = RNG.integers(1, 256, (70, 93, 3), np.uint8)
    image[20:30, 50:70] = 0
    assert Raster([write_tif(tmp_path / "all.tif", image)]).valid(PART).all()
    holes = Raster([write_tif(tmp_path / "holes.tif", image, nodata=0)])
    np.testing.assert_array_equal(holes.valid(PART), image[PART].any(2))


def test_it_opens_again_in_another_process(tmp_path):
    raster = Raster([write_tif(tmp_path / "a.tif", RGB)], PLAIN)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(raster)).read(PART), RGB[PART])


def test_what_cannot_be_read(tmp_path):
    path = write_tif(tmp_path / "a.tif", RGB, compress="none")
    other = write_tif(tmp_path / "b.tif", RGB[:50])
    with pytest.raises(RasterError, match=r"b\.tif is 50x93 \(height x width\), .*a\.tif 70x93"):
        Raster([path, other])
    with pytest.raises(RasterError, match=r"a\.tif are int16: expected uint8, uint16, float32"):
        Raster([write_tif(path, RGB.astype(np.int16))])
    (tmp_path / "c.tif").write_bytes(b"nothing")
    with pytest.raises(RasterError, match=r"c\.tif is not a raster"):
        Raster([tmp_path / "c.tif"])
    path = write_tif(tmp_path / "d.tif", RGB, compress="none")
    path.write_bytes(path.read_bytes()[:-9000])
    with pytest.raises(RasterError, match=r"d\.tif cannot be read \(.*damaged or incomplete"):
        Raster([path]).read((slice(0, 70), slice(0, 93)))


def test_a_sample_in_an_archive_is_refused(kidneys, tmp_path):
    competition = open_competition(CompetitionConfig(profile=str(kidneys / "profile.yaml"), root=kidneys / "data"))
    sample = competition.samples("train")[0]
    assert Raster.of_sample(competition, sample).size == (150, 203)
    with pytest.raises(RasterError, match=r"aa1\.tif is in an archive, .*unpack it there"):
        Raster.of_sample(competition.reading_from(tmp_path), sample)


def test_without_rasterio_it_says_how_to_install_it(tmp_path, monkeypatch):
    path = write_tif(tmp_path / "a.tif", RGB)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(RasterError, match=r"pip install 'maskfold\[rasters\]'"):
        Raster([path])


def test_a_forked_process_opens_files_of_its_own(tmp_path, monkeypatch):
    """Two processes with one open file move each other's place in it."""
    raster = Raster([write_tif(tmp_path / "a.tif", RGB)], PLAIN)
    opened = [raster._by_dataset[0][0], raster._by_dataset[0][0]]
    assert opened[0] is opened[1]
    monkeypatch.setattr("maskfold.rasters.raster.os.getpid", lambda: -1)  # as a forked process finds it
    assert raster._by_dataset[0][0] is not opened[0]
    np.testing.assert_array_equal(raster.read(PART), RGB[PART])
