"""Choosing checkpoints, weights, threshold and minimum area on out-of-fold predictions.

Every choice is judged by cross-fitting: the images are divided into parts (the folds), the choice for a part
is made on the other parts, and the score of all images under the choices made without them is compared with
that of the plain ensemble. What does not help there is not kept. The choice that is written down is then the
best on all images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from maskfold.competitions import Competition
from maskfold.config import Config, TuneConfig
from maskfold.ensembling.checkpoints import oof_options
from maskfold.ensembling.choice import CheckpointChoice, EnsembleChoice
from maskfold.ensembling.finished import finished_folds
from maskfold.ensembling.oof import OofImage, candidate_table, oof_images
from maskfold.inference.decoding import postprocess
from maskfold.metrics import CompetitionMetric
from maskfold.progress import progress
from maskfold.runs import Run

# Where only one fold is finished its images are divided into this many parts.
PARTS_OF_ONE_FOLD = 5


@dataclass(frozen=True)
class Setting:
    """One way to turn maps into masks."""

    weights: tuple[float, ...]
    threshold: float = 0.5
    min_area: int = 0


@dataclass(frozen=True)
class Grid:
    """Statistics of every setting on every image: (settings, images, k). Setting 0 is the plain one."""

    settings: list[Setting]
    stats: np.ndarray
    parts: np.ndarray

    def best(self, metric: CompetitionMetric, images: np.ndarray) -> int:
        """Index of the setting with the highest score on some images; the plain one wins a tie."""
        return int(np.argmax(metric.score(self.stats[:, images])))

    def cross_fitted(self, metric: CompetitionMetric) -> float:
        """Score of all images, each under the setting chosen without its part."""
        rows = np.empty_like(self.stats[0])
        for part in np.unique(self.parts):
            inside = self.parts == part
            rows[inside] = self.stats[self.best(metric, ~inside), inside]
        return float(metric.score(rows))


def tune(runs: Sequence[Run], competition: Competition, config: Config) -> EnsembleChoice:
    """Choose the ensemble of one or several runs.

    ``config.inference`` holds the views and the merging that prediction will use; the out-of-fold maps are
    made with the same, and computed where they are missing.

    Raises:
        InferenceError: no finished folds, or runs whose finished folds do not validate the same images.
        RunError: damaged files.
    """
    metric = competition.metric
    options, post = config.inference, config.post
    kinds = [choose_kind(run, competition, config) for run in runs]
    images = oof_images(runs, kinds, competition, [options] * len(runs))
    tried = list(settings(len(runs), competition, config.tune))
    grid = evaluate_grid(images, competition, metric, tried, post.fill_holes)
    everything = np.ones(len(images), dtype=bool)
    plain, after = float(metric.score(grid.stats[0])), grid.cross_fitted(metric)
    chosen = tried[grid.best(metric, everything) if after > plain else 0]
    return EnsembleChoice(
        checkpoints=[
            CheckpointChoice(run=str(run.path), checkpoint=kind, weight=weight)
            for run, kind, weight in zip(runs, kinds, chosen.weights, strict=True)
        ],
        **oof_options(options),
        threshold=chosen.threshold,
        min_area=chosen.min_area,
        fill_holes=post.fill_holes,
        metric=metric.name,
        scores={"before": plain, "after": max(plain, after)},
        hashes=_hashes(runs, kinds),
    )


def choose_kind(run: Run, competition: Competition, config: Config) -> str:
    """The checkpoint with the best out-of-fold score, among the best ``tune.checkpoints`` of training's table."""
    metric = competition.metric
    plain = [Setting(weights=(1.0,))]
    scores = {}
    for kind in candidate_table(run).index[: config.tune.checkpoints]:
        images = oof_images([run], [kind], competition, [config.inference])
        scores[kind] = metric.score(evaluate_grid(images, competition, metric, plain, 0).stats[0])
    return max(scores, key=lambda kind: scores[kind])


def settings(runs: int, competition: Competition, config: TuneConfig) -> Iterator[Setting]:
    """All settings tried, the plain one first."""
    equal = (1 / runs,) * runs
    yield Setting(equal)
    binary = competition.num_classes == 1
    thresholds = config.thresholds if binary else (0.5,)
    min_areas = config.min_areas if binary else (0,)
    for weights, threshold, min_area in product(weightings(runs), thresholds, sorted(min_areas)):
        setting = Setting(weights, threshold, min_area)
        if setting != Setting(equal):
            yield setting


def weightings(runs: int) -> list[tuple[float, ...]]:
    """Weights tried: for up to three runs all multiples of 1/4 that sum to 1, and equal ones always."""
    equal = (1 / runs,) * runs
    if runs == 1 or runs > 3:
        return [equal]
    steps = [w for w in product(range(5), repeat=runs) if sum(w) == 4]
    found = [tuple(step / 4 for step in w) for w in steps]
    return [equal, *(w for w in found if w != equal)]


def evaluate_grid(
    images: Sequence[OofImage],
    competition: Competition,
    metric: CompetitionMetric,
    tried: list[Setting],
    fill_holes: int,
) -> Grid:
    """Statistics of every setting on every image; one image's maps are in memory at a time."""
    rows = [
        _image_rows(image, competition, metric, tried, fill_holes)
        for image in progress(images, f"{len(tried)} settings", total=len(images))
    ]
    return Grid(tried, np.stack(rows, axis=1), _parts(images))


def _image_rows(
    image: OofImage, competition: Competition, metric: CompetitionMetric, tried: list[Setting], fill_holes: int
) -> np.ndarray:
    truth = None
    maps: dict[tuple[float, ...], np.ndarray] = {}
    rows = []
    for setting in tried:
        if setting.weights not in maps:
            maps = {setting.weights: image.probabilities(setting.weights)}
        probability = maps[setting.weights]
        if truth is None:
            truth = image.truth(competition, probability.shape[1:])
        mask = postprocess(probability, threshold=setting.threshold, min_area=setting.min_area, fill_holes=fill_holes)
        rows.append(metric.image_stats(mask, truth))
    return np.stack(rows)


def _parts(images: Sequence[OofImage]) -> np.ndarray:
    parts = np.array([image.fold for image in images])
    if len(np.unique(parts)) > 1:
        return parts
    return np.random.default_rng(0).permutation(len(images)) % PARTS_OF_ONE_FOLD


def _hashes(runs: Sequence[Run], kinds: Sequence[str]) -> dict[str, str]:
    return {
        str(run.fold(fold).checkpoint_path(checkpoint)): run.fold(fold).digest(checkpoint)
        for run, kind in zip(runs, kinds, strict=True)
        for fold in finished_folds(run)
        for checkpoint in run.fold(fold).weights_of(kind)
    }
