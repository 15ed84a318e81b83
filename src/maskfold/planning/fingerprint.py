"""What a plan depends on in the data: figures of the images and masks, most of them made by `maskfold.checks`."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from maskfold.checks.duplicates import check_duplicates
from maskfold.checks.images import Images, check_images
from maskfold.checks.large import too_large
from maskfold.checks.masks import Masks, check_masks
from maskfold.checks.notes import Notes
from maskfold.checks.shift import check_shift
from maskfold.competitions import Competition, Samples
from maskfold.config import FoldsConfig, TTAConfig
from maskfold.datasets.cache import decoded_bytes
from maskfold.datasets.copies import with_copies
from maskfold.datasets.folds import load_groups
from maskfold.errors import CompetitionError, FoldsError, first_few
from maskfold.labels import Task
from maskfold.picks import every_nth
from maskfold.planning.ceiling import score_ceilings
from maskfold.training.forecast import relative_pixels

MOST = {"train": 300, "test": 150}  # images that are read: their figures are means and quantiles
TIMED = 12  # images
SCALES = (0.125, 0.1875, 0.25, 0.375, 0.5, 0.75, 1.0)
LARGER = (128, 192, 256)  # sides, in pixels, to which smaller images may grow,
LARGEST = 8  # by this factor at most, as configs do
UPRIGHT = 0.35  # mean difference of the two halves, in its own standard deviations over the images
SURE = 0.99865  # that it is no chance by Student's t: three standard errors where they are known


@dataclass(frozen=True)
class Fingerprint:
    """Figures of a competition.

    Attributes:
        task: binary, multiclass or multilabel.
        channels: maps of an image.
        metric: its name.
        of_sums: whether the metric is of sums over the set, not a mean over images.
        error_costs: of a false positive and a false negative, see `maskfold.metrics.CompetitionMetric`; None: another
            kind.
        train, test: number of images.
        height, width: medians of the training images, in pixels, as networks see them at scale 1.
        test_pixels: mean pixels of a test image, as networks see it at scale 1, relative to those of a training image.
        test_windows: of rasters among the test images all windows count: so much more than the test images' own pixels.
        pixel_bytes: that a pixel of an image and of its label takes where they are kept decoded.
        largest: pixels of the largest image that was looked at, those left out that are predicted by windows anyway.
        coverage: mean share of foreground in the masks that have any.
        empty: share of masks without foreground.
        filled: sets of images that stay together of which one has a mask, of the images that were looked at.
        frequencies: of exclusive classes the share of each in the masks that have it, 0 where none has; else empty.
        object_side: square root of the area of a median object, in such pixels, too; 0 without objects.
        groups: of images that belong together; 0: none are known.
        copies: training images that are nearly the same as another one.
        units: sets of training images that stay together: groups joined with near-copies, these of the images that
            were looked at.
        shift: AUC of telling training and test images apart; None: not measured.
        given: share of the images that the competition's own split validates; 0: it has none.
        upright: whether the upper and the lower half of the images differ systematically, as in street scenes.
        ceilings: scale -> score of the true masks at that scale, see `maskfold.planning.ceiling`.
        reading: seconds to read an image.
        read: training images that were looked at.
    """

    task: Task
    channels: int
    metric: str
    of_sums: bool
    error_costs: tuple[float, float] | None
    train: int
    test: int
    height: float
    width: float
    test_pixels: float
    test_windows: float
    pixel_bytes: float
    largest: int
    coverage: float
    empty: float
    filled: int
    frequencies: tuple[float, ...]
    object_side: float
    groups: int
    copies: int
    units: int
    shift: float | None
    given: float
    upright: bool
    ceilings: Mapping[float, float]
    reading: float
    read: int

    @property
    def side(self) -> float:
        """The shorter side of a median image."""
        return min(self.height, self.width)

    @property
    def pixels(self) -> float:
        """Of a median training image."""
        return self.height * self.width


def take_fingerprint(competition: Competition, folds: FoldsConfig) -> Fingerprint:
    """Read the images and masks, of many a sample, and measure.

    Raises:
        CompetitionError: images or masks that cannot be used; images too large to be read whole.
    """
    whole = {"train": competition.samples("train"), "test": competition.survey("test").samples}
    if len(whole["train"]) < 2:
        raise CompetitionError(
            f"{len(whole['train'])} training images are too few for a plan, which trains on some and validates others: "
            "give at least two"
        )
    samples = {split: Samples(every_nth(own, MOST[split])) for split, own in whole.items()}
    images, masks, notes = _look(competition, samples)
    copies = check_duplicates(images, notes).sets[images.rows_of("train")]
    shift = check_shift(images, notes)
    groups = _groups(competition, whole["train"], folds)
    names = whole["train"].ids if groups is None else groups.tolist()
    sets = with_copies(samples["train"].ids, every_nth(names, MOST["train"]), copies)
    copied = len(copies) - len(np.unique(copies))
    coverage = masks.table["coverage"].to_numpy(float)
    test_pixels, test_windows = _test_pixels(competition, samples)
    height, width = np.median([competition.seen_size(sample) for sample in samples["train"]], axis=0).tolist()
    return Fingerprint(
        task=competition.labels.task,
        channels=competition.labels.channels,
        metric=competition.metric.name,
        of_sums=competition.metric.of_sums,
        error_costs=competition.metric.costs,
        train=len(whole["train"]),
        test=len(whole["test"]),
        height=height,
        width=width,
        test_pixels=test_pixels,
        test_windows=test_windows,
        pixel_bytes=sum(decoded_bytes(competition, (round(height), round(width)))) / (round(height) * round(width)),
        largest=_largest(competition, samples),
        coverage=float(coverage[coverage > 0].mean()) if (coverage > 0).any() else 0.0,
        empty=float((coverage == 0).mean()),
        filled=len({own for own, covered in zip(sets, coverage, strict=True) if covered}),
        frequencies=class_frequencies(masks.counts) if competition.labels.exclusive else (),
        object_side=_object_side(masks) * statistics.median(map(competition.resampling, samples["train"])),
        groups=0 if groups is None else len(np.unique(groups)),
        copies=copied,
        units=len(set(sets if copied else names)),
        shift=None if shift is None else shift.auc,
        given=_given(whole["train"]),
        upright=is_upright(images.thumbnails[images.rows_of("train")]),
        ceilings=score_ceilings(competition, every_nth(samples["train"], 100), candidate_scales(min(height, width))),
        reading=_reading(competition, samples["train"]),
        read=len(samples["train"]),
    )


def _test_pixels(competition: Competition, samples: Mapping[str, Samples]) -> tuple[float, float]:
    """``test_pixels`` and ``test_windows``, see `Fingerprint`."""
    if not samples["test"]:
        return 1.0, 1.0
    test, train = (
        statistics.fmean(math.prod(competition.seen_size(sample)) for sample in samples[split])
        for split in ("test", "train")
    )
    looked_at = relative_pixels(competition, samples["test"], samples["train"], TTAConfig(), 1.0)
    return test / train, looked_at * train / test


def _look(competition: Competition, samples: Mapping[str, Samples]) -> tuple[Images, Masks, Notes]:
    """Read images and masks, but none of test images that are predicted by windows.

    Raises:
        CompetitionError: as `take_fingerprint`.
    """
    _refuse_large(competition, samples["train"])
    held = {**samples, "test": Samples(each for each in samples["test"] if not too_large(competition, each.image))}
    notes = Notes()
    images = check_images(competition, held, notes)
    masks = check_masks(competition, samples["train"], images, notes)
    if notes.problems:
        raise CompetitionError(f"the data has problems ({first_few(notes.problems, 2)}): check_data.py lists them all")
    return images, masks, notes


def candidate_scales(side: float) -> list[float]:
    """Scales that are looked at: smaller ones, 1, and larger ones where the shorter side is below 256 pixels."""
    return [*SCALES, *(round(larger / side, 4) for larger in LARGER if side < larger <= LARGEST * side)]


def is_upright(thumbnails: np.ndarray) -> bool:
    """Whether images have an upper and a lower side.

    The mean grey level of the upper half minus that of the lower one is, over many images, around 0 where every
    direction is alike (aerial tiles, tissue, cells), and far from it where there is a sky or a floor.

    Args:
        thumbnails: uint8 (n, 32, 32).
    """
    if len(thumbnails) < 2:
        return False
    middle = thumbnails.shape[1] // 2
    values = thumbnails.astype(np.float64)
    difference = values[:, :middle].mean((1, 2)) - values[:, middle:].mean((1, 2))
    error = max(float(difference.std(ddof=1)), 1e-6)
    effect = abs(float(difference.mean())) / error
    sure = stdtrit(len(difference) - 1, SURE)  # of few images the deviation is hardly known: 3.1 of 60, 9.2 of four
    return bool(effect > UPRIGHT and effect * np.sqrt(len(difference)) > sure)


def class_frequencies(counts: np.ndarray) -> tuple[float, ...]:
    """The share of each class in the pixels of those masks that have it; 0 where none has.

    Args:
        counts: int64 (n, C), pixels of each class in each mask.
    """
    whole = np.where(counts > 0, counts.sum(1, keepdims=True), 0).sum(0)
    return tuple(float(share) for share in counts.sum(0) / np.maximum(whole, 1))


def _reading(competition: Competition, train: Samples) -> float:
    seconds = []
    for sample in every_nth(train, TIMED):
        started = time.monotonic()
        competition.image(sample.image)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds)


def _refuse_large(competition: Competition, train: Sequence) -> None:
    large = [sample.id for sample in train if too_large(competition, sample.image)]
    if large:
        raise CompetitionError(
            f"{len(large)} training images of {len(train)} looked at are too large to be read whole "
            f"({first_few(large)}): cut them with tile.py first, and plan for the tiles"
        )


def _largest(competition: Competition, samples: Mapping[str, Samples]) -> int:
    whole = (sample for own in samples.values() for sample in own if not competition.by_windows(sample))
    return max(math.prod(competition.seen_size(sample)) for sample in whole)


def _object_side(masks: Masks) -> float:
    areas = masks.all_areas
    return float(np.sqrt(np.median(areas))) if len(areas) else 0.0


def _groups(competition: Competition, train: Samples, config: FoldsConfig) -> np.ndarray | None:
    try:
        found = load_groups(competition, train, config, search=False)
    except FoldsError:
        return None  # the config's kind of folds knows none
    return None if found is None else found.astype(str)


def _given(train: Samples) -> float:
    valid = sum(sample.split == "valid" for sample in train)
    return valid / len(train) if {sample.split for sample in train} >= {"train", "valid"} else 0.0
