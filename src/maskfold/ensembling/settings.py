"""Ways to turn out-of-fold maps into masks, and their statistics on every image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np

from maskfold.competitions import Competition
from maskfold.config import PostConfig
from maskfold.ensembling.choice import EnsembleChoice, Mix
from maskfold.ensembling.oof import OofImage
from maskfold.ensembling.stack import Stack
from maskfold.inference.decoding import Chain, build_chain
from maskfold.metrics import CompetitionMetric, units_of
from maskfold.progress import progress


@dataclass(frozen=True)
class Setting:
    """One way to turn maps into masks.

    Attributes:
        checkpoints, weights, views, stack: of its `Mix`.
        post: the decoding.
    """

    checkpoints: tuple[str, ...]
    weights: tuple[float, ...]
    post: PostConfig
    views: tuple[float, ...] = ()
    stack: Stack | None = None

    @classmethod
    def of(cls, choice: EnsembleChoice) -> "Setting":
        """The setting of a choice."""
        return cls(tuple(choice.checkpoints), choice.weights, choice.post, stack=choice.stack)

    @cached_property
    def key(self) -> tuple[object, ...]:
        """Equal for settings that give the same masks."""
        return self.mix, self.post.model_dump_json()

    @property
    def mix(self) -> Mix:
        """How the map that is decoded is put together."""
        return Mix(self.checkpoints, self.weights, self.views, self.stack)

    def needed(self) -> set[tuple[int | None, int, str]]:
        """View, run and checkpoint of all stored maps that it is made of."""
        views = [view for view, share in enumerate(self.views) if share > 0] or [None]
        return {(view, *run) for view in views for run in enumerate(self.checkpoints)}


class Scorer:
    """Statistics of settings on the same out-of-fold images; each setting is looked at once.

    In a pass over the images one image's maps are in memory at a time, and each is read once for all settings. Settings
    of the same maps that differ from the gate or the decision on share the steps before it.
    """

    def __init__(self, images: Sequence[OofImage], competition: Competition) -> None:
        self.images = images
        self.competition = competition
        self.metric: CompetitionMetric = competition.metric
        self._stats: dict[tuple[object, ...], np.ndarray] = {}

    def look(self, settings: Sequence[Setting], what: str = "settings") -> None:
        """Pass over the images for those of ``settings`` that were not looked at yet."""
        new = {setting.key: setting for setting in settings if setting.key not in self._stats}
        if not new:
            return
        labels, images = self.competition.labels, self.competition.images
        decoded = [_Decoded(setting, build_chain(setting.post, labels, images)) for setting in new.values()]
        # Settings of the same maps follow each other, so that these are merged and refined once for all of them.
        asked = sorted(decoded, key=lambda each: (repr(each.mix), each.refinement))
        units = units_of(self.metric, [image.id for image in self.images])
        order = [place for places in units.values() for place in places]
        found = (
            list(self._found(self.images[place], asked))
            for place in progress(order, f"{what}: {len(asked)} tried", total=len(order))
        )
        # What is found in one unit's images is in memory at a time.
        rows = [self._unit_rows(list(islice(found, len(places)))) for places in units.values()]
        stats = np.concatenate(rows, axis=1)[:, np.argsort(order)]
        self._stats |= {setting.key: own for (setting, _), own in zip(asked, stats, strict=True)}

    def _unit_rows(self, found: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        """(settings, images, k) of a unit, of what each setting found in each image."""
        return np.stack([self.metric.unit_stats(of_setting) for of_setting in zip(*found, strict=True)])

    def stats(self, setting: Setting) -> np.ndarray:
        """Statistics (n, k) of a setting, a row per image."""
        self.look([setting])
        return self._stats[setting.key]

    def _found(self, image: OofImage, asked: Sequence["_Decoded"]) -> Iterator[np.ndarray]:
        needed = {each for setting, _ in asked for each in setting.needed()}
        levels = {each: image.read(*each) for each in needed}
        truth = image.truth(self.competition)
        for mix, same in groupby(asked, key=lambda each: each.mix):
            prediction = image.prediction(mix, self.competition, lambda *each: levels[each])
            beside = prediction.image, prediction.presence
            for _, alike in groupby(same, key=lambda each: each.refinement):
                chains = [chain for _, chain in alike]
                refined = chains[0].refine(prediction.probability, *beside)
                for chain in chains:
                    yield self.metric.stats_of(chain.decide(refined, *beside, prediction.inside), truth)


class _Decoded(NamedTuple):
    """A setting and its decoding chain."""

    setting: Setting
    chain: Chain

    @property
    def mix(self) -> Mix:
        return self.setting.mix

    @property
    def refinement(self) -> str:
        return self.chain.refinement
