import io
import struct
import sys
import time

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.conftest import write_tianchi

from maskfold.competitions import open_competition
from maskfold.competitions.channels import Channel
from maskfold.competitions.images import _is_colour_jpeg, decode_files, decode_image, has_its_end, image_size
from maskfold.competitions.label_images import LabelReader
from maskfold.config import CompetitionConfig
from maskfold.errors import CompetitionError
from maskfold.images import PLAIN, ImageSpec
from maskfold.labels import LabelSpec


def png(array):
    return cv2.imencode(".png", array)[1].tobytes()


def pil_png(image, **options):
    stream = io.BytesIO()
    image.save(stream, "png", **options)
    return stream.getvalue()


RGB = np.random.default_rng(1).integers(0, 256, (7, 11, 3), np.uint8)


def test_colour_is_rgb():
    image = decode_image(png(RGB[..., ::-1]), "a.png")  # opencv writes BGR
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, RGB)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_unless_no_channel_is_made_of_them(value):
    image = np.random.default_rng(4).normal(270, 9, (5, 7, 2)).astype(np.float32)
    image[1:3, 6, 1] = value
    stream = io.BytesIO()
    np.save(stream, image)
    spec = ImageSpec(2, "float32")
    with pytest.raises(CompetitionError, match=r"a.npy holds NaN or infinity in 2 of 70 values"):
        decode_image(stream.getvalue(), "a.npy", spec)
    made = decode_files([("a.npy", stream.getvalue())], ImageSpec(1, "float32"), [Channel(plus=0, low=250, high=290)])
    np.testing.assert_allclose(made[..., 0], ((image[..., 0] - 250) / 40).clip(0, 1), rtol=1e-6)


def test_grey_is_repeated_and_alpha_dropped():
    grey = decode_image(png(RGB[..., 0]), "a.png")
    np.testing.assert_array_equal(grey, np.repeat(RGB[..., :1], 3, axis=2))
    alpha = np.random.default_rng(2).integers(0, 256, (7, 11), np.uint8)
    with_alpha = pil_png(Image.fromarray(np.dstack([RGB, alpha]), "RGBA"))
    np.testing.assert_array_equal(decode_image(with_alpha, "a.png"), RGB)


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def tif(bands, planar=1, orientation=1):
    """A tif as geographic programs write it, byte by byte: bands uint16 (H, W, C) in file order, none of it colours."""
    height, width, channels = bands.shape
    data = bands.astype("<u2").tobytes()
    rows = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, None), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, 8), (274, 3, 1, orientation), (277, 3, 1, channels), (278, 4, 1, height),
            (279, 4, 1, len(data)), (284, 3, 1, planar), (338, 3, channels - 1, None)]  # fmt: skip
    end = 8 + len(data)
    extra = end + 2 + 12 * len(rows) + 4
    directory, values = struct.pack("<H", len(rows)), b""
    for tag, kind, count, value in rows:
        if value is None:
            items = struct.pack(f"<{count}H", *[16 if tag == 258 else 0] * count)
            field = items.ljust(4, b"\0") if len(items) <= 4 else struct.pack("<I", extra + len(values))
            values += b"" if len(items) <= 4 else items
        else:
            field = struct.pack("<I", value)
        directory += struct.pack("<HHI", tag, kind, count) + field
    return b"II*\0" + struct.pack("<I", end) + data + directory + b"\0" * 4 + values


BANDS = np.random.default_rng(4).integers(0, 65536, (7, 11, 4)).astype(np.uint16)
FOUR = ImageSpec(channels=4, dtype="uint16")


def test_bands_of_a_tif_in_the_order_of_the_file():
    image = decode_image(tif(BANDS), "a.tif", FOUR)
    assert (image.dtype, image.flags.c_contiguous) == (np.uint16, True)
    np.testing.assert_array_equal(image, BANDS)
    np.testing.assert_array_equal(decode_image(cv2.imencode(".tif", BANDS)[1].tobytes(), "a.tif", FOUR),
                                  BANDS[..., [2, 1, 0, 3]])  # opencv writes BGRA  # fmt: skip
    np.testing.assert_array_equal(decode_image(tif(BANDS[..., :3]), "a.TIF", ImageSpec(dtype="uint16")), BANDS[..., :3])
    assert image_size(io.BytesIO(tif(BANDS)), "a.tif") == (7, 11)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_arrays_are_taken_as_they_are(channels, dtype):
    array = (np.random.default_rng(channels).random((7, 11, channels)) * 200).astype(dtype)
    spec = ImageSpec(channels=channels, dtype=dtype)
    for stored in (array, np.asfortranarray(array), array.astype(array.dtype.newbyteorder(">"))):
        image = decode_image(npy(stored), "a.npy", spec)
        assert image.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(image, array)
    if channels == 1:
        np.testing.assert_array_equal(decode_image(npy(array[..., 0]), "a.npy", spec), array)
    assert image_size(io.BytesIO(npy(array)), "a.npy") == (7, 11)


def test_grey_of_one_channel_and_of_sixteen_bits():
    grey = decode_image(png(RGB[..., 0]), "a.png", ImageSpec(channels=1))
    np.testing.assert_array_equal(grey, RGB[..., :1])
    wide = RGB.astype(np.uint16) * 257
    np.testing.assert_array_equal(decode_image(png(wide[..., ::-1]), "a.png", ImageSpec(dtype="uint16")), wide)


@pytest.mark.parametrize(
    ("data", "name", "spec", "message"),
    [
        (png(RGB.astype(np.uint16) * 257), "a.png", PLAIN,
         r"a\.png has 3 channels of uint16, the profile expects 3 of uint8: "
         r"write image_spec: \{channels: 3, dtype: uint16, scale: 65535\} into the profile"),
        (tif(BANDS), "a.tif", ImageSpec(channels=1, dtype="uint16"), r"write image_spec: \{channels: 4, dtype: uint16"),
        (png(RGB), "a.png", FOUR, r"has 3 channels of uint8, the profile expects 4 of uint16: write .*channels: 3"),
        (png(RGB), "a.png", ImageSpec(channels=1), r"has 3 channels of uint8, the profile expects 1 of uint8"),
        (npy(RGB.astype(float)), "a.npy", PLAIN, r"3 channels of float64.*convert the images to uint8, uint16 or"),
        (npy(RGB[:, 0, 0]), "a.npy", PLAIN, r"holds uint8 of shape \(7,\), expected numbers of shape"),
        (npy(RGB)[:-5], "a.npy", PLAIN, r"a\.npy is not whole: 226 bytes of pixels, expected \(7, 11, 3\)"),
        (png(RGB), "a.npy", PLAIN, r"a\.npy is not an npy file"),
        (b"", "a.tif", FOUR, "a.tif is not an image that OpenCV can read"),
        (b"II*\0\xff\0\0\0", "a.tif", FOUR, "a.tif is not an image that OpenCV can read"),
    ],
    ids=range(10),
)  # fmt: skip
def test_images_that_do_not_fit_the_profile(data, name, spec, message):
    with pytest.raises(CompetitionError, match=message):
        decode_image(data, name, spec)


def test_tifs_of_many_bands_are_read_by_rasterio(monkeypatch):
    pytest.importorskip("rasterio")
    five = np.concatenate([BANDS, BANDS[..., :1]], axis=2)
    spec = ImageSpec(channels=5, dtype="uint16")
    np.testing.assert_array_equal(decode_image(tif(five), "a.tif", spec), five)
    monkeypatch.setitem(sys.modules, "rasterio.errors", None)
    with pytest.raises(CompetitionError, match=r"a\.tif is a tif of 5 bands: .* pip install rasterio, or save .* npy"):
        decode_image(tif(five), "a.tif", spec)
    with pytest.raises(CompetitionError, match=r"bands that stand one after the other: .* pip install rasterio"):
        decode_image(tif(BANDS, planar=2), "a.tif", FOUR)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_bands_that_stand_one_after_the_other(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    signed = (BANDS.astype(np.int32) - 32768).astype(np.int16)
    shape = {"width": 11, "height": 7, "count": 4, "interleave": "band"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", dtype="int16", **shape) as raster:
        raster.write(np.moveaxis(signed, -1, 0))
    image = decode_image((tmp_path / "a.tif").read_bytes(), "a.tif", ImageSpec(4, "float32", 32767))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, signed)


def test_arrays_are_neither_unpickled_nor_believed():
    harmful = npy(np.array([[{"a": 1}, None]], dtype=object), allow_pickle=True)
    with pytest.raises(CompetitionError, match="expected numbers"):
        decode_image(harmful, "a.npy")
    huge = npy(np.zeros((1, 1), np.uint8)).replace(b"(1, 1), ", b"(9**9,1)"[:0] + b"(1, 1), ")
    header = huge.replace(b"'shape': (1, 1), }", b"'shape': (99999999, 99999999), }")
    for read in (lambda: decode_image(header, "a.npy"), lambda: image_size(io.BytesIO(header), "a.npy")):
        with pytest.raises(CompetitionError, match=r"a\.npy is not"):
            read()


@pytest.mark.parametrize("data", [b"", b"no image", png(RGB)[:20]])
def test_damaged_images(data):
    with pytest.raises(CompetitionError, match=r"b\.png is not an image"):
        decode_image(data, "b.png")


def test_a_png_whose_chunk_says_gigabytes_is_refused_at_once():
    """OpenCV 5 allocates what the length says, for minutes."""
    data = bytearray(png(RGB))
    place = data.index(b"IDAT") - 4
    data[place] = 0xC5
    started = time.perf_counter()
    with pytest.raises(CompetitionError, match=r"b\.png is not an image"):
        decode_image(bytes(data), "b.png")
    assert time.perf_counter() - started < 1


def test_size_is_height_then_width():
    assert image_size(io.BytesIO(png(RGB)), "a.png") == (7, 11)
    with pytest.raises(CompetitionError, match=r"size of a\.png cannot be read"):
        image_size(io.BytesIO(b"no image"), "a.png")


@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}, {"quality": 100}])
@pytest.mark.parametrize(("mode", "colour"), [("RGB", True), ("L", False), ("CMYK", False)])
def test_colour_jpegs_are_decoded_to_red_green_and_blue_at_once(mode, colour, options):
    """The same pixels as those that OpenCV gives as blue, green and red."""
    image = np.random.default_rng(3).integers(0, 256, (37, 53, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(cv2.GaussianBlur(image, (0, 0), 2)).convert(mode).save(stream, "jpeg", comment=b"x" * 99, **options)
    data = stream.getvalue()
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).reshape(37, 53, -1)
    expected = stored[..., ::-1] if stored.shape[2] == 3 else np.repeat(stored, 3, axis=2)
    np.testing.assert_array_equal(decode_image(data, "a.jpg"), expected)
    assert _is_colour_jpeg(data) is colour
    for end in range(0, 40, 3):
        _is_colour_jpeg(data[:end])


def test_exif_rotation_changes_neither_pixels_nor_size():
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    Image.fromarray(RGB).save(stream, "jpeg", exif=exif)
    assert decode_image(stream.getvalue(), "a.jpg").shape == (7, 11, 3)
    assert image_size(io.BytesIO(stream.getvalue()), "a.jpg") == (7, 11)


@pytest.mark.parametrize("orientation", [3, 6])  # to be shown turned by 180 and by 90 degrees
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_and_masks_in_tifs_that_are_to_be_turned_stay_as_they_are_stored(channels, orientation):
    image = np.random.default_rng(channels).integers(0, 65536, (7, 11, channels), np.uint16)
    data, spec = tif(image, orientation=orientation), ImageSpec(channels, "uint16")
    np.testing.assert_array_equal(decode_image(data, "a.tif", spec), image)
    assert image_size(io.BytesIO(data), "a.tif") == (7, 11)
    mask = image[..., :1] // 32768
    reader = LabelReader(LabelSpec("binary", ("road",)))
    label = reader.decode_for(tif(mask, orientation=orientation), "a_mask.tif", (7, 11))
    np.testing.assert_array_equal(label.values, mask[..., 0])


def test_tifs_of_colours_are_read_as_pillow_reads_them():
    alpha = np.full((7, 11), 90, np.uint8)
    for image in (Image.fromarray(RGB), Image.fromarray(RGB[..., 0]), Image.fromarray(np.dstack([RGB, alpha]), "RGBA"),
                  Image.fromarray(np.dstack([RGB[..., 1], alpha]), "LA")):  # fmt: skip
        stream = io.BytesIO()
        image.save(stream, "tiff", compression="tiff_lzw")
        expected = np.atleast_3d(np.array(image))[..., : 3 if image.mode.startswith("RGB") else 1]
        np.testing.assert_array_equal(decode_image(stream.getvalue(), "a.tif"), np.broadcast_to(expected, (7, 11, 3)))


def test_a_fourth_band_that_is_not_alpha_is_not_dropped_in_silence():
    stream = io.BytesIO()
    Image.fromarray(np.dstack([RGB, RGB[..., 0]]), "RGBA").save(stream, "tiff")
    data = bytearray(stream.getvalue())
    np.testing.assert_array_equal(decode_image(bytes(data), "a.tif"), RGB)
    (place,) = (i for i in range(len(data) - 12) if data[i : i + 8] == b"\x52\x01\x03\0\x01\0\0\0")  # ExtraSamples
    assert data[place + 8] == 2
    data[place + 8] = 0  # something else than alpha, as geographic programs write infrared
    with pytest.raises(CompetitionError, match=r"a\.tif has 4 channels of uint8, .*: write image_spec: \{channels: 4"):
        decode_image(bytes(data), "a.tif")
    image = decode_image(bytes(data), "a.tif", ImageSpec(channels=4))
    np.testing.assert_array_equal(image, np.dstack([RGB, RGB[..., 0]]))


def test_a_large_tif_has_a_size_but_is_not_read_whole(tmp_path):
    """The header alone says 40,000 x 30,000 pixels: neither a bomb for Pillow nor memory for OpenCV."""
    data = tif(RGB[..., :1].astype(np.uint16))
    for tag, value in ((256, 30_000), (257, 40_000)):
        entry = struct.pack("<HHI", tag, 4, 1)
        place = data.index(entry) + len(entry)
        data = data[:place] + struct.pack("<I", value) + data[place + 4 :]
    assert image_size(io.BytesIO(data), "a.tif") == (40_000, 30_000)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "images/a.tif").write_bytes(data)
    competition = open_competition(CompetitionConfig(profile="png-masks", root=tmp_path))
    (sample,) = competition.samples("test")
    assert competition.size(sample.image) == (40_000, 30_000)
    assert competition.by_windows(sample)
    with pytest.raises(CompetitionError, match=r"a\.tif is 40000x30000 .*too large to be read whole .*tile\.py cut"):
        competition.image(sample.image)


def test_the_size_of_jp2_and_of_a_png_called_tif():
    data = cv2.imencode(".jp2", np.tile(RGB, (9, 9, 1)))[1].tobytes()
    assert image_size(io.BytesIO(data), "a.jp2") == (63, 99)
    assert image_size(io.BytesIO(png(RGB)), "a.tif") == RGB.shape[:2]


def test_images_that_were_cut_off_are_found_by_their_ends(tmp_path, monkeypatch):
    write_tianchi(tmp_path, train=1, test=4)
    competition = open_competition(CompetitionConfig(root=tmp_path))
    paths = [tmp_path / sample.image for sample in competition.samples("test")]
    paths[0].write_bytes(paths[0].read_bytes() + bytes(9000))  # what stands behind the end is no damage
    decoded = []
    image = competition.image
    monkeypatch.setattr(competition, "image", lambda path: decoded.append(path) or image(path))
    competition.refuse_cut_off(competition.samples("test"))
    assert decoded == ["test_a/T000.jpg"], "nothing else was decoded"
    for path in paths[2:]:
        path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(CompetitionError, match=r"2 images cannot be read: test_a/T002\.jpg is not .*T003\.jpg is not"):
        competition.refuse_cut_off(competition.samples("test"))


def test_a_png_without_its_end_is_found():
    whole = png(RGB)
    assert has_its_end(io.BytesIO(whole), "a.PNG")
    assert not has_its_end(io.BytesIO(whole[:-12]), "a.PNG")
    assert has_its_end(io.BytesIO(b""), "a.bmp"), "of which nothing is known"
