"""Everything that is wrong with a contest's files, found in one pass before a night is lost."""

import hashlib
import textwrap
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image

from maskfold.competitions import Competition, CompetitionError
from maskfold.competitions.errors import first_few
from maskfold.competitions.images import IMAGE_SUFFIXES
from maskfold.config import FoldsConfig
from maskfold.datasets.folds import FoldsError, load_groups, make_folds
from maskfold.progress import progress
from maskfold.rle import RLEDialect


@dataclass
class DataReport:
    """What `check_data` found.

    Attributes:
        problems: what makes training or a submission fail, or wrong; one sentence each.
        warnings: what is worth a look.
        facts: name -> what there is, in the order of the checks.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there are no problems; warnings do not count."""
        return not self.problems

    def text(self) -> str:
        """All of it for a terminal."""
        width = max(map(len, self.facts), default=0)
        indent = " " * (width + 2)
        lines = [_wrap(f"{name:{width}}  {value}", indent) for name, value in self.facts.items()]
        for kind, items in (("Problem", self.problems), ("Warning", self.warnings)):
            lines += [_wrap(f"{kind}: {item}", "  ") for item in items]
        return "\n".join([*lines, f"Problems: {len(self.problems)}. Warnings: {len(self.warnings)}."])


def _wrap(text: str, indent: str) -> str:
    return textwrap.fill(text, 110, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True)
class _Image:
    size: tuple[int, int]
    mode: str
    digest: bytes
    flat: bool


def check_data(competition: Competition, folds_config: FoldsConfig) -> DataReport:
    """Read every image and every mask of the contest, and try the division into folds.

    Problems: what the tables name and the folders lack, images and masks that cannot be read, groups or folds
    that cannot be made. Warnings: images that no table names, identical images, run lengths that are not in
    canonical form, images of several kinds, classes without a pixel.
    """
    report = DataReport()
    tables = {part: _samples(competition, part, report) for part in ("train", "test")}
    listed = [path for table in tables.values() for path in table["image"]]
    unlisted = _unlisted(competition, listed, report)
    images = _read_images(competition, [*listed, *unlisted], report)
    _find_duplicates(tables, images, report)
    coverage = _check_masks(competition, tables["train"], images, report)
    _check_folds(competition, tables["train"], coverage, folds_config, report)
    return report


def _samples(competition: Competition, part: Literal["train", "test"], report: DataReport) -> pd.DataFrame:
    """The table of a part; an empty one where it cannot be had."""
    try:
        samples = competition.samples(part)
    except CompetitionError as error:
        report.problems.append(f"the {part} part cannot be used: {error}")
        return pd.DataFrame({name: [] for name in ("id", "image", "group", "masks", "split")}, dtype=object)
    report.facts[f"{part} images"] = str(len(samples))
    if samples.empty:
        (report.problems if part == "train" else report.warnings).append(f"there are no {part} images")
    return samples


def _unlisted(competition: Competition, listed: list[str], report: DataReport) -> list[str]:
    """Images beside those that the tables name."""
    folders = {str(PurePosixPath(path).parent) for path in listed} | _image_folders(competition)
    files = (PurePosixPath(folder) / name for folder in sorted(folders) for name in competition.files.names(folder))
    present = [str(file) for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    unlisted = sorted(set(present) - set(listed))
    if unlisted and not report.problems:
        report.warnings.append(f"{len(unlisted)} images stand in no table and are not used: {first_few(unlisted)}")
    return unlisted


def _image_folders(competition: Competition) -> set[str]:
    """Where a profile expects images, so that they are looked at even where a table is broken."""
    profile = competition.profile
    if profile.layout == "csv":
        return {part.folder for part in (profile.train, profile.test) if part.folder}
    return {profile.images} if profile.layout == "png-masks" else set()


def _read_images(competition: Competition, paths: list[str], report: DataReport) -> dict[str, _Image]:
    """Path -> facts of every image that can be read."""
    images, failures = {}, []
    for path in progress(sorted(set(paths)), "images", total=len(set(paths))):
        try:
            images[path] = _read_image(competition, path)
        except (CompetitionError, OSError, SyntaxError, Image.DecompressionBombError) as error:
            failures.append(str(error) if path in str(error) else f"{path}: {error}")
    if failures:
        report.problems.append(f"{len(failures)} images cannot be read: {first_few(failures)}")
    sizes = Counter(f"{height}x{width}" for height, width in (image.size for image in images.values()))
    modes = Counter(image.mode for image in images.values())
    report.facts["sizes (H x W)"] = _counts(sizes)
    report.facts["channels"] = _counts(modes)
    if len(modes) > 1:
        report.warnings.append(f"images of several kinds ({_counts(modes)}): all are read as RGB, alpha is dropped")
    return images


def _read_image(competition: Competition, path: str) -> _Image:
    # OpenCV 4 reads the missing rest of a truncated JPEG as grey; Pillow refuses it.
    with competition.files.open(path) as stream, Image.open(stream) as image:
        mode = image.mode
        image.load()
    pixels = competition.image(path)
    digest = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes()).digest()
    return _Image(pixels.shape[:2], mode, digest, flat=bool((pixels == pixels[0, 0]).all()))


def _find_duplicates(tables: dict[str, pd.DataFrame], images: dict[str, _Image], report: DataReport) -> None:
    same: dict[bytes, dict[str, list[str]]] = defaultdict(lambda: {"train": [], "test": []})
    flat = []
    for part, table in tables.items():
        for path in table["image"]:
            if path in images and images[path].flat:
                flat.append(path)
            elif path in images:
                same[images[path].digest][part].append(path)
    if flat:
        report.warnings.append(f"{len(flat)} images have a single colour: {first_few(flat)}")
    within = [found["train"] for found in same.values() if len(found["train"]) > 1]
    if within:
        report.warnings.append(
            f"{sum(map(len, within))} training images are identical to others: {_sets(within)}; without a group "
            "of their own they may stand on both sides of a fold"
        )
    across = [found["train"][:1] + found["test"] for found in same.values() if all(found.values())]
    if across:
        report.warnings.append(f"test images are identical to training images: {_sets(across)}")


def _sets(names: list[list[str]]) -> str:
    return first_few(" = ".join(group[:3]) + (" = …" if len(group) > 3 else "") for group in names)


def _check_masks(
    competition: Competition, train: pd.DataFrame, images: dict[str, _Image], report: DataReport
) -> np.ndarray:
    """(n,) coverage of each sample's mask, 0 where it cannot be read."""
    coverage, pixels = np.zeros(len(train)), np.zeros(256, np.int64)
    failures, unusual = [], []
    rows = list(zip(train["id"], train["image"], train["masks"], strict=True))
    for row, (id_, path, masks) in enumerate(progress(rows, "masks", total=len(rows), unit="mask")):
        if path not in images:
            continue
        try:
            mask = competition.mask(masks, images[path].size, id=id_)
        except CompetitionError as error:
            failures.append(str(error))
            continue
        counts = np.bincount(mask.ravel(), minlength=256)
        pixels += counts
        coverage[row] = counts[1:255].sum() / mask.size
        if competition.profile.layout == "csv" and not _canonical(competition.profile.dialect, masks, mask.shape):
            unusual.append(id_)
    if failures:
        report.problems.append(f"{len(failures)} masks cannot be used: {first_few(failures)}")
    if unusual:
        report.warnings.append(
            f"{len(unusual)} run-length strings are valid but not canonical (runs that touch, blanks), so they do not "
            f"encode back to themselves: {first_few(unusual)}"
        )
    _describe_masks(competition, coverage, pixels, report)
    return coverage


def _canonical(dialect: RLEDialect, masks: tuple[str, ...], shape: tuple[int, int]) -> bool:
    """Whether every string encodes back to itself; an empty mask may be written in any way the dialect accepts."""
    return all(not dialect.area(rle, shape) or dialect.encode(dialect.decode(rle, shape)) == rle for rle in masks)


def _describe_masks(competition: Competition, coverage: np.ndarray, pixels: np.ndarray, report: DataReport) -> None:
    total = pixels.sum()
    if not total:
        return
    names = ("background", *competition.class_names) if competition.num_classes == 1 else competition.class_names
    report.facts["pixels"] = ", ".join(f"{name} {pixels[i] / total:.1%}" for i, name in enumerate(names))
    if pixels[255]:
        report.facts["pixels"] += f", not scored {pixels[255] / total:.1%}"
    report.facts["empty masks"] = f"{np.sum(coverage == 0)} of {len(coverage)}"
    absent = [name for i, name in enumerate(names) if not pixels[i]]
    if absent:
        report.warnings.append(f"no training mask has a pixel of {first_few(absent)}")


def _check_folds(
    competition: Competition, train: pd.DataFrame, coverage: np.ndarray, config: FoldsConfig, report: DataReport
) -> None:
    if train.empty:
        return
    try:
        groups = load_groups(competition, train, config)
        folds = make_folds(train, coverage, config, groups)
    except (FoldsError, CompetitionError) as error:
        report.problems.append(str(error))
        return
    if groups is not None:
        report.facts["groups"] = str(len(np.unique(groups)))
    sizes = folds[folds["part"] == "valid"].groupby("fold").size()
    report.facts["folds"] = f"{len(sizes)} ({config.kind}), validation images {', '.join(map(str, sizes))}"


def _counts(counter: Counter[str]) -> str:
    """``512x512 (700), 500x500 (87)``, the most frequent first."""
    return first_few((f"{name} ({count})" for name, count in counter.most_common()), 6)
