"""Masks of rasters, of which any window can be drawn: label rasters and polygons."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskfold.competitions.label_map import NOT_SCORED, LabelMap
from maskfold.errors import RasterError, first_few
from maskfold.labels import Label, LabelSpec
from maskfold.rasters.opening import rasterio
from maskfold.rasters.raster import Raster
from maskfold.rasters.resampling import Size, Window, read_resized, window_size

ReadLabel = Callable[[Window], Label]
POLYGON_SUFFIXES = frozenset({".json", ".geojson"})
# Where GeoJSON has no crs of its own (RFC 7946): longitude and latitude.
LONGITUDE_LATITUDE = "OGC:CRS84"


def open_mask(path: Path, raster: Raster, labels: LabelSpec, label_map: LabelMap | None = None) -> ReadLabel:
    """The mask of a raster: a label raster of its size, or polygons.

    Args:
        path: the mask's file.
        raster: what it is the mask of.
        labels: the task and the classes.
        label_map: what the values or colours of a label raster stand for.

    Raises:
        RasterError: the file cannot be read, or does not fit the raster or the classes.
    """
    if not path.is_file():
        raise RasterError(f"there is no file {path}: give the mask of {raster.name}")
    return (
        Polygons(path, raster, labels)
        if path.suffix.lower() in POLYGON_SUFFIXES
        else _LabelRaster(path, raster, labels, label_map)
    )


def resized_label(read: ReadLabel, size: Size, wanted: Size, window: Window, labels: LabelSpec) -> Label:
    """``window`` of a mask (H, W) brought to another size, by the rules of `maskfold.resizing.fit_label`."""
    if tuple(size) == tuple(wanted):
        return read(window)
    valid = read_resized(lambda own: read(own).valid[..., None], size, wanted, window, "nearest")[..., 0]
    if labels.exclusive:
        values = read_resized(lambda own: read(own).values[..., None], size, wanted, window, "nearest")[..., 0]
        return Label(values, valid)

    def layers(own: Window) -> np.ndarray:
        label = read(own)
        return np.moveaxis(np.where(label.valid, labels.layers(label.values), np.float32(0.5)), 0, -1)

    shares = read_resized(layers, size, wanted, window, "image")
    return Label(labels.mask((np.moveaxis(shares, -1, 0) >= 0.5 - 1e-6) & valid), valid)


class _LabelRaster:
    """A raster of one band: 0 and 1 or 255 of one class; classes and 255 (not scored) of several; or as a map says."""

    def __init__(self, path: Path, raster: Raster, labels: LabelSpec, label_map: LabelMap | None) -> None:
        bands = [1, 2, 3] if label_map is not None and label_map.colours else [1]
        self.raster, self.labels, self.label_map = Raster([path], bands=bands), labels, label_map
        if self.raster.size != raster.size:
            (height, width), (rows, columns) = self.raster.size, raster.size
            raise RasterError(f"{path} is {height}x{width} (height x width), {raster.name} {rows}x{columns}")

    def __call__(self, window: Window) -> Label:
        values = self.raster.read(window)
        if self.label_map is not None:
            return self.label_map.label(values if self.label_map.colours else values[..., 0], self.raster.name)
        values = values[..., 0]
        found = np.flatnonzero(np.bincount(values.ravel().astype(np.int64))).tolist()
        if not self.labels.exclusive:
            if not (set(found) <= {0, 1} or set(found) <= {0, NOT_SCORED}):
                raise self._wrong(found, "0 and 1, or 0 and 255")
            return Label.whole((values != 0).astype(np.uint8))
        if wrong := [value for value in found if value > self.labels.highest and value != NOT_SCORED]:
            raise self._wrong(wrong, f"classes 0 to {self.labels.highest}, and 255 where nothing is scored")
        valid = values != NOT_SCORED
        return Label(np.where(valid, values, 0).astype(np.uint8), valid)

    def _wrong(self, found: list[int], expected: str) -> RasterError:
        return RasterError(f"{self.raster.name} holds the values {first_few(found, 8)}, expected {expected}")


class Polygons:
    """GeoJSON polygons, drawn where the centre of a pixel is inside one; later ones over earlier ones.

    Of a raster with georeference the coordinates are longitude and latitude, or in the file's ``crs``; of one without
    they are columns and rows of pixels. Of several classes each feature names its own, as the property ``class`` or, as
    QuPath writes it, ``classification.name``.
    """

    def __init__(self, path: Path, raster: Raster, labels: LabelSpec) -> None:
        """See the class.

        Raises:
            RasterError: not GeoJSON, or a class that is not among ``labels``.
        """
        self.path, self.labels = path, labels
        tree = _features(path)
        self.shapes = [(_pixels(geometry, tree, raster), self._value(feature)) for feature, geometry in tree.items]
        boxes = [rasterio().features.bounds(shape) for shape, _ in self.shapes]
        self.boxes = np.array(boxes, np.float64).reshape(-1, 4)  # left, top, right, bottom

    def __call__(self, window: Window) -> Label:
        rows, columns = window
        left, top, right, bottom = self.boxes.T
        near = (right > columns.start) & (left < columns.stop) & (bottom > rows.start) & (top < rows.stop)
        shapes = [self.shapes[place] for place in np.flatnonzero(near)]
        values = np.zeros(window_size(window), np.uint8)
        if shapes:
            origin = rasterio().Affine.translation(columns.start, rows.start)
            rasterio().features.rasterize(shapes, out=values, transform=origin)
        return Label.whole(values)

    def _value(self, feature: dict[str, Any]) -> int:
        if not self.labels.exclusive:
            return 1
        properties = feature.get("properties") or {}
        name = properties.get("class") or (properties.get("classification") or {}).get("name")
        if name not in self.labels.class_names:
            names = ", ".join(self.labels.class_names)
            raise RasterError(f"{self.path} has a feature of the class {name!r}, expected one of {names}")
        return self.labels.class_names.index(name)


class _Tree:
    """The polygons of a GeoJSON file and what their coordinates are."""

    def __init__(self, items: list[tuple[dict[str, Any], dict[str, Any]]], crs: str) -> None:
        self.items, self.crs = items, crs


def _features(path: Path) -> _Tree:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        listed = tree if isinstance(tree, list) else tree.get("features", [tree])
        items = [(feature, geometry) for feature in listed for geometry in _polygons(feature)]
        crs = LONGITUDE_LATITUDE if isinstance(tree, list) else tree.get("crs", {}).get("properties", {}).get("name")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise RasterError(f"{path} is not GeoJSON (a list of features, or a FeatureCollection): {error}") from None
    return _Tree(items, crs or LONGITUDE_LATITUDE)


def _polygons(feature: dict[str, Any]) -> Iterator[dict[str, Any]]:
    geometry = feature["geometry"]
    if geometry is not None and geometry["type"] in ("Polygon", "MultiPolygon"):
        yield geometry


def _pixels(geometry: dict[str, Any], tree: _Tree, raster: Raster) -> dict[str, Any]:
    """A polygon whose coordinates are (column, row) of pixels' corners."""
    if raster.crs is not None:
        geometry = rasterio().warp.transform_geom(tree.crs, raster.crs, geometry)
    a, b, c, d, e, f = tuple(~raster.transform)[:6]
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    moved = [[[(a * x + b * y + c, d * x + e * y + f) for x, y, *_ in ring] for ring in part] for part in parts]
    return {"type": "MultiPolygon", "coordinates": moved}
