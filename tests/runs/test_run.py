"""Run folders: whose config they hold, what may change, what a fold's folder tells."""

import multiprocessing
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
import yaml
from tests.memory_storage import MemoryStorage

from maskfold.competitions import open_competition
from maskfold.config import Config, override
from maskfold.errors import CompetitionError, FoldsError, RunError
from maskfold.runs import Run
from maskfold.runs.checkpoint import weights_to_bytes
from maskfold.runs.history import read_epochs, write_epochs
from maskfold.runs.versions import made_with


@pytest.fixture
def config():
    return Config(name="mine")


def test_a_run_is_made_once_and_found_again(config, tmp_path):
    run = Run.create(config, tmp_path)
    assert run.path == tmp_path / "mine"
    assert Run.open(tmp_path / "mine").config == config
    assert Run.create(config, tmp_path).config == config
    with pytest.raises(RunError, match="is not a run"):
        Run.open(tmp_path / "other")


def begin(run, fold):
    run.fold(fold).save_checkpoint("best", {"a": torch.ones(1)})


def test_another_config_is_refused_once_a_fold_has_begun(config, tmp_path):
    changed = override(config, {"train.epochs": "9", "optim.lr": "0.5"})
    Run.create(config, tmp_path)
    run = Run.create(changed, tmp_path)
    assert run.config == changed
    begin(run, 2)
    with pytest.raises(RunError, match=r"optim\.lr: 0\.5 -> 0\.001; train\.epochs: 9 -> 30.*--name"):
        Run.create(config, tmp_path)
    assert run.begun_folds() == {"2"}
    assert Run.open(run.path).config == changed


def test_a_folder_that_was_renamed_goes_on_under_its_new_name(config, tmp_path):
    Run.create(config, tmp_path).folds_path.write_text("fold,id,split,times\n")
    run = Run.open(tmp_path / "mine")
    run.bind(1)
    begin(run, 1)
    run.path.rename(tmp_path / "ours")
    renamed = Run.create(override(config, {"name": "ours"}), tmp_path)
    renamed.bind(1)
    assert renamed.begun_folds() == {"1"}
    assert Run.open(tmp_path / "ours").config.name == "ours"
    with pytest.raises(RunError, match=r"go on with its own by --config .*ours.config\.yaml --name ours$"):
        renamed.adopt(override(config, {"name": "ours", "seed": "7"}))


def test_folds_are_made_again_only_where_the_config_asks_for_others(config, tmp_path):
    run = Run.create(config, tmp_path)
    run.folds_path.write_text("fold,id,split,times\n")
    Run.create(override(config, {"optim.lr": "0.5"}), tmp_path)
    assert run.folds_path.exists()
    Run.create(override(config, {"optim.lr": "0.5", "folds.seed": "3"}), tmp_path)
    assert not run.folds_path.exists()


def test_restarting_removes_only_when_the_config_fits(config, tmp_path):
    changed = override(config, {"train.epochs": "9"})
    run = Run.create(config, tmp_path)
    for fold in (0, 1, 10):
        begin(run, fold)
    with pytest.raises(RunError, match=r"train\.epochs: 30 -> 9"):
        run.restart([0], changed)
    assert run.begun_folds() == {"0", "1", "10"}, "a refusal must not lose a fold"
    run.restart([1], config)
    assert run.begun_folds() == {"0", "10"}
    run.restart([0, 10], changed)
    assert run.begun_folds() == set()
    assert Run.open(tmp_path / "mine").config == changed


def test_a_fold_that_is_worked_on_is_not_forgotten(config, tmp_path):
    run = Run.create(config, tmp_path)
    begin(run, 1)
    with run.fold(1).lock(), pytest.raises(RunError, match="another process is working on"):
        run.restart([1], config)
    assert run.begun_folds() == {"1"}


def test_a_moved_competition_is_written_down(config, tmp_path):
    run = Run.create(override(config, {"competition.root": "data/old"}), tmp_path)
    begin(run, 0)
    facts = yaml.safe_load((run.path / "config.yaml").read_text())["made_with"]
    moved = Run.create(override(config, {"competition.root": "data/new"}), tmp_path)
    assert Run.open(run.path).config.competition.root == Path("data/new")
    assert yaml.safe_load((moved.path / "config.yaml").read_text())["made_with"] == facts, "made by whom it was made"


def test_folds_are_made_once_then_read_and_checked(tiny, tmp_path):
    run = Run.create(tiny, tmp_path)
    made = run.folds()
    written = run.folds_path.read_bytes()
    assert sorted(made["fold"].unique()) == [0, 1, 2]
    again = Run.open(run.path)
    assert again.folds().equals(made)
    assert run.folds_path.read_bytes() == written
    run.folds_path.write_bytes(written.replace(b"T003", b"X003"))
    with pytest.raises(FoldsError, match=r"folds\.csv belongs to another data set"):
        Run.open(run.path).folds()


def test_the_competition_is_that_of_the_config(tiny, tmp_path):
    run = Run.create(tiny, tmp_path)
    assert run.competition().root == tiny.competition.root
    assert run.competition() is run.competition()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tiny.competition.root, elsewhere)
    lost = Run.create(override(tiny, {"name": "lost", "competition.root": tmp_path / "gone"}), tmp_path)
    with pytest.raises(CompetitionError, match="no such folder"):
        lost.folds()
    moved = open_competition(override(tiny, {"competition.root": elsewhere}).competition)
    assert len(lost.folds(moved)) == 3 * 18


def test_damaged_files_are_named(config, tmp_path):
    run = Run.create(config, tmp_path)
    begin(run, 0)
    run.fold(0).finish({"score": 0.5})
    write_epochs(run.fold(0), [{"epoch": 1, "loss": 0.5}])
    assert read_epochs(run.fold(0)).to_dict("records") == [{"epoch": 1, "loss": 0.5}]
    for name, call in (
        ("metrics.csv", lambda: read_epochs(run.fold(0))),
        ("summary.json", lambda: run.fold(0).summary()),
        ("manifest.json", lambda: run.fold(0).digest("best")),
    ):
        (run.path / "fold_0" / name).write_text('{"best": ')
        with pytest.raises(RunError, match=rf"fold_0/{name} is damaged .*--overwrite"):
            call()
    (run.path / "config.yaml").write_text("train: {epochs")
    with pytest.raises(RunError, match=r"config\.yaml is damaged"):
        Run.open(run.path).config  # noqa: B018


def test_weights_are_checked_against_their_digest(config, tmp_path):
    fold = Run.create(config, tmp_path).fold(0)
    with pytest.raises(RunError, match="train the fold first"):
        fold.load_checkpoint("best")
    fold.save_checkpoint("best", {"a": torch.ones(3)})
    assert fold.load_checkpoint("best")["a"].tolist() == [1, 1, 1], "of a fold that is trained still, too"
    written = fold.checkpoint_path("best").read_bytes()
    fold.checkpoint_path("best").write_bytes(weights_to_bytes({"a": torch.zeros(3)}))  # sound, but not what was written
    with pytest.raises(RunError, match=r"best\.safetensors is damaged \(its content is not what training wrote\)"):
        fold.load_checkpoint("best")
    fold.checkpoint_path("best").write_bytes(written)
    fold.finish({})
    (fold.path / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"there is no manifest\.json with its checksum"):
        Run(fold.path.parent).fold(0).load_checkpoint("best")
    fold.save_checkpoint("best", {"a": torch.zeros(3)})
    fold.reopen()
    assert fold.load_checkpoint("best")["a"].tolist() == [0, 0, 0]
    assert not fold.finished()


def test_only_a_time_limit_lets_a_finished_fold_go_on(config, tmp_path):
    fold = Run.create(config, tmp_path).fold(0)
    fold.finish({"stopped": "another epoch would pass train.max_hours 1", "max_hours": 1.0})
    assert [fold.may_continue(hours) for hours in (0.5, 1.0, 1.5, None)] == [False, False, True, True]
    fold.finish({"epochs": 3})
    assert not fold.may_continue(None)


def test_what_changes_no_result_may_change(config, tmp_path):
    run = Run.create(config, tmp_path)
    run.fold(0).save_checkpoint("best", {"a": torch.ones(1)})
    free = {"data.workers": "7", "train.max_hours": "2", "train.trackers": "[]", "inference.batch_size": "1"}
    faster = override(config, free)
    assert Run.create(faster, tmp_path).config == faster
    assert Run.open(run.path).config == faster, "the next command without them goes by what was asked last"


def test_fold_folder_names_its_checkpoints_in_order(config, tmp_path):
    fold = Run.create(config, tmp_path).fold(3)
    for checkpoint in ("snapshot_10", "best", "snapshot_9", "ema"):
        fold.save_checkpoint(checkpoint, {"a": torch.ones(1)})
    assert fold.checkpoints() == ["best", "ema", "snapshot_10", "snapshot_9"]
    assert fold.weights_of("snapshots") == ["snapshot_9", "snapshot_10"]
    assert fold.weights_of("ema") == ["ema"]
    with pytest.raises(RunError, match="no checkpoint 'swa': it has best, ema"):
        fold.weights_of("swa")


def test_a_fold_is_finished_by_its_summary(config, tmp_path):
    run = Run.create(config, tmp_path)
    for number in (0, 2, 11):
        run.fold(number).save_checkpoint("best", {"a": torch.full((1,), float(number))})
    assert run.finished_folds() == []
    with pytest.raises(RunError, match="not trained to its end"):
        run.fold(2).summary()
    assert run.fold(2).digest("best") is None
    for number in (11, 2):
        run.fold(number).finish({"score": number / 100})
    run.fold("all").finish({})
    assert run.finished_folds() == [2, 11]
    assert run.fold(11).summary() == {"score": 0.11}
    assert len(run.fold(2).digest("best")) == 64
    assert run.fold(2).digest("best") != run.fold(11).digest("best")
    run.fold(2).checkpoint_path("best").rename(run.fold(2).path / "mine.safetensors")
    assert run.fold(2).checkpoints() == ["best"], "it is missed, and what is not the training's does not count"


def test_a_damaged_state_is_not_kept_as_the_one_before(config, tmp_path):
    """The state that is repeated after it would else take the place of the last one that is whole."""
    storage, key = MemoryStorage(), "fold_0/last.pt"

    def damage():
        storage.contents[key] = storage.contents[key][:-3]

    run = Run(tmp_path / "mine", storage)
    run.adopt(config)
    for epoch in (1, 2):
        run.fold(0).save_state({"epoch": epoch})
    damage()
    fold = run.fold(0)
    assert fold.load_state() == {"epoch": 1}
    fold.save_state({"epoch": 2})
    assert fold.load_state() == {"epoch": 2}
    damage()
    assert run.fold(0).load_state() == {"epoch": 1}


def _hold(path, ready, done):
    with Run(path).fold(1).lock():
        ready.set()
        done.wait(30)


@pytest.mark.slow
def test_two_processes_do_not_share_a_fold(config, tmp_path):
    run = Run.create(config, tmp_path)
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(run.path, ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(RunError, match="another process is working on"), run.fold(1).lock():
            pass
        with run.fold(0).lock():
            pass
    finally:
        done.set()
        other.join()
    with run.fold(1).lock():
        pass


def test_one_of_the_two_packages_of_cv2_is_enough(monkeypatch):
    def installed(package):
        if package == "opencv-python":
            raise PackageNotFoundError(package)
        return "1.2.3"

    monkeypatch.setattr("maskfold.runs.versions.version", installed)
    facts = made_with()
    assert facts["opencv-python-headless"] == facts["torch"] == "1.2.3"
    assert "opencv-python" not in facts
