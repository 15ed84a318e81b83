"""One raster on disk, of a file or several, of which any window can be read."""

import os
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from maskfold.competitions import Competition, Sample
from maskfold.competitions.images import check_fits, grey_repeated
from maskfold.competitions.samples import paths_of
from maskfold.errors import RasterError
from maskfold.images import ImageSpec, PixelType
from maskfold.rasters.opening import rasterio
from maskfold.rasters.resampling import Size, Window, read_resized


class Raster:
    """Images of `ImageSpec` that are read by windows: one file (tif, GeoTIFF, jp2 …) or several of one size.

    The bands of several files follow each other. Of a tif of several pages, as layers are stored, the pages are bands.
    An alpha band is no channel, and where the spec has three channels a single band is repeated, as
    `maskfold.competitions.images.decode_image` does it.

    Files are opened at the first use, in each process for itself.
    """

    def __init__(self, paths: Sequence[Path], spec: ImageSpec | None = None, *, bands: Sequence[int] = ()) -> None:
        """See the class.

        Args:
            paths: the files.
            spec: what the images must be; `None`: what the files hold.
            bands: which bands, counted from 1 over all files; empty: all.

        Raises:
            RasterError: rasterio is not installed, a file cannot be read, the files do not fit each other or ``spec``.
        """
        self.paths, self._asked, self.bands = [Path(path) for path in paths], spec, tuple(bands)
        self._opened: tuple[int, list[tuple[Any, int]]] | None = None
        self.spec = spec or self._own_spec()
        check_fits(self.read((slice(0, 1), slice(0, 1))), self.name, self.spec)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    @classmethod
    def of_sample(cls, competition: Competition, sample: Sample) -> "Raster":
        """The image of a sample.

        Raises:
            RasterError: as the class; the image is in an archive.
        """
        paths = [competition.root / path for path in paths_of(sample.image)]
        for path in paths_of(sample.image):
            competition.files.check_link(path)
        if competition.profile.channels:
            raise RasterError(
                f"{competition.name} makes its channels of those of its files, which is not done by "
                "windows: cut and predict its files with --images and --bands"
            )
        for path in paths:
            if not path.is_file():
                raise RasterError(f"{path} is in an archive, from which windows cannot be read: unpack it there")
        return cls(paths, competition.images)

    @property
    def name(self) -> str:
        """Its file, or the first and how many more."""
        more = len(self.paths) - 1
        return f"{self.paths[0]}" + (f" and {more} more" if more else "")

    @cached_property
    def size(self) -> Size:
        """(H, W) in pixels."""
        dataset = self._bands[0][0]
        return dataset.height, dataset.width

    @property
    def crs(self) -> Any:
        """Its coordinate reference system; `None` where it has no georeference."""
        return self._bands[0][0].crs

    @property
    def transform(self) -> Any:
        """The affine transform from (column, row) to its coordinates; the identity without georeference."""
        return self._bands[0][0].transform

    def read(self, window: Window) -> np.ndarray:
        """The window (h, w, C) as stored, ``spec.dtype``.

        Raises:
            RasterError: the file is damaged.
        """
        rows, columns = window
        bounds = ((rows.start, rows.stop), (columns.start, columns.stop))
        layers = []
        for dataset, bands in self._by_dataset:
            try:
                layers.append(dataset.read(list(bands), window=bounds))
            except rasterio().errors.RasterioError as error:
                raise RasterError(f"{dataset.name} cannot be read ({error}): is it damaged or incomplete?") from None
        image = np.moveaxis(np.concatenate(layers), 0, -1)
        return np.ascontiguousarray(image if self._asked is None else grey_repeated(image, self._asked))

    def resized(self, size: Size, window: Window) -> np.ndarray:
        """``window`` of the raster at ``size`` (H, W): (h, w, C), ``spec.dtype``, as `maskfold.resizing.fit_image`."""
        values = read_resized(self.read, self.size, size, window, "image")
        if values.dtype == self.spec.dtype:
            return values
        return values if self.spec.dtype == "float32" else values.round().astype(self.spec.dtype)

    def valid(self, window: Window) -> np.ndarray:
        """bool (h, w): where there is data, by the files' masks, alpha bands or no-data values."""
        rows, columns = window
        bounds = ((rows.start, rows.stop), (columns.start, columns.stop))
        return np.all([dataset.dataset_mask(window=bounds) for dataset, _ in self._by_dataset], axis=0)

    def _own_spec(self) -> ImageSpec:
        kinds = {dataset.dtypes[band - 1] for dataset, band in self._bands}
        kind = kinds.pop() if len(kinds) == 1 else "of several types"
        if kind not in get_args(PixelType):
            expected = ", ".join(get_args(PixelType))
            raise RasterError(f"the bands of {self.name} are {kind}: expected {expected}; convert it (gdal_translate)")
        return ImageSpec(len(self._bands), cast("PixelType", kind))

    @property
    def _bands(self) -> list[tuple[Any, int]]:
        """(dataset, number of the band) of every channel.

        A process that was forked opens the files again: those of its parent share their position with it.
        """
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), self._open()
        return self._opened[1]

    def _open(self) -> list[tuple[Any, int]]:
        datasets = [page for path in self.paths for page in _pages(path)]
        first = datasets[0]
        for dataset in datasets:
            if dataset.shape != first.shape:
                raise RasterError(
                    f"{dataset.name} is {dataset.height}x{dataset.width} (height x width), {first.name} "
                    f"{first.height}x{first.width}: the files of a raster must be of one size"
                )
        bands = [(dataset, band) for dataset in datasets for band in dataset.indexes]
        if self.bands:
            return [_numbered(bands, number, self.name) for number in self.bands]
        colours = [(dataset, band) for dataset, band in bands if not _is_alpha(dataset, band)]
        wanted = None if self._asked is None else self._asked.channels
        return bands if wanted == len(bands) else colours or bands

    @property
    def _by_dataset(self) -> list[tuple[Any, list[int]]]:
        """Neighbouring channels of one file together."""
        groups: list[tuple[Any, list[int]]] = []
        for dataset, band in self._bands:
            if not groups or groups[-1][0] is not dataset:
                groups.append((dataset, []))
            groups[-1][1].append(band)
        return groups


def raster_files(path: Path) -> list[Path]:
    """The files of a raster: itself or, of a folder, all that are in it, sorted by name.

    Raises:
        RasterError: the folder is empty.
    """
    if not path.is_dir():
        return [path]
    files = sorted(path for path in path.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise RasterError(f"{path} is an empty folder: give a file, or a folder of files whose bands are channels")
    return files


def _pages(path: Path) -> list[Any]:
    """The datasets of a file: one, or those of a tif's pages that are layers of one band."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio().errors.NotGeoreferencedWarning)
            whole = rasterio().open(path)
            pages = [rasterio().open(name) for name in whole.subdatasets]
    except rasterio().errors.RasterioIOError as error:
        raise RasterError(f"{path} is not a raster that rasterio can read: {error}") from None
    layers = [page for page in pages if page.count == 1 and page.shape == pages[0].shape]
    return layers if len(layers) > 1 else [whole] if whole.count else pages[:1]


def _is_alpha(dataset: Any, band: int) -> bool:
    return dataset.count in (2, 4) and dataset.colorinterp[band - 1].name == "alpha"


def _numbered(bands: list[tuple[Any, int]], number: int, name: str) -> tuple[Any, int]:
    if not 1 <= number <= len(bands):
        raise RasterError(f"band {number} of {name} is asked for: it has bands 1 to {len(bands)}")
    return bands[number - 1]
