"""The choice among ways to train, on steps whose length is made up."""

import pytest

from maskfold.training.fastest import STEPS, fastest


class Scripted:
    """A trial whose steps take what is written down."""

    def __init__(self, seconds, *, fails=False):
        self.seconds, self.fails, self.steps = iter(seconds), fails, 0

    def batch(self, images):
        return {"id": ["a"] * images}

    def step_seconds(self, batch):
        assert batch == {"id": ["a"] * 3}
        if self.fails:
            raise RuntimeError("no compiler\nand a long story")
        self.steps += 1
        return next(self.seconds)


def steady(seconds, *, first=50.0):
    """Two steps to warm up, then the same all along, but for a hiccup now and then."""
    return Scripted([first, first, *([seconds, seconds, 9 * seconds] * STEPS)])


@pytest.mark.parametrize(
    ("usual", "other", "chosen"), [(1.0, 0.97, "other"), (1.0, 0.99, "usual"), (1.0, 1.5, "usual")]
)
def test_another_way_has_to_be_clearly_faster(usual, other, chosen):
    trials = {"usual": steady(usual), "other": steady(other, first=400.0)}
    assert fastest(trials, 3) == chosen
    assert [trial.steps for trial in trials.values()] == [STEPS + 2] * 2


def test_a_way_that_fails_is_left_out():
    trials = {"usual": steady(1.0), "broken": Scripted([], fails=True), "fast": steady(0.5)}
    assert fastest(trials, 3) == "fast"
    alone = {"usual": steady(1.0), "broken": Scripted([], fails=True)}
    assert fastest(alone, 3) == "usual"
    assert alone["usual"].steps == 2, "there is nothing to compare"
    with pytest.raises(RuntimeError, match="no compiler"):
        fastest({"usual": Scripted([], fails=True), "fast": steady(0.5)}, 3)
