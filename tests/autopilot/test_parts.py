"""Parts of the autopilot: its log, its commands, its budget, the ladder's rungs, the page."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from maskfold.autopilot import command, compare
from maskfold.autopilot import log as log_module
from maskfold.autopilot.alarm import ended_after
from maskfold.autopilot.budget import Needs, cheapest_options, for_training, prediction_options
from maskfold.autopilot.command import run_command
from maskfold.autopilot.compare import too_few
from maskfold.autopilot.empty import write_empty
from maskfold.autopilot.ladder import rungs
from maskfold.autopilot.log import FINISH, Log, Step
from maskfold.autopilot.page import page
from maskfold.competitions import open_competition
from maskfold.config import Config, override
from maskfold.errors import RunError, StorageError, TrainingError
from maskfold.labels import LabelSpec
from maskfold.losses import build_loss
from maskfold.planning.networks import table
from maskfold.runs import Run

BINARY = LabelSpec("binary", ("a",))
LITE = "tu-tf_efficientnet_lite"


def test_the_time_of_a_killed_process_counts(tmp_path):
    log = Log.open(tmp_path, 0.5, spent=7)
    assert 7 <= log.time_used() < 8
    log._since -= 100
    log.step("plan").ended = "done"
    log.facts["plan"] = {"folds": 2}
    log.save()
    again = Log.open(tmp_path, 0.5, spent=3)
    assert 110 <= again.time_used() < 111
    assert again.time_left() == pytest.approx(FINISH * 1800 - 110, abs=1)
    assert (again.ended("plan"), again.ended("tune"), again.facts) == (True, False, {"plan": {"folds": 2}})


def test_the_time_is_noted_while_a_step_works_in_this_process(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "BEAT", 0.02)
    log = Log(tmp_path, 1)
    with log.beating():
        log.facts["half"] = object()  # what the step has not saved yet is nobody's business
        log._since -= 50
        deadline = time.monotonic() + 10
        while Log.open(tmp_path, 1).used < 50 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert 50 <= Log.open(tmp_path, 1).used < 60
    assert Log.open(tmp_path, 1).facts == {}


def test_a_full_disk_does_not_end_the_notes_of_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "BEAT", 0.02)
    log, write = Log(tmp_path, 1), log_module.write_file
    full = iter([False, True, True])  # the note at the start, and two of the beats

    def sometimes(path, content):
        if next(full, False):
            raise StorageError("the disk is full")
        write(path, content)

    monkeypatch.setattr(log_module, "write_file", sometimes)
    with log.beating():
        log._since -= 50
        deadline = time.monotonic() + 10
        while Log.open(tmp_path, 1).used < 50 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert 50 <= Log.open(tmp_path, 1).used < 60


def test_other_hours_and_damaged_files_are_refused(tmp_path):
    Log.open(tmp_path, 0.5).save()
    with pytest.raises(RunError, match=r"was begun with --hours 0\.5: go on with these, or give another --name"):
        Log.open(tmp_path, 0.6)
    (tmp_path / "state.json").write_text('{"hours": 0.5')
    with pytest.raises(RunError, match=r"state\.json is damaged .* remove"):
        Log.open(tmp_path, 0.5)


@pytest.fixture
def program(monkeypatch):
    """``program(code)``: what commands run instead of maskfold's."""
    return lambda code: monkeypatch.setattr(command, "_program", lambda name: [sys.executable, "-c", code])


def test_commands_are_noted_with_their_end(tmp_path, program, capsys):
    log = Log(tmp_path, 1)
    program("import sys; print(sys.argv[1:])")
    assert run_command(log, "tune", "tune", ["--runs", "runs/a b"], until=100)
    program("import sys; sys.exit('warning\\nerror: there is no run')")
    assert not run_command(log, "predict", "predict", [], until=100)
    found = Log.open(tmp_path, 1).steps
    assert [(step.name, step.ended, step.note) for step in found] == [
        ("tune", "done", ""),
        ("predict", "failed", "there is no run"),
    ]
    assert found[0].command.endswith("tune.py --runs 'runs/a b'")
    assert "of 3600] python src/tune.py" in capsys.readouterr().out


def test_a_command_is_ended_in_time(tmp_path, program):
    log = Log(tmp_path, 1)
    program("import time; time.sleep(60)")
    started = time.monotonic()
    assert not run_command(log, "train", "train-fold", [], until=0.5)
    assert time.monotonic() - started < 10
    assert log.step("train").ended == "out of time"
    assert log.child is None


def test_the_command_of_a_killed_autopilot_is_ended(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    log = Log(tmp_path, 1)
    log.child = (child.pid, psutil.Process(child.pid).create_time())
    log.save()
    Log.open(tmp_path, 1).end_child()
    assert not psutil.pid_exists(child.pid)
    log.child = (psutil.Process().pid, 1.0)  # a number that another process has now
    log.save()
    Log.open(tmp_path, 1).end_child()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_what_this_process_does_is_interrupted_in_time():
    before, outer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0]
    started = time.monotonic()
    with pytest.raises(TrainingError, match="the hours were over"), ended_after(0.05):
        time.sleep(30)
    assert time.monotonic() - started < 10
    with pytest.raises(TrainingError), ended_after(-1):
        pytest.fail("no time was left")
    with ended_after(100):
        pass
    # A timer that was there before, such as that of the tests' own time limit, goes on.
    assert signal.getsignal(signal.SIGALRM) is before
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    assert (left > 0) == (outer > 0)
    assert left <= outer


NEEDS = Needs(command=4, end=10, tune=8, predict=6, folds=3, views=4)


def test_what_is_kept_for_the_steps_after_training():
    assert NEEDS.prediction(3, 4) == 2 * (4 + 72), "also on a machine that is twice as slow as it was"
    assert NEEDS.predicting() == 2 * (4 + 72) + 2 * (4 + 6), "a second attempt has its time"
    assert NEEDS.after() == 2 * (4 + 8) + 2 * (4 + 72) + 2 * (4 + 6) + 4
    assert NEEDS.ending() == 2 * (4 + 10)
    assert for_training(1000, NEEDS) == 1000 - NEEDS.after()
    assert for_training(250, NEEDS) == 125, "half of it is trained with in any case"


def test_two_networks_need_the_sum():
    both = NEEDS.beside(Needs(command=4, end=1, tune=80, predict=60, folds=3, views=4))
    assert both.tuning() == 2 * (4 + 88)
    assert both.prediction(1, 1) == 2 * (4 + 66)


def test_prediction_makes_do_with_what_is_left():
    cheapest = cheapest_options(2)
    assert cheapest == ["--folds", "2", "--tta.views", "none"]
    assert prediction_options(152, NEEDS, cheapest) == []
    assert prediction_options(151, NEEDS, cheapest) == ["--tta.views", "none"]
    assert prediction_options(30, NEEDS, cheapest) == cheapest


def test_the_ladder_changes_one_thing_at_a_time():
    config = Config(
        data={"scale": 0.5, "crop": 256},
        optim={"lr": 0.002},
        model={"encoder": "mobilenet_v2"},
        train={"batch_size": 32},
    )
    costs = {"mobilenet_v2 with narrow U-Net": 1.0, f"{LITE}0 with FPN": 1.2, f"{LITE}2 with FPN": 1.6}
    found = {rung.name: rung for rung in rungs(config, BINARY, table(), costs, "runs/a", test=9)}
    assert list(found) == ["second", "larger", "pseudo", "lovasz"]
    second = found["second"].changes
    assert (second["model.encoder"], second["model.architecture"], second["model.options"]) == (f"{LITE}2", "fpn", {})
    assert found["second"].changes["optim.lr"] == 0.003
    assert found["larger"].changes == {
        "model.init_from": "runs/a",
        "optim.lr": 0.001,
        "data.scale": 0.75,
        "data.crop": 384,
        "train.batch_size": 14,
    }
    assert (found["pseudo"].labels, found["pseudo"].changes["model.init_from"]) == (True, "runs/a")
    assert [term["name"] for term in found["lovasz"].changes["loss"]] == ["bce", "lovasz_hinge"]
    for rung in found.values():
        override(config, rung.changes)
    build_loss(found["lovasz"].changes["loss"], BINARY)


@pytest.mark.parametrize(
    ("costs", "encoder", "rate"),
    [
        ({f"{LITE}0 with FPN": 1.2, f"{LITE}2 with FPN": 9.0}, f"{LITE}0", 0.002),
        ({f"{LITE}0 with FPN": 1.2, "tu-resnet34d with narrow U-Net": 1.3}, "tu-resnet34d", 0.0007),
    ],
)
def test_the_second_encoder_is_worth_its_time_and_has_its_own_rate(costs, encoder, rate):
    """A percent of accuracy is half a doubling of the images: 2.7 % do not pay for 7.5 times the seconds."""
    config = Config(optim={"lr": 0.5}, model={"encoder": "mobilenet_v2"}, train={"batch_size": 8})
    changes = rungs(config, BINARY, table(), {"mobilenet_v2 with FPN": 1.0, **costs}, "runs/a", test=0)[0].changes
    assert (changes["model.encoder"], changes["optim.lr"]) == (encoder, rate)


def test_the_same_encoder_has_another_decoder_where_there_is_no_other():
    config = Config(model={"encoder": "resnet18", "architecture": "unet"}, train={"batch_size": 8})
    costs = {f"resnet18 with {name}": 1.0 for name in ("narrow U-Net", "wide U-Net", "FPN")}
    changes = rungs(config, BINARY, table(), costs, "runs/a", test=0)[0].changes
    assert (changes["model.encoder"], changes["model.architecture"]) == ("resnet18", "fpn")


def test_rungs_that_cannot_be_climbed_are_left_out():
    config = Config(data={"scale": 2.0}, model={"encoder": "mobilenet_v2"})
    labels = LabelSpec("multiclass", ("a", "b", "c"))
    found = {
        rung.name: rung
        for rung in rungs(config, labels, table(), {"mobilenet_v2 with narrow U-Net": 1.0}, "runs/a", test=0)
    }
    assert list(found) == ["second", "lovasz"]
    assert found["second"].changes == {"seed": 1}
    build_loss(found["lovasz"].changes["loss"], labels)


def test_weights_of_classes_stay_on_the_ladder():
    weighted = {"name": "cross_entropy", "weight": 0.25, "options": {"class_weights": [0.5, 1.0, 4.0]}}
    config = Config(loss=[weighted, {"name": "jml", "weight": 0.75}], model={"encoder": "mobilenet_v2"})
    labels = LabelSpec("multiclass", ("a", "b", "c"))
    found = rungs(config, labels, table(), {"mobilenet_v2 with narrow U-Net": 1.0}, "runs/a", test=0)[-1]
    assert found.changes["loss"] == [{**weighted, "weight": 0.5}, {"name": "lovasz_softmax", "weight": 0.5}]


def test_the_submission_of_last_resort_is_valid(tiny, tmp_path):
    competition = open_competition(tiny.competition)
    write_empty(competition, tmp_path / "s.csv")
    rows = (tmp_path / "s.csv").read_text().splitlines()
    assert rows == [f"{sample.id}\t" for sample in competition.samples("test")]


def test_the_page_tells_steps_commands_and_reasons(tmp_path):
    log = Log(tmp_path / "mine", 0.1, used=90)
    log.steps = [Step("plan", "python src/plan.py", 3.4, "done", "x | y"), Step("tune")]
    log.facts["plan"] = {"reasons": ["data.scale 0.5: why"]}
    text = page(log, tmp_path / "s.csv")
    assert "| plan | 3 | done | x \\| y |\n| tune | 0 | under way |  |\n" in text
    assert "```sh\npython src/plan.py\n```" in text
    assert "90 of 360 s used (25.0%)" in text
    assert "- data.scale 0.5: why\n" in text
    assert ", not written yet." in text


def test_a_ladder_needs_images_that_can_show_a_gain(tiny, tmp_path, monkeypatch):
    """Eighteen images in six folds: one fold has too few, two have enough, unless they are of two scenes."""
    run = Run.create(override(tiny, {"folds.count": 6}), tmp_path)
    competition, finished = run.competition(), [1]
    monkeypatch.setattr(Run, "finished_folds", lambda self: finished)
    assert too_few(run, competition) == ("3 validated images cannot tell a gain from chance, 6 can: train more folds")
    finished.append(2)
    assert too_few(run, competition) == ""
    monkeypatch.setattr(compare, "groups_of", lambda _, ids, __: [f"scene {place % 2}" for place in range(len(ids))])
    assert "2 validated groups of images cannot tell" in too_few(run, competition)
