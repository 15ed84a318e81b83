"""Rasters to tiles, a row of tiles at a time: what is done stays, and an interrupted cut goes on there."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from maskfold.errors import RasterError
from maskfold.files import FileBatch, write_file
from maskfold.labels import Label, LabelSpec
from maskfold.progress import progress
from maskfold.rasters.forms import Form, write_image
from maskfold.rasters.masks import ReadLabel, resized_label
from maskfold.rasters.plan import Tile, plan_tiles
from maskfold.rasters.raster import Raster
from maskfold.rasters.resampling import Size, Window, window_size
from maskfold.resizing import scaled_size

SETTINGS = "cut.json"
PARTS = ".parts"


@dataclass(frozen=True)
class CutOptions:
    """How rasters are cut.

    Attributes:
        side: of a tile in pixels, after scale.
        overlap: least overlap of neighbouring tiles, share of the side.
        scale: by which rasters are resized before they are cut.
        keep_empty: share of the tiles without foreground that is kept.
        most_nodata: tiles with a larger share of pixels without data are dropped.
        nodata: value that means no data, where the file does not say so; `None`: none.
        block: tiles a side of what stays together in folds; 0: whole rasters.
    """

    side: int = 512
    overlap: float = 0.0
    scale: float = 1.0
    keep_empty: float = 1.0
    most_nodata: float = 0.5
    nodata: float | None = None
    block: int = 4


@dataclass(frozen=True)
class Scene:
    """A raster, its name, its mask, and what tells the mask from others, for JSON: `standing` of its file, a digest."""

    name: str
    raster: Raster
    label: ReadLabel
    mask: Any


@dataclass
class Counts:
    """Tiles kept, those without foreground among them, and those dropped: empty, or without data."""

    kept: int = 0
    empty: int = 0
    dropped_empty: int = 0
    dropped_nodata: int = 0


def cut_tiles(scenes: Sequence[Scene], form: Form, folder: Path, options: CutOptions, *, overwrite: bool) -> Counts:
    """Write the tiles of ``scenes`` into ``folder``, and last the profile by which maskfold trains on them.

    Args:
        scenes: rasters and masks, of distinct names.
        form: how masks are written.
        folder: is made; one that an interrupted cut with the same options, rasters and masks left is continued.
        options: how rasters are cut.
        overwrite: replace tiles that an earlier cut wrote.

    Raises:
        RasterError: the folder holds a finished cut, one of other options, rasters or masks, or something else; nothing
            is left of the rasters; a file cannot be read.
    """
    _prepare(folder, _settings(scenes, form.labels, options), form.profile_path, overwrite=overwrite)
    counts, records = Counts(), []
    rows = list(planned(scenes, options))
    total = sum(len(tiles) for _, tiles in rows)
    for found in progress(_each_tile(rows, form, folder, options), "cut", total=total, unit="tile"):
        records += [found] if "masks" in found else []
        counts.kept += "masks" in found
        counts.empty += "masks" in found and found["empty"]
        counts.dropped_empty += found.get("dropped") == "empty"
        counts.dropped_nodata += found.get("dropped") == "nodata"
    if not records:
        raise RasterError(
            f"none of {total} tiles is kept ({counts.dropped_empty} empty, {counts.dropped_nodata} without data): "
            "raise --keep-empty or --max-nodata"
        )
    form.finish(records, "block" if options.block else "scene")
    shutil.rmtree(folder / PARTS)
    return counts


def standing(path: Path) -> list[Any]:
    """A file's path, size and time of the last change: another list after its content changed."""
    found = path.stat()
    return [str(path), found.st_size, found.st_mtime_ns]


def planned(scenes: Sequence[Scene], options: CutOptions) -> Iterator[tuple[Scene, list[Tile]]]:
    """Every row of tiles, and its raster."""
    for scene in scenes:
        size = scaled_size(scene.raster.size, options.scale)
        plan = plan_tiles(scene.name, size, side=options.side, overlap=options.overlap, block=options.block)
        yield from ((scene, tiles) for tiles in plan)


def _each_tile(
    rows: Sequence[tuple[Scene, list[Tile]]], form: Form, folder: Path, options: CutOptions
) -> Iterator[dict[str, Any]]:
    """What became of every tile; a row of them is written down when it is done, and then not cut again."""
    for scene, tiles in rows:
        done = folder / PARTS / f"{tiles[0].id}.json"
        if done.exists():
            yield from json.loads(done.read_text(encoding="utf-8"))
            continue
        found, files = [], FileBatch()
        for tile in tiles:
            found.append(_cut(scene, tile, form, folder, options, files))
            yield found[-1]
        files.sync()
        write_file(done, json.dumps(found))


def _cut(scene: Scene, tile: Tile, form: Form, folder: Path, options: CutOptions, files: FileBatch) -> dict[str, Any]:
    """The record of a tile: of one that is kept with its ``masks``, else why it is ``dropped``."""
    native = scene.raster.size
    size = scaled_size(native, options.scale)
    label = resized_label(scene.label, native, size, tile.window, form.labels)
    empty = not bool(form.labels.foreground(label.values).any())
    if empty and not _kept(tile.id, options.keep_empty):
        return {"dropped": "empty"}
    there = _there(scene.raster, native, size, tile.window)
    image = None
    if options.nodata is not None or there.mean() >= 1 - options.most_nodata:
        image = scene.raster.resized(size, tile.window)
        there = there if options.nodata is None else there & (image != options.nodata).any(2)
    if image is None or there.mean() < 1 - options.most_nodata:
        return {"dropped": "nodata"}
    write_image(folder / "images", tile.id, image, files)
    masks = form.keep(tile.id, Label(label.values, label.valid & there), files)
    return {"id": tile.id, **asdict(tile), "empty": empty, "masks": masks}


def _there(raster: Raster, native: Size, size: Size, window: Window) -> np.ndarray:
    """bool (h, w): where a tile has data, from the native pixels around it."""
    wanted = window_size(window)
    own = tuple(
        slice(axis.start * length // resized, -(-axis.stop * length // resized))
        for axis, length, resized in zip(window, native, size, strict=True)
    )
    valid = raster.valid((own[0], own[1]))
    if valid.shape == wanted:
        return valid
    rows, columns = (np.arange(to) * of // to for to, of in zip(wanted, valid.shape, strict=True))
    return valid[rows][:, columns]


def _kept(name: str, share: float) -> bool:
    """Whether an empty tile is among the ``share`` that is kept: a function of its name alone."""
    number = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
    return number < share * 2**64


def _settings(scenes: Sequence[Scene], labels: LabelSpec, options: CutOptions) -> dict[str, Any]:
    """All that tiles depend on: of what an interrupted cut left they would be mixed with those of other settings."""
    rasters = {
        scene.name: {
            "files": [standing(path) for path in scene.raster.paths],
            "bands": scene.raster.bands,
            "pixels": str(scene.raster.spec),
            "mask": scene.mask,
        }
        for scene in scenes
    }
    return json.loads(json.dumps({"options": asdict(options), "labels": asdict(labels), "rasters": rasters}))


def _prepare(folder: Path, settings: dict[str, Any], profile: Path, *, overwrite: bool) -> None:
    marker = folder / SETTINGS
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise RasterError(f"{folder} holds other files than tiles: choose another --out")
    if marker.exists() and overwrite:
        _clear(folder)
    if profile.exists():
        raise RasterError(
            f"{profile} exists, so these tiles were cut already: choose another --out, or give --overwrite"
        )
    if marker.exists() and json.loads(marker.read_text(encoding="utf-8")) != settings:
        raise RasterError(
            f"{folder} holds the beginning of a cut of other options, rasters or masks, or these have changed since: "
            "give --overwrite, or the same ones"
        )
    write_file(marker, json.dumps(settings, indent=1))


def _clear(folder: Path) -> None:
    """Remove an earlier cut: first what says which tiles are there, and last what says that these are tiles."""
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == SETTINGS):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
