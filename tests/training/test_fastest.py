"""The choice among ways to train, on steps whose length is made up."""

from contextlib import contextmanager

import pytest
import torch

from maskfold.training.fastest import STEPS, fastest


class Scripted:
    """A trial whose steps take what is written down."""

    def __init__(self, seconds, *, error=None):
        self.seconds, self.error, self.steps, self.freed = iter(seconds), error, 0, 0

    def batch(self, images):
        return {"id": ["a"] * images}

    def free(self):
        self.freed += 1

    def step_seconds(self, batch):
        assert batch == {"id": ["a"] * 3}
        if self.error is not None:
            raise self.error
        self.steps += 1
        return next(self.seconds)


def steady(seconds, *, first=50.0):
    """Two steps to warm up, then the same all along, but for a hiccup now and then."""
    return Scripted([first, first, *([seconds, seconds, 9 * seconds] * 2 * STEPS)])


def without_compiler():
    return Scripted([], error=RuntimeError("no compiler\nand a long story"))


def chosen(trials):
    """What is chosen, of three images; no more than two trainings are ever open."""
    open_now = []

    @contextmanager
    def opened(way):
        open_now.append(way)
        assert len(open_now) <= 2, f"{open_now} fill the memory together"
        try:
            yield trials[way]
        finally:
            open_now.remove(way)

    way = fastest(list(trials), opened, 3)
    assert open_now == []
    return way


@pytest.mark.parametrize(
    ("usual", "other", "wanted"), [(1.0, 0.97, "other"), (1.0, 0.99, "usual"), (1.0, 1.5, "usual")]
)
def test_another_way_has_to_be_clearly_faster(usual, other, wanted):
    trials = {"usual": steady(usual), "other": steady(other, first=400.0)}
    assert chosen(trials) == wanted
    assert [trial.steps for trial in trials.values()] == [STEPS + 2] * 2


def test_each_way_is_compared_with_the_usual_steps_beside_it():
    """The machine became twice as fast while the second way was tried."""
    usual = Scripted([50.0, 50.0, *[1.0] * STEPS, *[0.5] * STEPS])
    assert chosen({"usual": usual, "first": steady(0.8), "second": steady(0.45)}) == "first"


def test_a_way_that_fails_is_left_out():
    trials = {"usual": steady(1.0), "broken": without_compiler(), "fast": steady(0.5)}
    assert chosen(trials) == "fast"
    alone = {"usual": steady(1.0), "broken": without_compiler()}
    assert chosen(alone) == "usual"
    assert alone["usual"].steps == 2, "there is nothing to compare"
    assert chosen({"usual": steady(1.0)}) == "usual"
    with pytest.raises(RuntimeError, match="no compiler"):
        chosen({"usual": without_compiler(), "fast": steady(0.5)})


def test_a_way_without_room_beside_the_usual_one_is_left_out():
    """Whichever of the two it is that finds no memory; what they had is given back."""

    def later(error):
        yield from [50.0, 50.0, 0.1, 0.1]
        raise error

    full = torch.OutOfMemoryError("CUDA out of memory.")
    trials = {"usual": steady(1.0), "large": Scripted(later(full)), "fast": steady(0.5)}
    assert chosen(trials) == "fast"
    assert trials["usual"].freed == 1

    class Crowded(Scripted):
        def step_seconds(self, batch):
            if self.steps == 4 and not self.freed:
                raise full
            return super().step_seconds(batch)

    crowded = Crowded([50.0, 50.0, *[1.0] * 2 * STEPS])
    assert chosen({"usual": crowded, "large": steady(0.5), "fast": steady(0.6)}) == "fast"
