"""Prediction of any rasters by windows, as tifs or polygons."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.finished import folds_of
from maskfold.ensembling.rasters import RasterEnsemble
from maskfold.errors import RasterError, first_few, repeated
from maskfold.files import sweep
from maskfold.locks import exclusive
from maskfold.rasters.outputs import write_geojson, write_mask_tif, write_probability_tif
from maskfold.rasters.raster import Raster, raster_files
from maskfold.runs import Run
from maskfold.steps.choose import choose, describe_folds
from maskfold.steps.places import RASTERS, ensemble_run
from maskfold.steps.together import open_together

RasterFile = Literal["tif", "geojson"]
SUFFIXES: dict[str, RasterFile] = {".tif": "tif", ".tiff": "tif", ".geojson": "geojson", ".json": "geojson"}


def predict_rasters(
    runs: Run | Sequence[Run],
    rasters: Sequence[Path],
    out: Path | None = None,
    *,
    form: RasterFile = "tif",
    probabilities: bool = False,
    scale: float | None = None,
    bands: Sequence[int] = (),
    folds: Sequence[int | str] | None = None,
    untuned: bool = False,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Predict rasters by windows, and write a file for each.

    Args:
        runs: one run, or several that were tuned together.
        rasters: a file each, or a folder of files whose bands follow each other.
        out: a file (of one raster; its suffix says the form), or a folder; None: ``rasters/RUN``.
        form: of files in a folder: a mask with the raster's georeference, or polygons in longitude and latitude.
        probabilities: write tifs of probabilities instead of masks.
        scale: by which rasters are resized to be like the training images; None: as the training tiles were.
        bands: which bands, counted from 1; empty: all but an alpha band.
        folds: whose networks are averaged; None: all that are trained.
        untuned: leave the tuned ensemble aside.
        overrides: dotted keys of the first run's config.
        overwrite: replace files that exist.

    Returns:
        The files.

    Raises:
        MaskfoldError: see its message.
    """
    runs, config, competition = open_together(runs, overrides, predicting=True)
    paths = _paths(rasters, out or RASTERS / ensemble_run(runs).name, "tif" if probabilities else form)
    if existing := [path for path in paths if path.exists() and not overwrite]:
        raise RasterError(f"{first_few(existing)} exists: choose another --out, or give --overwrite")
    opened = [Raster(raster_files(path), competition.images, bands=bands) for path in rasters]
    for path, raster in zip(paths, opened, strict=True):
        _check_form(path, raster, probabilities)
    choice = choose(runs, config, set(overrides or {}), untuned=untuned)
    print(describe_folds(runs, folds_of(runs[0], folds)), flush=True)
    size = config.inference.batch_size
    ensemble = RasterEnsemble(Ensemble(choice, competition, folds, batch_size=size, runs=runs))
    scale = competition.profile.raster_scale if scale is None else scale
    for path, raster in zip(paths, opened, strict=True):
        with exclusive(path.with_name(f".{path.name}.lock"), path):
            sweep(path.parent, path.name)
            _predict(ensemble, raster, path, scale=scale, probabilities=probabilities)
    return paths


def _predict(ensemble: RasterEnsemble, raster: Raster, path: Path, *, scale: float, probabilities: bool) -> None:
    name, labels = raster.paths[0].stem, ensemble.competition.labels
    if probabilities:
        with ensemble.predicted(raster, name, scale=scale, beside=path) as prediction:
            write_probability_tif(prediction, labels, path)
        return
    with ensemble.mask(raster, name, scale=scale, beside=path) as mask:
        write = write_geojson if SUFFIXES[path.suffix.lower()] == "geojson" else write_mask_tif
        write(mask, raster, labels, path)


def _paths(rasters: Sequence[Path], out: Path, form: RasterFile) -> list[Path]:
    """The file of each raster."""
    if out.suffix.lower() in SUFFIXES:
        if len(rasters) > 1:
            raise RasterError(f"--out is the file {out}, but {len(rasters)} rasters are given: give a folder")
        return [out]
    names = [path.stem if path.is_file() else path.name for path in rasters]
    if twice := repeated(names):
        raise RasterError(f"two rasters are called {first_few(twice)}: predict them into folders of their own")
    return [out / f"{name}.{form}" for name in names]


def _check_form(path: Path, raster: Raster, probabilities: bool) -> None:
    """Refuse, before anything is predicted, what cannot be written."""
    polygons = SUFFIXES[path.suffix.lower()] == "geojson"
    if polygons and probabilities:
        raise RasterError(f"--out is {path}: probabilities are written as tif")
    if polygons and raster.crs is None:
        raise RasterError(f"{raster.name} has no georeference, so its polygons have no place on earth: write a tif")
    if path.exists() and any(path.resolve() == own.resolve() for own in raster.paths):
        raise RasterError(f"--out is the raster itself, {path}: choose another")
