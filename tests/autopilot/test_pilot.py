"""The autopilot's way from the files to a submission, interrupted and continued."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maskfold.autopilot import Autopilot, after, pilot, train
from maskfold.autopilot.compare import Gain
from maskfold.autopilot.length import Timed
from maskfold.autopilot.log import Log
from maskfold.cli.doorways import command
from maskfold.competitions import open_competition
from maskfold.competitions.validate import validate_submission
from maskfold.config import load_config, override
from maskfold.ensembling.choice import read_ensemble
from maskfold.errors import CompetitionError
from maskfold.planning import fingerprint
from maskfold.runs import Run

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture
def here(tmp_path, monkeypatch, drawn):
    """A folder of its own, two steps for every training, and commands in this process: (calls, config)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fingerprint, "LARGER", ())  # images stay as small as they are
    monkeypatch.setattr(Timed, "steps", lambda self, seconds, folds, needed: (min(folds, 1), 2))
    calls = []

    def run(log, step, name, words, *, until):
        assert until <= log.hours * 3600
        entry = log.step(step)
        entry.command = f"{name} {' '.join(words)}"
        calls.append((step, name))
        monkeypatch.setattr(sys, "argv", [name, *words])
        command(name)()
        entry.ended = "done"
        log.save()
        return True

    for module in (pilot, train, after):
        monkeypatch.setattr(module, "run_command", run)
    keys = {"competition.profile": "tianchi-buildings", "competition.root": drawn, "folds.count": 3}
    return calls, load_config(None, keys, name="mine")


def test_a_test_image_that_was_cut_off_is_told_before_the_hours_begin(here, drawn, tmp_path):
    calls, config = here
    image = shutil.copytree(drawn, tmp_path / "data") / "test_a" / "T003.jpg"
    image.write_bytes(image.read_bytes()[:-500])
    with pytest.raises(CompetitionError, match=r"T003\.jpg is not an image"):
        Autopilot(override(config, {"competition.root": tmp_path / "data"}), 0.2).run()
    assert not calls


@pytest.mark.slow
def test_interrupted_and_continued(here, monkeypatch):
    calls, config = here
    monkeypatch.setattr(pilot, "rungs", lambda *_, **__: [])
    real = pilot.tune
    monkeypatch.setattr(pilot, "tune", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Autopilot(config, 0.2).run()
    assert [name for _, name in calls] == ["train-fold"]
    used = Log.open(Path("runs/autopilot/mine"), 0.2).used
    monkeypatch.setattr(pilot, "tune", real)
    path = Autopilot(config, 0.2, spent=50).run()
    assert [name for _, name in calls] == ["train-fold", "tune", "predict", "report"], "nothing is done twice"
    log = Log.open(Path("runs/autopilot/mine"), 0.2)
    assert log.used > used + 50
    validate_submission(path, open_competition(config.competition))
    text = Path("runs/autopilot/mine/autopilot.md").read_text()
    assert "train-fold --config runs/autopilot/mine/first.yaml --name mine --fold 0" in text
    assert "data.scale" in text
    run = Run.open(Path("runs/mine"))
    trained, tuned = run.fold(0).summary(), read_ensemble(run.ensemble_path)
    assert f"| done | dice {trained['score']:.4f} with {trained['best_checkpoint']} |" in text
    assert f"| done | out-of-fold dice {tuned.scores['before']:.4f} before tuning, {tuned.scores['after']:.4f} " in text
    calls.clear()
    Autopilot(config, 0.2).run()
    assert calls == [], "everything is done"


@pytest.mark.slow
def test_the_ladder_keeps_what_gains(here, monkeypatch):
    calls, config = here
    monkeypatch.setattr(pilot, "RUNG", 0.0)
    wanted = {"second": False, "lovasz": True}
    rungs = pilot.rungs
    monkeypatch.setattr(pilot, "rungs", lambda *a, **k: [rung for rung in rungs(*a, **k) if rung.name in wanted])
    compared = []

    def compare(candidate, reference):
        compared.append(([path.name for path in candidate], [path.name for path in reference]))
        return Gain(wanted[candidate[-1].name.removeprefix("mine_")], "+0.01")

    monkeypatch.setattr(pilot, "compare", compare)
    Autopilot(config, 0.9).run()
    assert compared == [(["mine", "mine_second"], ["mine"]), (["mine", "mine_lovasz"], ["mine"])]
    log = Log.open(Path("runs/autopilot/mine"), 0.9)
    assert [log.step(name).ended for name in wanted] == ["dropped", "kept"]
    assert [name for step, name in calls if step.startswith("lovasz")] == ["train-fold", "tune", "predict"]
    assert "--runs runs/mine runs/mine_lovasz" in log.step("lovasz: predict").command


@pytest.mark.slow
def test_without_time_the_submission_is_valid_all_the_same(here, monkeypatch):
    _, config = here
    monkeypatch.setattr(train, "run_command", lambda *_, **__: False)
    path = Autopilot(config, 0.01).run()
    validate_submission(path, open_competition(config.competition))
    assert Log.open(Path("runs/autopilot/mine"), 0.01).step("empty submission").ended == "done"


@pytest.mark.slow
def test_killed_and_started_again(tmp_path, drawn):
    """A real process, killed with SIGKILL while it trains; the same command goes on."""
    words = ["--hours", "0.014", "--competition.profile", "tianchi-buildings", "--competition.root", str(drawn)]
    started = [sys.executable, str(SRC / "autopilot.py"), *words, "--name", "mine"]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    first = subprocess.Popen(started, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    state, deadline = tmp_path / "runs/autopilot/mine/state.json", time.monotonic() + 200
    while time.monotonic() < deadline and first.poll() is None:
        if state.exists() and json.loads(state.read_text())["child"]:
            break
        time.sleep(0.05)
    if first.poll() is not None:
        pytest.skip("this machine is so busy that the hours were over before a command worked")
    assert json.loads(state.read_text())["child"]
    first.send_signal(signal.SIGKILL)
    first.wait()
    used = json.loads(state.read_text())["used"]
    assert used > 0
    done = subprocess.run(started, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(state.read_text())
    assert found["used"] > used
    validate_submission(
        tmp_path / "submissions/mine.csv",
        open_competition(
            load_config(
                None,
                {
                    "competition.profile": "tianchi-buildings",
                    "competition.root": drawn,
                },
            ).competition
        ),
    )
    assert done.stdout.splitlines()[-1].startswith("Next: python src/evaluate.py --submission submissions/mine.csv")
    if "the hours were used up" in done.stdout:
        pytest.skip("this machine is so busy that the hours were over when the second process had started")
    assert any(step["name"] == "first: train fold 0" and step["ended"] for step in found["steps"])
