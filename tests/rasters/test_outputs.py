import json

import numpy as np
import pytest
import rasterio
from tests.drawn_rasters import write_tif
from tests.rasters.test_predicted import blobs, on_disk

from maskfold.competitions.windows import MaskWindows
from maskfold.labels import LabelSpec
from maskfold.rasters import Raster
from maskfold.rasters.outputs import write_geojson, write_mask_tif, write_probability_tif

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("ground", "roof", "tree"))
OVERLAPPING = LabelSpec("multilabel", ("roof", "tree"))
RADIUS, LEFT, TOP, PIXEL = 6378137.0, 900_000.0, 6_100_000.0, 2.5
SIZE = (531, 90)  # more than one row of a tif's blocks


def raster_in(folder):
    transform = rasterio.transform.from_origin(LEFT, TOP, PIXEL, PIXEL)
    image = np.zeros((*SIZE, 3), np.uint8)
    return Raster([write_tif(folder / "image.tif", image, crs="EPSG:3857", transform=transform)])


def windows(mask):
    return MaskWindows(lambda rows, columns: mask[..., rows, columns], mask.shape[-2:])


def drawn(labels):
    rng = np.random.default_rng(1)
    return np.kron(rng.integers(0, labels.highest + 1, labels.mask_shape((54, 10))), np.ones((10, 9), int))[
        ..., : SIZE[0], :
    ].astype(np.uint8)


@pytest.mark.parametrize("labels", [BINARY, CLASSES, OVERLAPPING], ids=lambda labels: labels.task)
def test_a_mask_as_tif_lies_where_the_raster_does(tmp_path, labels):
    raster, mask = raster_in(tmp_path), drawn(labels)
    write_mask_tif(windows(mask), raster, labels, tmp_path / "out/mask.tif")
    with rasterio.open(tmp_path / "out/mask.tif") as file:
        assert file.crs.to_epsg() == 3857
        assert file.transform == raster.transform
        found = file.read()
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, mask if labels.task == "multilabel" else mask[None])
        if labels.task == "multilabel":
            assert file.descriptions == ("roof", "tree")


def test_probabilities_as_tif_have_the_rasters_size(tmp_path):
    raster, probability = raster_in(tmp_path), blobs(OVERLAPPING, SIZE)
    held = on_disk(probability, tmp_path, SIZE)
    prediction = type(held)(raster, held.size, held.maps, None)
    write_probability_tif(prediction, OVERLAPPING, tmp_path / "p.tif")
    with rasterio.open(tmp_path / "p.tif") as file:
        np.testing.assert_array_equal(file.read(), probability)
        assert (file.crs.to_epsg(), file.transform) == (3857, raster.transform)


@pytest.mark.parametrize("labels", [BINARY, CLASSES, OVERLAPPING], ids=lambda labels: labels.task)
def test_polygons_lie_where_the_mask_does(tmp_path, labels):
    """The inverse Mercator formula, written out here, brings each corner back to its pixel."""
    mask = drawn(labels)
    count = write_geojson(windows(mask), raster_in(tmp_path), labels, tmp_path / "a.geojson")
    tree = json.loads((tmp_path / "a.geojson").read_text())
    assert tree["type"] == "FeatureCollection"
    assert count == len(tree["features"]) > 20
    layers = {name: np.zeros(SIZE, np.uint8) for name in labels.class_names}
    for feature in tree["features"]:
        assert feature["geometry"]["type"] == "Polygon"
        rings = [np.array([pixel_of(*point) for point in ring]) for ring in feature["geometry"]["coordinates"]]
        assert max(abs(ring - ring.round()).max() for ring in rings) < 1e-3
        outline = {"type": "Polygon", "coordinates": [ring.round().tolist() for ring in rings]}
        layers[feature["properties"]["class"]] += rasterio.features.rasterize([outline], out_shape=SIZE, dtype=np.uint8)
    for place, name in enumerate(labels.class_names):
        if labels.task == "multiclass":
            np.testing.assert_array_equal(layers[name], (mask == place) * (place > 0))
        else:
            np.testing.assert_array_equal(layers[name], mask[place] if mask.ndim == 3 else mask)


def pixel_of(longitude, latitude):
    x = RADIUS * np.radians(longitude)
    y = RADIUS * np.log(np.tan(np.pi / 4 + np.radians(latitude) / 2))
    return (x - LEFT) / PIXEL, (TOP - y) / PIXEL


def test_an_empty_mask_is_a_collection_without_features(tmp_path):
    assert write_geojson(windows(np.zeros(SIZE, np.uint8)), raster_in(tmp_path), BINARY, tmp_path / "a.geojson") == 0
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []


def test_a_gis_library_opens_the_polygons(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    mask = drawn(CLASSES)
    write_geojson(windows(mask), raster_in(tmp_path), CLASSES, tmp_path / "a.geojson")
    table = geopandas.read_file(tmp_path / "a.geojson")
    assert table.crs.to_epsg() == 4326
    assert table.is_valid.all()
    placed = table.to_crs(3857)
    areas = placed.area.groupby(placed["class"]).sum() / PIXEL**2
    assert areas.to_dict() == pytest.approx({"roof": (mask == 1).sum(), "tree": (mask == 2).sum()}, rel=1e-6)
    height, width = SIZE
    bounds = (LEFT, TOP - height * PIXEL, LEFT + width * PIXEL, TOP)
    assert placed.total_bounds == pytest.approx(bounds, abs=0.01)
