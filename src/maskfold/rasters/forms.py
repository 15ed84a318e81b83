"""The two forms in which tiles are written: as a competition's own table of run lengths, or as label files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import pandas as pd
import yaml

from maskfold.competitions import Competition
from maskfold.competitions.label_map import NOT_SCORED
from maskfold.competitions.profile import CsvProfile
from maskfold.competitions.profile_base import MetricChoice
from maskfold.competitions.table import write_table
from maskfold.files import FileBatch, atomic_path, write_file
from maskfold.images import ImageSpec
from maskfold.labels import Label, LabelSpec

TILES = "tiles.csv"
# Where each tile is; `maskfold.checks.tiles` reads them too.
PLACES = ("id", "scene", "block", "top", "left", "height", "width")
Records = Sequence[Mapping[str, Any]]
# A tile is none of the images that a competition takes a mean over: an empty one would count as much as all that is in
# a raster. So tiles are scored by the pixels of all of them together.
POOLED = {"dice": "pooled_dice", "iou": "pooled_iou", "f_beta": "pooled_f_beta"}


class Form(Protocol):
    """How the masks of tiles are written, and the profile that reads them.

    Attributes:
        labels: the task and its classes.
        profile_path: the profile; written last.
    """

    labels: LabelSpec
    profile_path: Path

    def keep(self, id: str, label: Label, files: FileBatch) -> Any:
        """What a tile's record holds of its mask, for JSON; it may be written as one of ``files``."""
        ...

    def finish(self, records: Records, group: str) -> None:
        """Write the tables and the profile, by which tiles of the same ``group`` (scene or block) stay together."""
        ...


class RunLengthForm:
    """Tiles in a folder of the competition itself: its table and image pattern of the training split are replaced.

    The test split stays the competition's own, so that its images are predicted and its submission is written.
    """

    def __init__(self, competition: Competition, folder: Path, scale: float) -> None:
        """``folder`` is inside the competition's; ``scale`` is that of the tiles."""
        self.competition, self.folder, self.scale = competition, folder, scale
        self.labels = competition.labels
        self.profile_path = folder / f"{competition.name}_tiles.yaml"

    def keep(self, id: str, label: Label, files: FileBatch) -> dict[str, list[str]]:
        return self.competition.layout.encode(np.where(label.valid, label.values, 0).astype(np.uint8))

    def finish(self, records: Records, group: str) -> None:
        profile = self.competition.profile
        assert isinstance(profile, CsvProfile)  # others have their masks in files
        inside = self.folder.relative_to(self.competition.root).as_posix()
        rows = (
            (record["id"], value, rle) for record in records for value, rles in record["masks"].items() for rle in rles
        )
        with atomic_path(self.folder / "train.csv") as temporary:
            write_table(profile.form("train"), rows, temporary)
        write_places(self.folder, records)
        # The tiles' masks are run lengths, also where those of the rasters are files, which a label_map reads.
        tree = profile.model_dump(mode="json", exclude_defaults=True, exclude={"name", "label_map", "medals"})
        kept = {key: value for key, value in tree["train"].items() if key in ("columns", "class_separator")}
        tree |= {
            "title": f"{profile.title or profile.name}: tiles".strip(),
            "metric": metric_of_tiles(profile.metric),
            "train": {
                "table": f"{inside}/train.csv",
                "image": f"{inside}/images/{{id}}{suffix(profile.image_spec)}",
                **kept,
            },
            "class_names": list(self.labels.class_names),
            "group": {"file": f"{inside}/{TILES}", "id": "id", "column": group},
            "tile_scale": self.scale,
            "tile_side": max(max(record["height"], record["width"]) for record in records),
        }
        write_profile(self.profile_path, tree)


class LabelFilesForm:
    """Tiles in a folder of their own: 0 and 255 of one class (png-masks), classes and 255 of several (file-list)."""

    def __init__(self, folder: Path, labels: LabelSpec, images: ImageSpec, scale: float) -> None:
        self.folder, self.labels, self.images, self.scale = folder, labels, images, scale
        self.profile_path = folder / f"{folder.name}.yaml"

    def keep(self, id: str, label: Label, files: FileBatch) -> str:
        values = label.values if self.labels.exclusive else label.values * np.uint8(255)
        if self.labels.exclusive:
            values = np.where(label.valid, values, np.uint8(NOT_SCORED))
        with files.path(self.folder / "masks" / f"{id}.png") as temporary:
            temporary.write_bytes(cv2.imencode(".png", values)[1].tobytes())
        return f"masks/{id}.png"

    def finish(self, records: Records, group: str) -> None:
        write_places(self.folder, records)
        tree: dict[str, Any] = {
            "layout": "file-list" if self.labels.exclusive else "png-masks",
            "title": f"tiles of {len({record['scene'] for record in records})} rasters",
            "metric": "miou" if self.labels.exclusive else POOLED["dice"],
            "class_names": list(self.labels.class_names),
            "group": {"file": TILES, "id": "id", "column": group},
            "tile_scale": self.scale,
            "tile_side": max(max(record["height"], record["width"]) for record in records),
            "image_spec": {
                "channels": self.images.channels,
                "dtype": self.images.dtype,
                "scale": self.images.scale,
                "rgb": list(self.images.rgb),
            },
        }
        if self.labels.exclusive:
            lines = [f"images/{record['id']}{suffix(self.images)} {record['masks']}\n" for record in records]
            write_file(self.folder / "train.txt", "".join(lines))
        write_profile(self.profile_path, tree)


def metric_of_tiles(metric: MetricChoice) -> dict[str, Any]:
    """A competition's metric as tiles are scored by it, see `POOLED`: a class that is nowhere has no score then."""
    options = {key: value for key, value in metric.options.items() if key != "empty" or metric.name not in POOLED}
    return {"name": POOLED.get(metric.name, metric.name), **options}


def suffix(spec: ImageSpec) -> str:
    """Of the files of tiles: png where it can hold them, else npy."""
    return ".png" if spec.dtype != "float32" and spec.channels in (1, 3, 4) else ".npy"


def write_image(folder: Path, name: str, image: np.ndarray, files: FileBatch) -> None:
    """Write a tile (H, W, C) without loss, as one of ``files``."""
    kind = suffix(ImageSpec(image.shape[2], str(image.dtype)))  # pyright: ignore[reportArgumentType]
    with files.path(folder / f"{name}{kind}") as temporary:
        if kind == ".npy":
            np.save(temporary, image)
        else:
            conversions = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
            stored = cv2.cvtColor(image, conversions[image.shape[2]]) if image.shape[2] in conversions else image
            temporary.write_bytes(cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def write_places(folder: Path, records: Records) -> None:
    """Write where each tile is, and what belongs together."""
    with atomic_path(folder / TILES) as temporary:
        pd.DataFrame([{name: record[name] for name in PLACES} for record in records]).to_csv(temporary, index=False)


def write_profile(path: Path, tree: dict[str, Any]) -> None:
    """Write a profile."""
    write_file(path, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))
