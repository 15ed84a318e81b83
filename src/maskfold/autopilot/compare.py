"""Whether a further network gains anything out of fold."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskfold.metrics import paired_bootstrap
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
