import json

import numpy as np
import pytest
import rasterio
from tests.drawn_rasters import write_tif

from maskfold.competitions.label_map import LabelMap
from maskfold.errors import RasterError
from maskfold.labels import Label, LabelSpec
from maskfold.rasters import Raster
from maskfold.rasters.masks import open_mask, resized_label
from maskfold.resizing import fit_label

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("ground", "roof", "tree"))
OVERLAPPING = LabelSpec("multilabel", ("roof", "tree"))
SIZE = (70, 93)
WHOLE = slice(0, 70), slice(0, 93)
PARTS = [WHOLE, (slice(10, 31), slice(50, 93)), (slice(69, 70), slice(0, 2))]
RNG = np.random.default_rng(7)


def raster_in(folder, **options):
    return Raster([write_tif(folder / "image.tif", np.zeros((*SIZE, 3), np.uint8), **options)])


@pytest.mark.parametrize("white", [1, 255])
def test_label_rasters_of_one_class(tmp_path, white):
    mask = (RNG.random(SIZE) < 0.4).astype(np.uint8)
    path = write_tif(tmp_path / "mask.tif", (mask * white)[..., None])
    read = open_mask(path, raster_in(tmp_path), BINARY)
    for part in PARTS:
        np.testing.assert_array_equal(read(part).values, mask[part])
        assert read(part).valid.all()


def test_label_rasters_of_classes_say_what_is_not_scored(tmp_path):
    values = RNG.integers(0, 3, SIZE).astype(np.uint8)
    values[:, 40:60] = 255
    read = open_mask(write_tif(tmp_path / "mask.tif", values[..., None]), raster_in(tmp_path), CLASSES)
    for part in PARTS:
        found = read(part)
        np.testing.assert_array_equal(found.valid, values[part] != 255)
        np.testing.assert_array_equal(found.values, np.where(values[part] == 255, 0, values[part]))


def test_label_rasters_of_values_and_colours_that_a_map_names(tmp_path):
    classes = RNG.integers(0, 3, SIZE).astype(np.uint8)
    greys, colours = np.array([7, 30, 9], np.uint8), np.array([(0, 0, 63), (9, 63, 0), (255, 0, 9)], np.uint8)
    maps = {"grey": {"7": "0", "30": "1", "9": "2"}, "colour": {"0 0 63": "0", "9 63 0": "1", "255 0 9": "2"}}
    for name, values in (("grey", greys[classes][..., None]), ("colour", colours[classes])):
        path = write_tif(tmp_path / f"{name}.tif", values)
        read = open_mask(path, raster_in(tmp_path), CLASSES, LabelMap(maps[name]))
        for part in PARTS:
            np.testing.assert_array_equal(read(part).values, classes[part])


def test_label_rasters_that_do_not_fit(tmp_path):
    raster = raster_in(tmp_path)
    path = write_tif(tmp_path / "mask.tif", np.full((*SIZE, 1), 3, np.uint8))
    with pytest.raises(RasterError, match="holds the values 3, expected classes 0 to 2, and 255"):
        open_mask(path, raster, CLASSES)(WHOLE)
    with pytest.raises(RasterError, match="holds the values 3, expected 0 and 1, or 0 and 255"):
        open_mask(path, raster, BINARY)(WHOLE)
    with pytest.raises(RasterError, match=r"mask\.tif is 50x93 \(height x width\), .*image\.tif 70x93"):
        open_mask(write_tif(path, np.zeros((50, 93, 1), np.uint8)), raster, BINARY)
    with pytest.raises(RasterError, match=r"there is no file .*none\.tif: give the mask of"):
        open_mask(tmp_path / "none.tif", raster, BINARY)


def square(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(*rings, **properties):
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": rings}}


def test_polygons_in_pixels_with_a_hole(tmp_path):
    """As hubmap has them: a list of features, columns and rows as coordinates."""
    listed = [feature(square(50, 5, 80, 45), square(60, 20, 70, 30)), feature(square(2, 60, 9, 68))]
    (tmp_path / "a.json").write_text(json.dumps(listed))
    mask = np.zeros(SIZE, np.uint8)
    mask[5:45, 50:80] = mask[60:68, 2:9] = 1
    mask[20:30, 60:70] = 0
    read = open_mask(tmp_path / "a.json", raster_in(tmp_path), BINARY)
    for part in PARTS:
        np.testing.assert_array_equal(read(part).values, mask[part])


def test_polygons_in_degrees_are_where_the_raster_is(tmp_path):
    """A Mercator raster: its formula, written out here, says where a pixel's corner is in degrees."""
    radius, left, top, pixel = 6378137.0, 900_000.0, 6_100_000.0, 2.5
    transform = rasterio.transform.from_origin(left, top, pixel, pixel)
    raster = raster_in(tmp_path, crs="EPSG:3857", transform=transform)

    def degrees(column, row):
        x, y = left + column * pixel, top - row * pixel
        return [np.degrees(x / radius), np.degrees(2 * np.arctan(np.exp(y / radius)) - np.pi / 2)]

    ring = [degrees(*corner) for corner in square(20, 10, 55, 33)]
    tree = {"type": "FeatureCollection", "features": [feature(ring)]}
    (tmp_path / "a.geojson").write_text(json.dumps(tree))
    mask = np.zeros(SIZE, np.uint8)
    mask[10:33, 20:55] = 1
    np.testing.assert_array_equal(open_mask(tmp_path / "a.geojson", raster, BINARY)(WHOLE).values, mask)
    own = feature([[left + x * pixel, top - y * pixel] for x, y in square(20, 10, 55, 33)])
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    (tmp_path / "b.geojson").write_text(json.dumps({**tree, "features": [own], "crs": crs}))
    np.testing.assert_array_equal(open_mask(tmp_path / "b.geojson", raster, BINARY)(WHOLE).values, mask)


def test_features_name_their_class(tmp_path):
    listed = [
        feature(square(50, 5, 80, 45), **{"class": "roof"}),
        feature(square(60, 20, 90, 50), classification={"name": "tree"}),
    ]
    (tmp_path / "a.json").write_text(json.dumps(listed))
    values = np.zeros(SIZE, np.uint8)
    values[5:45, 50:80] = 1
    values[20:50, 60:90] = 2
    np.testing.assert_array_equal(open_mask(tmp_path / "a.json", raster_in(tmp_path), CLASSES)(WHOLE).values, values)
    (tmp_path / "a.json").write_text(json.dumps([feature(square(0, 0, 5, 5), **{"class": "pond"})]))
    with pytest.raises(RasterError, match="a feature of the class 'pond', expected one of ground, roof, tree"):
        open_mask(tmp_path / "a.json", raster_in(tmp_path), CLASSES)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(RasterError, match=r"a\.json is not GeoJSON"):
        open_mask(tmp_path / "a.json", raster_in(tmp_path), CLASSES)


@pytest.mark.parametrize("size", [(35, 46), (23, 40), (140, 186), (101, 120)])
@pytest.mark.parametrize("labels", [BINARY, CLASSES, OVERLAPPING], ids=lambda labels: labels.task)
def test_parts_of_resized_labels_are_those_of_the_whole(size, labels):
    blocky = np.kron(RNG.integers(0, 1 + labels.highest, (2, 10, 12)), np.ones((7, 8), int))[:, :70, :93]
    values = (blocky if labels.task == "multilabel" else blocky[0]).astype(np.uint8)
    valid = np.ones(SIZE, bool)
    valid[:, 30:41] = not labels.exclusive
    label = Label(np.where(valid, values, 0).astype(np.uint8), valid)
    whole = fit_label(label, size, labels)

    def read(part):
        return Label(label.values[..., *part], label.valid[part])

    found = np.zeros_like(whole.values)
    for rows in (slice(0, 13), slice(13, size[0])):
        for columns in (slice(0, 21), slice(21, size[1])):
            part = resized_label(read, SIZE, size, (rows, columns), labels)
            found[..., rows, columns] = part.values
            np.testing.assert_array_equal(part.valid, whole.valid[rows, columns])
    # Where a class covers exactly half of a pixel, or a centre is right between two, rounding decides.
    assert (found != whole.values).mean() < 0.01


@pytest.mark.parametrize(("parts", "block", "size"), [(1, 3, (42, 57)), (5, 6, (48, 54))])
def test_what_does_not_count_is_no_background_of_smaller_labels(parts, block, size):
    """Pixels are cut into parts, and of each block of parts those that count vote; a tie is enough."""
    rng, rows = np.random.default_rng(2), slice(2, 13)
    valid = rng.random(size) < 0.6
    layers = (rng.random((2, *size)) < 0.45) & valid

    def read(part):
        return Label(layers[..., *part].astype(np.uint8), valid[part])

    wanted = (size[0] * parts // block, size[1] * parts // block)
    found = resized_label(read, size, wanted, (rows, slice(0, wanted[1])), OVERLAPPING)
    layers_of_parts, valid_parts = (each.repeat(parts, -1).repeat(parts, -2) for each in (layers, valid))
    there = layers_of_parts.reshape(2, wanted[0], block, wanted[1], block).sum((2, 4))
    counted = valid_parts.reshape(wanted[0], block, wanted[1], block).sum((1, 3))
    np.testing.assert_array_equal(found.valid, valid_parts[block // 2 :: block, block // 2 :: block][rows])
    np.testing.assert_array_equal(found.values, (2 * there >= counted)[:, rows] & found.valid)
