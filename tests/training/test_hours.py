"""How many steps fit some hours: arithmetic by hand."""

import re
from dataclasses import replace

import pytest

from maskfold.config import Config, override
from maskfold.errors import TrainingError
from maskfold.training.forecast import Pace, Work, hours_for
from maskfold.training.hours import iterations_within, least_steps, length_within, of_length

# Two batches a step, 31 batches an epoch; 10 validation images, one candidate, which leaves maps in four views.
WORK = Work(
    Config(train={"accumulate": 2, "validate_every": 3}), epochs=9, batches_per_epoch=30, batches=270, valid_images=10
)
PACE = Pace(batch=0.5, image=2, plain=0.25, saving=0.125, start=3)


def takes(steps):
    epochs = -(-steps // 15)
    check = 10 * (2 + 0.25)  # all ten are in the first two batches
    return 3 + check + steps * 2 * 0.5 + epochs * 0.125 + -(-epochs // 3) * 10 * 0.25 + 10 * 0.25 + 10 * 2


@pytest.mark.parametrize("steps", [15, 16, 47, 400])
def test_a_length_is_forecast(steps):
    assert of_length(WORK, steps, PACE).fold == pytest.approx(takes(steps))


def test_an_end_before_the_schedules_does_not_make_every_length_fit():
    short = replace(WORK, config=override(WORK.config, {"train.max_hours": 0.001}))
    assert iterations_within(3000.3, short, PACE) == iterations_within(3000.3, WORK, PACE) < 3000


@pytest.mark.parametrize("seconds", [90, 91.7, 200, 3000.3])
def test_the_most_steps_that_fit(seconds):
    steps = iterations_within(seconds, WORK, PACE)
    assert takes(steps) <= 0.95 * seconds < takes(steps + 1)


def test_nothing_fits_below_the_shortest_training():
    assert least_steps(WORK) == 15  # an epoch
    assert least_steps(Work(Config(), epochs=1, batches_per_epoch=500, batches=500, valid_images=1)) == 20
    assert iterations_within(takes(15) / 0.95 + 0.01, WORK, PACE) == 15
    assert iterations_within(takes(15) / 0.95 - 0.01, WORK, PACE) == 0


def test_folds_share_the_hours_that_are_left():
    assert length_within(0.5, 300, 4, WORK, PACE) == iterations_within(375, WORK, PACE)


def test_folds_that_do_not_fit_are_said_before():
    shortest = takes(15) / 0.95
    hours = (100 + 3.2 * shortest) / 3600
    message = (
        r"room for 3 of 5 folds: the shortest training, of 15 steps, takes 69 s .* train 3 of them \(--folds\), give"
    )
    with pytest.raises(TrainingError, match=message + r" 0\.13 hours"):
        length_within(hours, 100, 5, WORK, PACE)
    with pytest.raises(TrainingError, match=r"room for 0 of 1 fold: .* out-of-fold maps; give 0\.02 hours, or lower"):
        length_within(0.001, 0, 1, WORK, PACE)


def test_the_hours_that_are_advised_are_not_refused_again():
    for folds in range(1, 30):
        with pytest.raises(TrainingError) as refused:
            length_within(0.001, 1, folds, WORK, PACE)
        advised = float(re.search(r"give (\S+) hours", str(refused.value))[1])
        assert length_within(advised, 1, folds, WORK, PACE) >= 15
        assert advised < 1.1 * (folds * takes(15) / 0.95 + 1) / 3600, "hardly more than are needed"
    assert (hours_for(3600 * 121.5), hours_for(36.1)) == ("130", "0.011")
