"""What the autopilot makes of a rung, and of the time for a training: steps that only say how they end."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from maskfold.autopilot import Autopilot, compare, pilot
from maskfold.autopilot.budget import Needs, for_training
from maskfold.autopilot.compare import Gain
from maskfold.autopilot.ladder import Rung
from maskfold.autopilot.log import Log
from maskfold.autopilot.train import Training
from maskfold.config import Config

NEEDS = Needs(command=4, end=10, tune=8, predict=6, folds=2, views=4)
OWN = Needs(command=4, end=20, tune=80, predict=60, folds=2, views=4)
BOTH = NEEDS.beside(OWN)


class Pilot:
    """An autopilot of an hour whose first network of two folds is trained, and what a rung makes it do."""

    def __init__(self, folder, monkeypatch):
        self.log, self.hours, self.base, self.done = Log(folder, 1.0), 1.0, Config(name="mine"), []
        self.log.facts = {"trainings": {"first": {"seconds": 500.0, "config": "first.yaml"}}, "plan": {"costs": {}}}
        self.first, self.gain, self.trained = Training("first", Path("runs/mine"), [], [0, 1]), True, [0, 1]
        self.folds, self.submission = [0, 1], folder / "mine.csv"
        self.competition = SimpleNamespace(labels=None, samples=lambda split: [])
        monkeypatch.setattr(Training, "finished", lambda training: self.trained)
        for name in ("train_folds", "tune", "predict"):
            monkeypatch.setattr(pilot, name, self._step(name))
        monkeypatch.setattr(pilot, "compare", lambda new, old: Gain(self.gain, f"{len(new)} against {len(old)}"))

        def label(log, step, name, words, *, until):
            self.done.append((name, words[1 : words.index("--out")], round(until)))
            return True

        monkeypatch.setattr(pilot, "run_command", label)

    def _step(self, name):
        def step(log, what, *rest, until=None, whole=None):
            needs = next(each for each in rest if isinstance(each, Needs))
            self.done.append((name, needs, None if until is None else round(until)))
            return True

        return step

    def _measured(self, rung, config, folds, *, seconds):
        self.config, self.seconds = config, seconds
        self.log.facts["trainings"][rung] = {"run": f"runs/mine_{rung}", "needs": asdict(OWN)}
        return Training(rung, Path(f"runs/mine_{rung}"), [], self.folds), OWN

    def _try(self, *asked):
        return Autopilot._try(self, *asked)

    def try_rung(self, **changes):
        """A rung's end."""
        rung = Rung("second", "why", **changes)
        self._try(rung, Config(), [self.first.run], self.first, NEEDS)
        return self.log.step("second")


@pytest.fixture
def flying(tmp_path, monkeypatch):
    return Pilot(tmp_path, monkeypatch)


def test_a_rung_that_gains_predicts_with_time_for_both_networks(flying):
    step = flying.try_rung(share=0.5)
    assert (step.ended, step.note) == ("kept", "2 against 1")
    until = round(flying.log.last - BOTH.after())
    assert flying.done == [("train_folds", OWN, until), ("tune", BOTH, None), ("predict", BOTH, None)]
    assert flying.seconds == 250, "half of what the first network took"


def test_a_rung_without_a_gain_does_not_predict(flying):
    flying.gain = False
    assert flying.try_rung().ended == "dropped"
    assert [name for name, *_ in flying.done] == ["train_folds", "tune"]


def test_a_rung_that_lacks_folds_is_not_compared(flying):
    flying.trained = [0]
    assert flying.try_rung().ended == "dropped"
    assert [name for name, *_ in flying.done] == ["train_folds"]
    flying.folds = [0]
    assert flying.try_rung().ended == "skipped"


@pytest.mark.parametrize(("used", "ended"), [(2700, "kept"), (2760, "skipped")])
def test_a_rung_needs_its_share_of_the_hours_beside_what_follows(flying, used, ended):
    """Of 3546 s 276 are for what follows, as if both networks took what the first one does; 540 are the least."""
    assert NEEDS.beside(NEEDS).after() == 276
    flying.log._before = used
    assert flying.try_rung().ended == ended


def test_a_rung_that_was_begun_goes_on_with_less_time(flying):
    flying.log._before = 2760
    flying.log.facts["trainings"]["second"] = {}
    assert flying.try_rung().ended == "kept"


def test_pseudo_labels_are_made_by_all_that_is_kept_and_trained_on(flying):
    flying.try_rung(labels=True)
    name, runs, until = flying.done[0]
    left = flying.log.last - NEEDS.beside(NEEDS).after()
    assert (name, runs, until) == ("pseudo-label", ["runs/mine"], pytest.approx(left / 2, abs=2))
    assert flying.config.data.extra == (pilot.PSEUDO / "mine_autopilot",)


def test_what_is_kept_stays_on_the_ladder(flying, monkeypatch):
    """Two rungs that gain: the second of them is compared with the first one, of folds that were trained alone."""
    tried = []

    def attempt(rung, config, kept, first, needs):
        tried.append((rung.name, [path.name for path in kept], first.folds, needs))
        flying.log.facts["trainings"][rung.name] = {"run": f"runs/mine_{rung.name}", "needs": asdict(OWN)}
        flying.log.end(rung.name, "gains", ended="dropped" if rung.name == "b" else "kept")

    flying._try, flying.trained = attempt, [1]
    monkeypatch.setattr(pilot, "rungs", lambda *_, **__: [Rung(name, "") for name in "abc"])
    monkeypatch.setattr(pilot, "too_few", lambda *_: "")
    monkeypatch.setattr(pilot, "load_config", lambda path: Config())
    monkeypatch.setattr(pilot.Run, "open", lambda path: path)
    Autopilot._climb(flying, flying.first, NEEDS)
    assert tried == [
        ("a", ["mine"], [1], NEEDS),
        ("b", ["mine", "mine_a"], [1], BOTH),
        ("c", ["mine", "mine_a"], [1], BOTH),
    ]


@pytest.mark.parametrize(("most", "steps"), [(None, 90), (4, 20), (40, 90)])
def test_a_training_fits_its_time_and_no_more_than_is_worth_it(flying, monkeypatch, most, steps):
    """Of three folds two fit, for which alone the steps to come are counted."""
    asked = []

    def fits(*what):
        asked.append(what)
        return 2, 90

    def needs(command, folds):
        return Needs(command, end=10, tune=8 * folds, predict=6, folds=folds, views=4)

    found = SimpleNamespace(needs=needs, steps=fits, fold=lambda steps: 3.0 * steps, steps_of=lambda epochs: 5 * epochs)
    monkeypatch.setattr(pilot, "timed", lambda config, longest: found)
    flying.command, flying._written = 4.0, lambda rung, found, steps: f"{rung}_{steps}.yaml"
    flying.log.facts = {}
    training, after = Autopilot._measured(flying, "first", Config(), range(3), most=most)
    assert (training.folds, after) == ([0, 1], needs(4.0, 2))
    assert training.words == ["--config", f"first_{steps}.yaml", "--name", "mine"]
    assert flying.log.facts["trainings"]["first"]["seconds"] == 2 * 3 * steps
    assert asked == [(pytest.approx(for_training(flying.log.last, needs(4.0, 3)), abs=2), 3, 4.0)]


def compared(monkeypatch, gains, groups):
    old = np.linspace(0.2, 0.6, len(gains))
    metric = SimpleNamespace(name="dice", score=lambda rows: rows[..., 0].mean(-1))
    found = {
        runs: SimpleNamespace(stats=values[:, None], score=values.mean(), metric=metric, groups=groups)
        for runs, values in ((("a", "b"), old + gains), (("a",), old))
    }
    monkeypatch.setattr(compare.Run, "open", lambda path: path)
    monkeypatch.setattr(compare, "evaluate", lambda runs: found[tuple(runs)])
    return compare.compare(["a", "b"], ["a"])


def test_a_gain_is_the_candidates_over_the_reference_and_over_groups(monkeypatch):
    gains = np.array([0.1] * 9 + [-0.05] * 3)
    found = compared(monkeypatch, gains, None)
    assert found.real
    assert found.text.startswith("out-of-fold dice 0.4000 -> 0.4625, +0.0625 (+0.0")
    assert not compared(monkeypatch, -gains, None).real
    assert not compared(monkeypatch, gains, ["a"] * 9 + ["b"] * 3).real, "one of two scenes is worse"
