"""Cutting of large rasters into tiles to train on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np

from maskfold.competitions import Competition, Sample
from maskfold.competitions.csv_layout import CsvLayout
from maskfold.config import Config
from maskfold.errors import RasterError, first_few, repeated
from maskfold.labels import Label, LabelSpec
from maskfold.rasters.cut import CutOptions, Scene, cut_tiles, planned, standing
from maskfold.rasters.forms import Form, LabelFilesForm, RunLengthForm
from maskfold.rasters.masks import ReadLabel, open_mask
from maskfold.rasters.raster import Raster, raster_files
from maskfold.rasters.resampling import Window
from maskfold.steps.competition import open_competition

Group = Literal["auto", "scene", "block"]
# With so many rasters whole rasters are kept together in folds: as many as there are folds by default.
ENOUGH_SCENES = 5
# Blocks are made smaller until there are so many, two for each fold.
ENOUGH_BLOCKS = 10


def cut_competition(
    config: Config, out: Path | None, options: CutOptions, *, group: Group = "auto", overwrite: bool = False
) -> tuple[Path, Path]:
    """Cut the training rasters of a competition, whose masks are run lengths.

    Args:
        config: names the competition.
        out: folder of the tiles, inside the competition's; `None`: ``tiles`` there.
        options: how rasters are cut.
        group: what folds keep together, see `CutOptions.block`; ``auto``: whole rasters where there are five, else
            blocks, of fewer tiles where there would be less than ten blocks.
        overwrite: replace tiles that are there.

    Returns:
        The profile by which maskfold trains on the tiles, and the competition's folder, for which it is.

    Raises:
        MaskfoldError: see its message.
    """
    competition = open_competition(config)
    if competition.files.source != competition.root:
        raise RasterError(
            f"competition.root is {competition.files.source}: tiles go into the competition's own folder, so copy that "
            "to this machine first"
        )
    folder = competition.root / "tiles" if out is None else out
    if (
        not folder.resolve().is_relative_to(competition.root.resolve())
        or folder.resolve() == competition.root.resolve()
    ):
        raise RasterError(f"--out is {folder}: the tiles of a competition go into a folder inside {competition.root}")
    folder = competition.root / folder.resolve().relative_to(competition.root.resolve())
    if getattr(competition.profile, "id_pattern", None) is not None:
        raise RasterError(
            f"{competition.name} has an id_pattern, which the ids of tiles do not fit: cut its files with --images and "
            "--masks, into a folder of their own"
        )
    if competition.profile.pixel_size is not None:
        raise RasterError(
            f"{competition.name} has a pixel_size of each image, to which tiles would all be cut alike: train on the "
            "images themselves, of which data.crop takes parts"
        )
    samples = competition.samples("train")
    names = _distinct([sample.id.replace("/", "_") for sample in samples])
    scenes = [
        _scene(name, Raster.of_sample(competition, sample), competition, sample)
        for name, sample in zip(names, samples, strict=True)
    ]
    form = RunLengthForm(competition, folder, options.scale)
    return _cut(scenes, form, folder, options, group, overwrite=overwrite), competition.root


def cut_files(
    images: Sequence[Path],
    masks: Sequence[Path],
    out: Path,
    options: CutOptions,
    *,
    class_names: Sequence[str] = (),
    bands: Sequence[int] = (),
    white: float = 0.0,
    group: Group = "auto",
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Cut rasters and their masks into a folder of its own; returns as `cut_competition`.

    Args:
        images: a file each, or a folder of files whose bands follow each other in the order of their names.
        masks: a label raster or GeoJSON polygons of each image; one folder: the files with the images' stems.
        out: folder to write.
        options: how rasters are cut.
        class_names: none or one: masks are binary; more: of classes 0, 1 ….
        bands: which bands, counted from 1; empty: all but an alpha band.
        white: the value that means 1.0; 0: the largest of the type, 1 of floats.
        group, overwrite: as in `cut_competition`.

    Raises:
        MaskfoldError: see its message.
    """
    if len(masks) == 1 and masks[0].is_dir():
        masks = [_by_stem(masks[0], image) for image in images]
    if len(images) != len(masks):
        raise RasterError(f"{len(images)} images and {len(masks)} masks are given: give a mask for each image")
    labels = LabelSpec("multiclass" if class_names[1:] else "binary", tuple(class_names) or ("foreground",))
    rasters = [Raster(raster_files(path), bands=bands) for path in images]
    if different := sorted({str(raster.spec) for raster in rasters} - {str(rasters[0].spec)}):
        raise RasterError(
            f"{rasters[0].name} has {rasters[0].spec}, others have {first_few(different)}: cut them apart"
        )
    readers = [open_mask(mask, raster, labels) for mask, raster in zip(masks, rasters, strict=True)]
    names = _distinct(_names(images))
    scenes = [Scene(*parts) for parts in zip(names, rasters, readers, map(standing, masks), strict=True)]
    spec = rasters[0].spec
    form = LabelFilesForm(out, labels, replace(spec, scale=white), options.scale)
    return _cut(scenes, form, out, options, group, overwrite=overwrite), out


def _cut(
    scenes: Sequence[Scene], form: Form, folder: Path, options: CutOptions, group: Group, *, overwrite: bool
) -> Path:
    whole = group == "scene" or (group == "auto" and len(scenes) >= ENOUGH_SCENES)
    options = replace(options, block=0) if whole else options
    while group == "auto" and options.block > 1 and len(_blocks(scenes, options)) < ENOUGH_BLOCKS:
        options = replace(options, block=options.block - 1)
    counts = cut_tiles(scenes, form, folder, options, overwrite=overwrite)
    together = "rasters" if whole else f"blocks of about {options.block}x{options.block} tiles"
    print(
        f"{len(scenes)} rasters, {counts.kept} tiles kept ({counts.empty} empty); dropped: {counts.dropped_empty} "
        f"empty, {counts.dropped_nodata} without data. Folds keep {together} together.\nProfile: {form.profile_path}"
    )
    return form.profile_path


def _blocks(scenes: Sequence[Scene], options: CutOptions) -> set[str]:
    return {tile.block for _, tiles in planned(scenes, options) for tile in tiles}


def _scene(name: str, raster: Raster, competition: Competition, sample: Sample) -> Scene:
    facts = competition.profile, competition.masks_stand(sample.masks)
    told = blake2b(repr(facts).encode(), digest_size=16).hexdigest()
    return Scene(name, raster, _drawn(competition, sample, raster), told)


def _drawn(competition: Competition, sample: Sample, raster: Raster) -> ReadLabel:
    """The mask of a sample; its run lengths are parsed at the first window."""
    layout = competition.layout
    if not isinstance(layout, CsvLayout):
        raise RasterError(
            f"the masks of {competition.name} are files: cut them with --images and --masks, into a folder of their own"
        )
    windows: list[Callable[[slice, slice], np.ndarray]] = []

    if isinstance(sample.masks, str):
        return open_mask(competition.root / sample.masks, raster, competition.labels, layout.reader.label_map)

    def read(window: Window) -> Label:
        if not windows:
            windows.append(layout.windows(sample.masks, raster.size))
        return Label.whole(windows[0](*window))

    return read


def _by_stem(folder: Path, image: Path) -> Path:
    """The file in ``folder`` with the stem of an image."""
    found = [path for path in sorted(folder.iterdir()) if path.stem == image.stem and path.is_file()]
    if len(found) != 1:
        raise RasterError(f"{folder} has {len(found)} files called {image.stem}, expected one: the mask of {image}")
    return found[0]


def _names(images: Sequence[Path]) -> list[str]:
    """The stems of the images, with as many folders before them as make them distinct."""
    parts = [[*path.resolve().parent.parts[1:], path.stem] for path in images]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["_".join(own[-depth:]) for own in parts]
        if not repeated(names):
            return names
    return [path.stem for path in images]


def _distinct(names: list[str]) -> list[str]:
    if twice := repeated(names):
        raise RasterError(f"two rasters are called {first_few(twice)}: give each once, under a name of its own")
    return names
