"""Weights of test-time views, found out of fold.

An image and its mirror images are not seen equally well where a scene has an up and a down, or shadows. The maps of
each view are made and stored apart, by the checkpoints that were chosen before; as probabilities are averaged, any
weighted mean of them can then be scored without a network.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from maskfold.cluster import Cluster
from maskfold.competitions import Competition
from maskfold.config import Config, TTAConfig
from maskfold.ensembling.crossfit import Coordinate, Held, Walked
from maskfold.ensembling.oof import OofImage, oof_images
from maskfold.ensembling.settings import Setting
from maskfold.ensembling.weightings import with_share
from maskfold.errors import ConfigError
from maskfold.inference.views import build_views
from maskfold.runs import Run


def weighing(tta: TTAConfig, weights: Sequence[float]) -> TTAConfig:
    """``tta`` with such weights of its views; none: as it is."""
    return tta.model_copy(update={"view_weights": tuple(weights)}) if weights else tta


def check_views(tta: TTAConfig) -> None:
    """Refuse a prediction whose views have no weights to find.

    Raises:
        ConfigError: one view only, or what is averaged is not their probabilities.
    """
    if len(build_views(tta.views, tta.scales)) < 2 or tta.merge != "probabilities":
        raise ConfigError(
            f"tune.views is true, but tta.views is {tta.views} and tta.merge {tta.merge}: weights are found for the "
            "probabilities of several views; set tta.views to flips or d4 and tta.merge to probabilities, or "
            "tune.views to false"
        )


def with_views(
    images: Sequence[OofImage],
    runs: Sequence[Run],
    walked: Walked[Setting],
    competition: Competition,
    config: Config,
    *,
    cluster: Cluster | None = None,
) -> list[OofImage]:
    """The images with the maps of each view, of all checkpoints that a walk has chosen; made where they are missing."""
    tta, count = config.tta, len(build_views(config.tta.views, config.tta.scales))
    settings = [walked.chosen, *walked.of_part.values()]
    names = [{setting.checkpoints[place] for setting in settings} for place in range(len(runs))]
    size = config.inference.batch_size
    alone = [weighing(tta, [float(view == one) for view in range(count)]) for one in range(count)]
    seen = [oof_images(runs, names, competition, [one] * len(runs), batch_size=size, cluster=cluster) for one in alone]
    return [replace(image, views=views) for image, views in zip(images, zip(*seen, strict=True), strict=True)]


def view_coordinates(tta: TTAConfig) -> list[Coordinate[Setting]]:
    """The weight of each view, in order; the start is what ``tta`` says."""
    views = build_views(tta.views, tta.scales)
    start = tta.view_weights or (1.0,) * len(views)
    equal = tuple(weight / sum(start) for weight in start)
    return [
        Coordinate(f"weight of view {view.name}", partial(_options, equal, place)) for place, view in enumerate(views)
    ]


def _options(start: tuple[float, ...], place: int, now: Setting, held: Held) -> list[Setting]:
    return [replace(now, views=weights) for weights in with_share(now.views or start, place)]
