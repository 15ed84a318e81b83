"""The optional dependency that reads rasters, imported where it is used."""

import os
from types import ModuleType

from maskfold.errors import RasterError

# Megabytes of decoded blocks that GDAL keeps; by itself it takes a twentieth of the machine's memory.
CACHE = "128"


def rasterio() -> ModuleType:
    """The package rasterio.

    Raises:
        RasterError: it is not installed.
    """
    os.environ.setdefault("GDAL_CACHEMAX", CACHE)
    try:
        import rasterio
        import rasterio.features
        import rasterio.warp
    except ImportError as error:
        raise RasterError(
            f"large rasters are read with rasterio, which is not installed ({error}): pip install 'maskfold[rasters]'"
        ) from None
    return rasterio
