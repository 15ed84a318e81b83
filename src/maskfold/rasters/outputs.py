"""What is predicted of a raster, as files: tifs with the raster's georeference, and GeoJSON polygons."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskfold.competitions.windows import MaskWindows
from maskfold.files import atomic_path, scratch_folder
from maskfold.labels import LabelSpec
from maskfold.rasters.masks import LONGITUDE_LATITUDE
from maskfold.rasters.opening import rasterio
from maskfold.rasters.predicted import RasterPrediction
from maskfold.rasters.raster import Raster

# Side of a tif's blocks, and so many rows are written at a time, in pixels.
BLOCK = 512


def write_mask_tif(mask: MaskWindows, raster: Raster, labels: LabelSpec, path: Path) -> None:
    """Write a mask, uint8, with the raster's georeference: one band, or of overlapping classes a band for each."""
    layers = labels.mask_shape((1, 1))[:-2]
    bands = (
        (row, window if layers else window[None])
        for row in range(0, mask.size[0], BLOCK)
        for window in [mask.read(slice(row, min(row + BLOCK, mask.size[0])), slice(0, mask.size[1]))]
    )
    names = labels.class_names if layers else (" ".join(labels.value_names),)
    with atomic_path(path) as temporary:
        _write(temporary, raster, "uint8", names, bands)


def write_probability_tif(prediction: RasterPrediction, labels: LabelSpec, path: Path) -> None:
    """Write probabilities, float32, with the raster's georeference, a band for each class."""
    size = prediction.raster.size

    def bands() -> Iterator[tuple[int, np.ndarray]]:
        for row in range(0, size[0], BLOCK):
            window = slice(row, min(row + BLOCK, size[0])), slice(0, size[1])
            yield row, prediction.probability(window, size)

    with atomic_path(path) as temporary:
        _write(temporary, prediction.raster, "float32", labels.class_names, bands())


def write_geojson(mask: MaskWindows, raster: Raster, labels: LabelSpec, path: Path) -> int:
    """Write the polygons of a mask as GeoJSON (RFC 7946: longitude and latitude); returns their number.

    Each polygon is a component of 4-connected pixels of one class, with its holes, and has the property ``class``.
    """
    with scratch_folder(path) as folder:  # a file, of which polygons are made row by row
        write_mask_tif(mask, raster, labels, folder / "mask.tif")
        return _write_features(folder / "mask.tif", raster, labels, path)


def _write_features(drawn: Path, raster: Raster, labels: LabelSpec, path: Path) -> int:
    count = 0
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write('{"type": "FeatureCollection", "features": [')
        for name, geometry in _shapes(drawn, labels):
            placed = rasterio().warp.transform_geom(raster.crs, LONGITUDE_LATITUDE, geometry, precision=9)
            feature = {"type": "Feature", "properties": {"class": name}, "geometry": placed}
            stream.write(("," if count else "") + "\n" + json.dumps(feature))
            count += 1
        stream.write("\n]}\n")
    return count


def _shapes(drawn: Path, labels: LabelSpec) -> Iterator[tuple[str, dict[str, Any]]]:
    """Class and polygon, in the raster's coordinates."""
    with rasterio().open(drawn) as dataset:
        for band in dataset.indexes:
            source = rasterio().band(dataset, band)
            for geometry, value in rasterio().features.shapes(
                source, mask=source, connectivity=4, transform=dataset.transform
            ):
                names = labels.value_names if dataset.count == 1 else ("", labels.class_names[band - 1])
                yield names[int(value)], geometry


def _write(
    path: Path, raster: Raster, dtype: str, names: Iterable[str], bands: Iterable[tuple[int, np.ndarray]]
) -> None:
    names = list(names)
    options = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "BIGTIFF": "IF_SAFER"}
    height, width = raster.size
    shape = {"height": height, "width": width, "count": len(names), "dtype": dtype}
    with rasterio().open(
        path, "w", driver="GTiff", crs=raster.crs, transform=raster.transform, **shape, **options
    ) as file:
        for place, name in enumerate(names, start=1):
            file.set_band_description(place, name)
        for row, values in bands:
            file.write(values, window=((row, row + values.shape[1]), (0, width)))
