"""What an autopilot that is started again may be asked for: the same, from wherever the files are now."""

import shutil
from pathlib import Path

import pytest

from maskfold.autopilot.begun import move_to, same_as_begun
from maskfold.autopilot.log import Log
from maskfold.config import config_yaml, load_config, override
from maskfold.errors import RunError
from maskfold.runs import Run


def test_other_folds_are_refused_and_other_places_are_not(tmp_path, tiny):
    log = Log(tmp_path, 1)
    same_as_begun(log, tiny)
    same_as_begun(log, override(tiny, {"competition.root": "elsewhere", "optim.lr": 0.5}))
    count = tiny.folds.count
    with pytest.raises(
        RunError, match=rf"begun with other options \(folds.count: {count} -> {count + 2}\): go on with"
    ):
        same_as_begun(log, override(tiny, {"folds.count": count + 2}))
    with pytest.raises(RunError, match=r"competition.profile: tianchi-buildings -> png-masks"):
        same_as_begun(log, override(tiny, {"competition.profile": "png-masks"}))


def test_trainings_and_runs_follow_the_files(tmp_path, tiny, drawn, monkeypatch):
    """A run that was begun goes on with the folder's new place: that is no other config."""
    monkeypatch.chdir(tmp_path)
    begun, planned = Run.create(tiny, Path("runs")), Path("larger.yaml")
    Path("first.yaml").write_text(config_yaml(tiny))
    planned.write_text(config_yaml(tiny))
    log = Log(tmp_path, 1)
    known = {"config": "first.yaml", "run": "runs/tiny"}, {"config": str(planned), "run": "runs/tiny_larger"}
    log.facts["trainings"] = dict(zip(("first", "larger"), known, strict=True))
    moved = shutil.copytree(drawn, tmp_path / "moved")
    move_to(moved, log)
    assert load_config(Path("first.yaml")).competition.root == moved
    assert load_config(planned).competition.root == moved
    assert Run.open(begun.path).competition().root == moved
    assert not Path("runs/tiny_larger").exists(), "it was not begun"
