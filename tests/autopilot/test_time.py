"""What the autopilot does when steps are late or fail: a clock that is set, commands that only say how they end."""

import json
from types import SimpleNamespace

import pytest
import torch

from maskfold.autopilot import Autopilot, after, pilot, train
from maskfold.autopilot.budget import Needs
from maskfold.autopilot.length import SHORTEST, Timed
from maskfold.autopilot.log import FINISH, Log
from maskfold.autopilot.train import AT_ONCE, Training, train_fold, train_folds
from maskfold.config import Config
from maskfold.errors import TrainingError
from maskfold.training.forecast import Pace, Work

NEEDS = Needs(command=4, end=10, tune=8, predict=6, folds=3, views=4)
PREDICTING = 2 * (4 + 72) + 2 * (4 + 6)


class World:
    """Time that passes only in commands, and folds that are trained when a command says so."""

    def __init__(self, folder, monkeypatch):
        self.log, self.now, self.calls, self.script, self.trained = Log(folder, 1000 / 3600), 0.0, [], [], [0, 1]
        self.log.time_used = lambda: self.now
        for module in (train, after):
            monkeypatch.setattr(module, "run_command", self.run)
            monkeypatch.setattr(module, "Run", lambda path: self)
        self.ensemble_path = folder / "ensemble.yaml"
        tuned = {self.ensemble_path: SimpleNamespace(scored="dice 0.8000 before tuning")}
        monkeypatch.setattr(after, "read_ensemble", tuned.__getitem__)

    def finished_folds(self):
        return self.trained

    def fold(self, number):
        return SimpleNamespace(
            finished=lambda: number in self.trained,
            load_state=lambda: {"seconds": 30},
            summary=lambda: {"metric": "dice", "score": 0.7 + number, "best_checkpoint": "ema"},
        )

    def run(self, log, step, name, words, *, until):
        """The next entry of the script: seconds that it takes, and whether it fails."""
        seconds, good = self.script.pop(0) if self.script else (1, True)
        late = self.now + seconds > until
        self.now = min(self.now + seconds, until)
        entry = log.step(step)
        entry.ended = "out of time" if late else "done" if good else "failed"
        self.calls.append((step, list(words), until))
        return entry.ended == "done"


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def training(folds=2):
    return Training("first", "runs/a", ["--config", "a.yaml"], range(folds))


def test_a_fold_stops_itself_before_it_is_ended(world):
    train_fold(world.log, training(), 0, NEEDS, seconds=100, latest=900)
    ((step, words, until),) = world.calls
    # 100 s less the command's start and what follows the last epoch; 30 s were trained before. It is ended when it
    # takes as long again for these two.
    assert (step, words[-3:], until) == ("first: train fold 0", ["0", "--train.max_hours", f"{116 / 3600:.6f}"], 114)


def test_a_fold_that_is_late_keeps_its_best_epoch(world):
    world.script = [(500, True), (1, True)]
    train_fold(world.log, training(), 0, NEEDS, seconds=100, latest=900)
    assert [(words[-1], until) for _, words, until in world.calls][1:] == [(f"{AT_ONCE:f}", 900)]
    assert world.now == 115


def test_a_late_fold_leaves_time_for_its_scores(world):
    """Twice 14 s to start and to score, before the last moment at which a network could still predict."""
    train_fold(world.log, training(), 0, NEEDS, seconds=100, latest=130)
    train_fold(world.log, training(), 1, NEEDS, seconds=100, latest=140)
    assert [until for _, _, until in world.calls] == [102, 1 + 111]


def test_no_second_attempt_of_what_failed_or_could_not_predict_any_more(world):
    world.script = [(5, False)]
    train_fold(world.log, training(), 0, NEEDS, seconds=100, latest=900)
    assert len(world.calls) == 1
    world.script = [(5000, True)]
    train_fold(world.log, training(), 1, NEEDS, seconds=100, latest=108)
    assert len(world.calls) == 2


def test_folds_share_what_is_left_and_a_network_still_predicts(world):
    world.trained = []
    assert not train_folds(world.log, training(2), NEEDS, until=208)
    # Half of 208 s; a second later all that is left; each less 14 s for start and end, and 30 s were trained before.
    assert [words[-1] for _, words, _ in world.calls] == [f"{seconds / 3600:.6f}" for seconds in (104 + 16, 207 + 16)]
    world.calls.clear()
    world.script = [(5000, True)]
    train_folds(world.log, training(1), NEEDS, until=970)
    assert len(world.calls) == 1, "from 965 s on a network predicts: what was late has no second attempt"


def test_later_folds_are_left_out_where_no_time_is_left(world):
    world.now = 195.0
    world.log.step("first: train fold 0").ended, world.trained = "done", [0]
    assert train_folds(world.log, training(2), NEEDS, until=208)
    assert world.calls == []
    assert Log.open(world.log.folder, world.log.hours).step("first: train fold 1").ended == "skipped", "written down"


def test_a_fold_that_was_finished_after_the_autopilot_was_killed_is_not_begun_again(world):
    world.trained, world.now = [0], 100.0
    world.log.begin("first: train fold 0", "train-fold …")
    assert train_folds(world.log, training(1), NEEDS, until=208)
    step = world.log.step("first: train fold 0")
    assert (world.calls, step.ended, step.note) == ([], "done", "dice 0.7000 with ema")


def test_tuning_leaves_both_predictions_their_time(world):
    until = 1000 * FINISH - PREDICTING
    assert after.tune(world.log, ["runs/a"], NEEDS)
    assert world.calls[0][2] == pytest.approx(until)
    assert world.log.step("first: tune").note == "out-of-fold dice 0.8000 before tuning"
    world.now = until - NEEDS.tuning() + 1
    assert not after.tune(world.log, ["runs/a"], NEEDS)
    assert (len(world.calls), world.log.step("first: tune").ended) == (1, "skipped")


@pytest.mark.parametrize(("ends", "smallest"), [((5000, True), []), ((3, False), ["--inference.batch_size", "1"])])
def test_a_prediction_that_is_late_or_fails_is_followed_by_a_small_one(world, tmp_path, ends, smallest):
    world.now, world.trained, world.script = 800.0, [2, 3], [ends]
    assert after.predict(world.log, ["runs/a"], tmp_path / "s.csv", NEEDS)
    (_, first, until), (step, again, last) = world.calls
    assert "--tta.views" not in first
    assert until == pytest.approx(1000 * FINISH - NEEDS.prediction(1, 1)), "the second one has time"
    assert (step, last) == ("first: predict again", 1000 * FINISH)
    small = ["--folds", "2", "--tta.views", "none", "--untuned"]
    assert again[again.index("--folds") :] == [*small, *smallest], "the first fold that is trained"


def test_with_little_time_the_small_one_has_all_of_it(world, tmp_path):
    world.now = 970.0
    assert after.predict(world.log, ["runs/a"], tmp_path / "s.csv", NEEDS)
    assert world.calls[0][1][-4:] == ["--folds", "0", "--tta.views", "none"]
    assert world.calls[0][2] == 1000 * FINISH


def test_a_rung_predicts_whole_or_not_at_all(world, tmp_path):
    runs = ["runs/a", "runs/a_second"]
    assert after.predict(world.log, runs, tmp_path / "s.csv", NEEDS, "second", whole=True)
    assert world.calls[0][1][-1] == "--overwrite"
    world.now = 990.0 - NEEDS.prediction(3, 4)
    assert not after.predict(world.log, runs, tmp_path / "s.csv", NEEDS, "second", whole=True)
    assert (len(world.calls), world.log.step("second: predict").ended) == (1, "skipped")


def test_a_rung_for_which_no_time_is_left_is_skipped(world):
    world.now = 980.0
    own = SimpleNamespace(log=world.log, hours=world.log.hours)
    Autopilot._try(own, SimpleNamespace(name="larger"), Config(), [], training(), NEEDS)
    step = world.log.step("larger")
    assert (step.ended, step.note) == ("skipped", "0 s are left for it, which is too little")


def test_no_report_at_the_last_moment(world):
    after.report(world.log, "runs/a", NEEDS)
    world.now = 980.0
    after.report(world.log, "runs/a", NEEDS)
    assert (len(world.calls), world.log.step("report").ended) == (1, "skipped")


WORK = Work(Config(), epochs=9, batches_per_epoch=10, batches=90, valid_images=7, test_images=5)
PACE = Pace(batch=1.0, image=2.0, plain=0.5, start=3.0)
TIMED = Timed(Config(train={"accumulate": 2}), WORK, PACE, map_pixels=1000)


def test_fewer_folds_where_not_all_fit():
    one = TIMED.fold(10) / 0.95 + 4  # ten steps are an epoch, the shortest training
    assert TIMED.steps(3.01 * one, 3, 4)[0] == 3
    assert TIMED.steps(2.5 * one, 3, 4)[0] == 2
    assert TIMED.steps(0.5 * one, 3, 4) == (1, SHORTEST)
    assert TIMED.steps_of(4) == 20


def test_what_follows_a_measured_training():
    needs = TIMED.needs(4.0, 3)
    assert (needs.end, needs.predict, needs.folds) == (WORK.end(PACE), 5 * 0.5, 3)
    assert needs.tune == pytest.approx(3 * 7 * 2 * 1000 * 4e-7)


@pytest.fixture
def failing(tiny, tmp_path, monkeypatch):
    """An autopilot whose first network is planned, and whose prediction does not work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        Autopilot, "_plan", lambda self: self.log.facts.update(plan={"folds": 1, "epochs": 1, "enough": False})
    )
    monkeypatch.setattr(pilot, "load_config", lambda *_, **__: tiny)
    monkeypatch.setattr(Autopilot, "_measured", lambda *_, **__: (training(1), NEEDS))
    monkeypatch.setattr(Autopilot, "_folds", lambda *_: None)
    monkeypatch.setattr(pilot, "train_folds", lambda *_, **__: True)
    monkeypatch.setattr(pilot, "tune", lambda *_: True)

    def predict(log, *_):
        log.end("first: predict", "no room on the disk", ended="failed")
        return False

    monkeypatch.setattr(pilot, "predict", predict)
    return lambda: Autopilot(tiny.model_copy(update={"name": "mine"}), 1.0).run()


def test_what_failed_once_is_tried_again_and_is_no_success_the_second_time(failing, tmp_path):
    for _ in range(2):
        with pytest.raises(TrainingError, match="no room on the disk"):
            failing()
        state = json.loads((tmp_path / "runs/autopilot/mine/state.json").read_text())
        assert "submission" not in [step["name"] for step in state["steps"]]
    assert (tmp_path / "submissions/mine.csv").exists(), "empty, in case that time runs out"


def test_a_network_that_does_not_fit_the_memory_leaves_an_empty_submission(failing, tmp_path, monkeypatch):
    def measured(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Autopilot, "_measured", measured)
    failing()
    assert (tmp_path / "submissions/mine.csv").exists()
    assert "CUDA out of memory: all masks are empty" in (tmp_path / "runs/autopilot/mine/autopilot.md").read_text()


@pytest.fixture
def flight(tiny, tmp_path, monkeypatch):
    """An autopilot of two folds, whose steps only say what they would do: (what was done, folds that are trained)."""
    done, trained = [], []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        Autopilot, "_plan", lambda self: self.log.facts.update(plan={"folds": 2, "epochs": 1, "enough": False})
    )

    def measured(self, rung, config, folds, **_):
        self.log.facts.setdefault("trainings", {})[rung] = {"config": "first.yaml", "run": "runs/mine"}
        return Training(rung, tmp_path, [], list(folds)), NEEDS

    monkeypatch.setattr(Autopilot, "_measured", measured)
    monkeypatch.setattr(Autopilot, "_folds", lambda *_: None)
    monkeypatch.setattr(Autopilot, "_climb", lambda self, first, needs: done.append(("climb", first.finished())))
    monkeypatch.setattr(Training, "finished", lambda self: sorted(trained))
    monkeypatch.setattr(pilot, "load_config", lambda *_, **__: tiny)
    monkeypatch.setattr(pilot, "move_to", lambda *_: None)
    monkeypatch.setattr(pilot, "report", lambda *_: done.append(("report", sorted(trained))))
    monkeypatch.setattr(pilot, "tune", lambda *_: done.append(("tune", sorted(trained))) or True)
    monkeypatch.setattr(pilot, "predict", lambda *_, whole=False: done.append(("predict", whole)) or True)
    return done, trained, lambda: Autopilot(tiny.model_copy(update={"name": "mine"}), 1.0).run()


@pytest.mark.parametrize(("enough", "most"), [(True, 7), (False, None)])
def test_the_plans_epochs_are_a_limit_only_where_more_gain_nothing(flight, monkeypatch, enough, most):
    _, _, fly = flight
    asked = []

    def measured(self, rung, config, folds, *, most=None):
        asked.append((list(folds), most))
        raise TrainingError("this is all")

    facts = {"folds": 2, "epochs": 7, "enough": enough}
    monkeypatch.setattr(Autopilot, "_plan", lambda self: self.log.facts.update(plan=facts))
    monkeypatch.setattr(Autopilot, "_measured", measured)
    fly()
    assert asked == [([0, 1], most)]


def test_a_plan_is_for_the_hours_that_are_left(tmp_path, monkeypatch):
    asked = []

    def plan(config, hours, path, **options):
        asked.append((hours, options))
        network = SimpleNamespace(name="a network")
        values = {"train.epochs": SimpleNamespace(value=7, why="room for it")}
        option = SimpleNamespace(folds=3, network=network, scale=0.5)
        return SimpleNamespace(option=option, values=values, enough=True, costs={"a network": 1.5})

    monkeypatch.setattr(pilot, "plan", plan)
    log = Log(tmp_path, 1.0, used=1800)
    own = SimpleNamespace(log=log, config_path=tmp_path / "p.yaml", flags=(), hours=1.0, base=None)
    Autopilot._plan(own)
    assert asked == [(pytest.approx(FINISH - 0.5, abs=0.01), {"overwrite": True, "shortest": True})]
    reasons = ["train.epochs 7: room for it"]
    expected = {"folds": 3, "epochs": 7, "enough": True, "costs": {"a network": 1.5}, "reasons": reasons}
    assert Log.open(tmp_path, 1.0).facts["plan"] == expected


def test_a_fold_that_failed_is_trained_again_before_the_ladder_and_predicts(flight, monkeypatch):
    done, trained, fly = flight
    fails = iter([[0], [0, 1]])
    monkeypatch.setattr(pilot, "train_folds", lambda *_, **__: trained.extend({*next(fails)} - {*trained}) or True)
    fly()
    first, second = [("tune", [0]), ("predict", False)], [("tune", [0, 1]), ("predict", True)]
    assert done == [*first, *second, ("report", [0, 1]), ("climb", [0, 1])]


def test_a_fold_that_fails_again_changes_nothing_and_is_tried_when_started_again(flight, monkeypatch):
    done, trained, fly = flight
    fails = iter([[0], [], [1]])
    monkeypatch.setattr(pilot, "train_folds", lambda *_, **__: trained.extend(next(fails)) or True)
    fly()
    assert done == [("tune", [0]), ("predict", False), ("report", [0]), ("climb", [0])]
    done.clear()
    fly()
    assert done == [("tune", [0, 1]), ("predict", True), ("report", [0, 1]), ("climb", [0, 1])]
