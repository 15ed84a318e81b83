"""Every image is read once: one row of figures and one thumbnail of it are kept, never its pixels."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import ExifTags, Image, UnidentifiedImageError

from maskfold.checks.large import too_large
from maskfold.checks.notes import LISTED_HERE, Notes, counts, in_threads
from maskfold.competitions import Competition, Samples
from maskfold.competitions.decoders import decoding
from maskfold.competitions.dicom import DICOM_SUFFIXES
from maskfold.competitions.images import decode_files
from maskfold.competitions.samples import ImagePath, paths_of
from maskfold.competitions.tif import TIF_SUFFIXES
from maskfold.datasets.copies import THUMBNAIL, pixel_digest, thumbnail
from maskfold.datasets.statistics import faint
from maskfold.errors import CompetitionError, first_few
from maskfold.images import ImageSpec


@dataclass(frozen=True)
class Images:
    """All images that could be read, a row each; training images first, then test, then those of no table.

    Attributes:
        table: split ("train", "test" or "" where no table names the image), id, path (an `ImagePath`), height,
            width, mode (of the files, as Pillow names it), oddity (what of the files is not used), files (path ->
            size, time, and a digest of the content), the columns of `colours`, digest (of the pixels), flat (one
            colour).
        thumbnails: uint8 (n, 32, 32), grey.
        spec: how the images are stored.
    """

    table: pd.DataFrame
    thumbnails: np.ndarray
    spec: ImageSpec

    @property
    def colours(self) -> list[str]:
        """Columns of the colour statistics: levels 0 to ``spec.scale``."""
        return _colour_columns(self.spec)

    def rows_of(self, split: str) -> np.ndarray:
        """Row numbers of a split's images."""
        return np.flatnonzero(self.table["split"] == split)


def check_images(competition: Competition, samples: Mapping[str, Samples], notes: Notes) -> Images:
    """Read the images of all splits and those that stand beside them.

    Problems: images that cannot be read. Warnings: images that no table names, several kinds of images, images
    of one colour. Facts: sizes, channels, colours.
    """
    listed = [
        {"split": split, "id": sample.id, "path": sample.image} for split, own in samples.items() for sample in own
    ]
    unlisted = [path for path in competition.unnamed_images() if not too_large(competition, path)]
    # Where a table is broken, its rows are missing, not the images too many.
    if unlisted and notes.ok:
        notes.warnings.append(f"{len(unlisted)} images are in no table and are not used: {first_few(unlisted)}")
    rows = [*listed, *({"split": "", "id": "", "path": path} for path in unlisted)]
    images = _read_all(competition, rows, notes)
    _describe(images, notes)
    return images


def shown_path(image: ImagePath) -> str:
    """The path of an image, or the paths of its files, for people."""
    return " + ".join(paths_of(image))


def pixel_statistics(images: Images, split: str) -> dict[str, tuple[float, float]]:
    """Channel -> mean and standard deviation of all pixels of a split's images, levels 0 to ``spec.scale``."""
    table = images.table.iloc[images.rows_of(split)]
    pixels = (table["height"] * table["width"]).to_numpy(float)
    found = {}
    for channel in images.spec.channel_names:
        means, stds = table[f"mean {channel}"].to_numpy(), table[f"std {channel}"].to_numpy()
        mean = np.average(means, weights=pixels)
        square = np.average(means**2 + stds**2, weights=pixels)
        found[channel] = (float(mean), float(np.sqrt(max(0.0, square - mean**2))))
    return found


def _read_all(competition: Competition, rows: list[dict[str, Any]], notes: Notes) -> Images:
    paths = sorted({row["path"] for row in rows}, key=paths_of)
    found = dict(zip(paths, in_threads(partial(_read_image, competition), paths, "images"), strict=True))
    failures = [figures for figures in found.values() if isinstance(figures, str)]
    if failures:
        notes.problems.append(f"{len(failures)} images cannot be read: {first_few(failures, LISTED_HERE)}")
    read = {path: figures for path, figures in found.items() if not isinstance(figures, str)}
    rows = [row for row in rows if row["path"] in read]
    thumbnails = [read[row["path"]]["thumbnail"] for row in rows]
    colours = _colour_columns(competition.images)
    columns = ["split", "id", "path", "height", "width", "mode", "oddity", "files", *colours, "digest", "flat"]
    table = pd.DataFrame([{**row, **read[row["path"]]} for row in rows], columns=columns)
    return Images(table, np.array(thumbnails, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL), competition.images)


def _colour_columns(spec: ImageSpec) -> list[str]:
    return [f"{figure} {channel}" for channel in spec.channel_names for figure in ("mean", "std")]


def _read_image(competition: Competition, image: ImagePath) -> dict[str, Any] | str:
    """Figures and thumbnail of one image, or what is wrong with it."""
    try:
        files = [(path, competition.files.read(path)) for path in paths_of(image)]
        looks = [_look(data, path) for path, data in files]
        modes, oddity = [mode for mode, _ in looks], next((odd for _, odd in looks if odd), "")
        pixels = decode_files(files, competition.images, competition.profile.channels)
        mode = " + ".join(mode for mode in modes if mode) if all(modes) else f"{pixels.shape[2]} x {pixels.dtype}"
        contents = {path: [*competition.files.stands(path)[:2], blake2b(data).hexdigest()[:32]] for path, data in files}
        return {"mode": mode, "oddity": oddity, "files": contents, **_figures(pixels, competition.images)}
    except CompetitionError as error:
        return str(error)


def _look(data: bytes, path: str) -> tuple[str | None, str]:
    """The kind of pixels as Pillow names it, and what else is in the file that is not used.

    No kind of arrays, and of tifs with pixels that Pillow does not know.
    """
    # OpenCV 4 reads the missing rest of a truncated JPEG as grey; Pillow refuses it.
    with decoding(path):
        try:
            with Image.open(BytesIO(data)) as image:
                mode = image.mode
                image.load()
                return mode, _oddity(image)
        except UnidentifiedImageError:
            if PurePosixPath(path).suffix.lower() in {".npy", *TIF_SUFFIXES, *DICOM_SUFFIXES}:
                return None, ""
            raise


def _oddity(image: Image.Image) -> str:
    if getattr(image, "n_frames", 1) > 1:
        return "several frames or pages, of which the first is read"
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        return "an EXIF rotation, which is not applied: masks are drawn on the pixels as they are stored"
    return ""


def _figures(pixels: np.ndarray, spec: ImageSpec) -> dict[str, Any]:
    mean, std = (value.ravel() for value in cv2.meanStdDev(pixels))
    colours = dict(zip(_colour_columns(spec), np.stack([mean, std], 1).ravel().tolist(), strict=True))
    return {
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        **colours,
        "digest": pixel_digest(pixels),
        "flat": all((part == pixels[0, 0]).all() for part in (pixels[0], pixels)),  # most are not, by their first row
        "thumbnail": thumbnail(pixels, spec),
    }


def _describe(images: Images, notes: Notes) -> None:
    table = images.table
    sizes = Counter(f"{height}x{width}" for height, width in zip(table["height"], table["width"], strict=True))
    modes = Counter(table["mode"])
    notes.facts["sizes (H x W)"] = counts(sizes)
    notes.facts["channels"] = counts(modes)
    if len(modes) > 1 and images.spec.channels == 3:
        notes.warnings.append(f"images of several kinds ({counts(modes)}): all are read as RGB, alpha is dropped")
    if len(images.rows_of("train")):
        digits, scale = (".0f" if images.spec.scale > 10 else ".3f"), images.spec.scale
        statistics = pixel_statistics(images, "train")
        colours = (f"{channel} {mean:{digits}} ± {std:{digits}}" for channel, (mean, std) in statistics.items())
        notes.facts["colours (train)"] = f"{', '.join(colours)} of {scale:g} (mean ± standard deviation of the pixels)"
        mean, std = np.array(list(statistics.values())).T
        if text := faint(mean, std, images.spec):
            notes.warnings.append(text)
    for oddity, odd in table[table["oddity"] != ""].groupby("oddity", sort=True):
        notes.warnings.append(f"{len(odd)} images have {oddity}: {first_few(map(shown_path, odd['path']))}")
    flat = table["path"][table["flat"] & (table["split"] != "")]
    if len(flat):
        notes.warnings.append(f"{len(flat)} images have a single colour: {first_few(map(shown_path, flat))}")
