"""Whether a further network gains anything out of fold, and whether that could be seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskfold.competitions import Competition
from maskfold.ensembling.oof import groups_of
from maskfold.metrics import paired_bootstrap
from maskfold.metrics.bootstrap import FEWEST_GROUPS
from maskfold.runs import Run
from maskfold.steps.evaluate import evaluate


class Gain(NamedTuple):
    """A difference of two out-of-fold scores.

    Attributes:
        real: whether its interval is above 0.
        text: the figures.
    """

    real: bool
    text: str


def compare(candidate: Sequence[Path], reference: Sequence[Path]) -> Gain:
    """The paired difference of two ensembles, each as it was tuned, on the images that both validate.

    Real is a gain whose 95 % interval of the paired bootstrap, over groups where there are any, leaves out 0.

    Raises:
        InferenceError: they validate different images.
    """
    new, old = (evaluate([Run.open(path) for path in runs]) for runs in (candidate, reference))
    found = paired_bootstrap(new.stats, old.stats, new.metric.score, groups=new.groups)
    text = (
        f"out-of-fold {new.metric.name} {old.score:.4f} -> {new.score:.4f}, {found.difference:+.4f} "
        f"({found.low:+.4f} to {found.high:+.4f})"
    )
    return Gain(found.low > 0, text)


def too_few(run: Run, competition: Competition) -> str:
    """Why no gain could be told from chance on the images that a run's finished folds validate; "" where it could."""
    folds = run.folds(competition)
    validated = folds["fold"].isin(run.finished_folds()) & (folds["split"] == "valid")
    ids = folds.loc[validated, "id"].unique().tolist()
    groups = groups_of(competition, ids, run.config.folds)
    found, units = (len(ids), "images") if groups is None else (len(set(groups)), "groups of images")
    if found >= FEWEST_GROUPS:
        return ""
    return f"{found} validated {units} cannot tell a gain from chance, {FEWEST_GROUPS} can: train more folds"
