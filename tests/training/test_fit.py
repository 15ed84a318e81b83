"""Training of a fold on the tiny competition: what it leaves, what it refuses."""

import math
import multiprocessing
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from tests.memory_storage import MemoryStorage

from maskfold.competitions.profile import SHIPPED
from maskfold.config import override
from maskfold.errors import ConfigError, FoldsError, RunError, TrainingError
from maskfold.models import build_model
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.training import Callback, candidates, fit, loop, validation
from maskfold.training.callbacks import TimeLimit
from maskfold.training.length import Length
from maskfold.training.session import mixed_seed


@pytest.fixture
def train(tmp_path):
    def run_fold(config, fold=0):
        run = Run.create(config, tmp_path)
        return run, fit(run, fold)

    return run_fold


def test_a_finished_fold_leaves_no_data_workers(tiny, train):
    before = set(multiprocessing.active_children())
    train(override(tiny, {"data.workers": 1, "train.epochs": 1}))
    assert set(multiprocessing.active_children()) <= before


def test_a_fold_learns_and_leaves_everything(tiny, train):
    run, summary = train(override(tiny, {"train.epochs": 8, "averaging.ema": 0.8}))
    fold = run.fold(0)
    table = read_epochs(fold)
    assert list(table["epoch"]) == list(range(1, 9))
    assert table["loss"].iloc[-1] < 0.6 * table["loss"].iloc[0]
    assert table["loss"].to_numpy() == pytest.approx(0.8 * table["bce"] + 0.2 * table["dice"], abs=1e-5)
    assert table["best"].to_list() == table["valid_dice"].cummax().to_list()
    assert summary["score"] > 0.5
    assert set(summary["candidates"]) == {"best", "ema"}
    assert summary["candidates"]["best"] == pytest.approx(table["valid_dice"].max())
    assert summary == fold.summary()
    assert fold.finished()
    folds = pd.read_csv(run.folds_path)
    valid = set(folds.query("fold == 0 and split == 'valid'")["id"])
    assert set(fold.oof(summary["best_checkpoint"]).ids()) == valid
    assert len(valid) == 6


def test_best_is_a_copy_of_the_best_epoch_not_of_the_last(tiny, train, monkeypatch):
    given = iter([0.3, 0.9, 0.1, 0.8])
    weights = []

    def validated(session, networks, look):
        weights.append({key: value.clone() for key, value in session.network.state_dict().items()})
        return SimpleNamespace(score=next(given))

    monkeypatch.setattr(loop, "validate", validated)
    run, _ = train(override(tiny, {"train.epochs": 4}))
    best = run.fold(0).load_checkpoint("best")
    assert all(torch.equal(best[key], weights[1][key]) for key in best)
    assert any(not torch.equal(best[key], weights[3][key]) for key in best)


def test_snapshots_are_stored_at_cycle_ends(tiny, train):
    config = override(tiny, {"schedule.name": "snapshot", "schedule.cycles": 2, "train.epochs": 3})
    run, summary = train(config)
    assert run.fold(0).snapshots() == ["snapshot_1", "snapshot_2"]
    assert "snapshots" in summary["candidates"]
    first, second = (run.fold(0).load_checkpoint(name) for name in ("snapshot_1", "snapshot_2"))
    assert any(not torch.equal(first[key], second[key]) for key in first)


def test_all_trains_on_every_image(tiny, train):
    run, summary = train(tiny, "all")
    assert summary["train_images"] == 18
    assert summary["valid_images"] == 0
    assert run.fold("all").checkpoints() == ["best"]
    assert run.finished_folds() == []


def test_length_in_iterations_counts_optimiser_steps(tiny, train):
    # 12 images in batches of 2, two batches per step: 3 steps per epoch.
    lengths = {"train.epochs": None, "train.iterations": 7, "train.batch_size": 2, "train.accumulate": 2}
    run, summary = train(override(tiny, lengths))
    assert summary["steps"] == 7
    assert list(read_epochs(run.fold(0))["step"]) == [3, 6, 7]


def test_accumulation_takes_the_step_of_the_large_batch(tiny, tmp_path):
    """Two batches of 4 make the step of one batch of 8 (no batch norm, plain SGD, BCE's mean)."""
    changes = {
        "model.encoder": "vgg11",
        "model.options": {"encoder_depth": 3, "decoder_channels": [8, 8, 8], "decoder_use_norm": "identity"},
        "optim.name": "momentum",
        "optim.lr": 0.01,
        "optim.options": {"momentum": 0.0},
        "loss": [{"name": "bce"}],
        "train.epochs": None,
        "train.iterations": 1,
        "data.augment": "none",
        "data.crop": 40,
        "folds.count": 2,
    }
    ends = []
    for name, sizes in (("large", (8, 1)), ("small", (4, 2))):
        config = override(tiny, {**changes, "name": name, "train.batch_size": sizes[0], "train.accumulate": sizes[1]})
        run = Run.create(config, tmp_path)
        fit(run, 0)
        ends.append(run.fold(0).load_checkpoint("best"))
    decoder = [key for key in ends[0] if "segmentation_head" in key]
    assert decoder
    for key in decoder:
        assert torch.allclose(ends[0][key], ends[1][key], atol=1e-6), key


def test_frozen_encoder_keeps_its_weights(tiny, train, tmp_path):
    run, _ = train(override(tiny, {"optim.freeze_encoder_epochs": 1, "train.epochs": 1, "optim.weight_decay": 0.5}))
    torch.manual_seed(mixed_seed(tiny.seed, 0, 0))
    start = dict(build_model(tiny.model, classes=1).named_parameters())
    trained = run.fold(0).load_checkpoint("best")
    encoder = [key for key in start if ".encoder." in key]
    assert len(encoder) > 10
    assert all(torch.equal(trained[key], start[key]) for key in encoder)
    assert any(not torch.equal(trained[key], start[key]) for key in start if ".encoder." not in key)
    statistics = [key for key in trained if ".encoder." in key and key.endswith("running_mean")]
    assert len(statistics) > 10
    assert not any(trained[key].any() for key in statistics), "as they were made"
    assert any(trained[key].any() for key in trained if ".decoder." in key and key.endswith("running_mean"))
    again, _ = train(override(tiny, {"name": "thawed", "optim.freeze_encoder_epochs": 1, "train.epochs": 2}))
    thawed = again.fold(0).load_state()["modules"]["network"]
    assert any(thawed[key].any() for key in statistics)


def test_init_from_starts_there_and_refuses_another_division(tiny, train, tmp_path):
    first, _ = train(tiny)
    second = {"name": "second", "model.init_from": str(first.path), "optim.lr": 1e-12, "train.epochs": 1}
    run, _ = train(override(tiny, second))
    start, end = (r.fold(0).load_checkpoint("best") for r in (first, run))
    weights = [key for key in start if key.endswith("weight")]
    assert all(torch.allclose(start[key], end[key], atol=1e-6) for key in weights)
    with pytest.raises(TrainingError, match="would leak"):
        train(override(tiny, {**second, "name": "third", "folds.seed": 5}))


def test_init_from_reads_ids_such_as_na(drawn, tiny, train, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(drawn, root)
    (root / "train" / "T001.jpg").rename(root / "train" / "NA")
    table = root / "train_mask.csv"
    table.write_text(table.read_text().replace("T001.jpg", "NA"))
    config = override(tiny, {"competition.root": str(root), "train.epochs": 1, "folds.kind": "kfold"})
    first, _ = train(config)
    fold = int(first.folds().query("id == 'NA' and split == 'valid'")["fold"].iloc[0])
    train(config, fold)
    run, _ = train(override(config, {"name": "second", "model.init_from": str(first.path)}), fold)
    assert run.finished_folds() == [fold]


def test_a_loss_that_is_no_number_stops_before_anything_is_kept(tiny, train):
    config = override(tiny, {"optim.lr": 1e30, "optim.name": "sgd", "train.epochs": 5})
    with pytest.raises(TrainingError, match=r"became (nan|inf|-inf) in epoch \d, first in the batch of T\d+\.jpg"):
        train(config)


def test_early_stop_says_so(tiny, train, capsys):
    run, summary = train(override(tiny, {"train.epochs": 30, "train.early_stop": 2, "optim.lr": 1e-12}))
    assert summary["epochs"] < 8
    assert summary["stopped"] == "2 validations without a better score"
    assert "2 validations without a better score" in capsys.readouterr().out
    assert not run.fold(0).may_continue(None)


def test_a_time_limit_finishes_a_fold_that_may_go_on(tiny, train, capsys):
    run, summary = train(override(tiny, {"train.epochs": 3, "train.max_hours": 1e-9}))
    assert (summary["epochs"], summary["max_hours"]) == (1, 1e-9)
    assert summary["stopped"] == "another epoch would pass train.max_hours 1e-09"
    assert "stopped after epoch 1: another epoch would pass train.max_hours 1e-09" in capsys.readouterr().out
    assert run.fold(0).finished()
    assert run.fold(0).oof(summary["best_checkpoint"]).ids()
    # The same command with a larger limit goes on, and ends as if there had been none.
    run, summary = train(override(tiny, {"train.epochs": 3, "train.max_hours": 5.0}))
    assert "going on after epoch 1 of 3" in capsys.readouterr().out
    assert summary["epochs"] == 3
    assert "stopped" not in summary
    whole, _ = train(override(tiny, {"train.epochs": 3, "name": "whole"}))
    assert run.fold(0).digest("best") == whole.fold(0).digest("best")


def test_a_time_limit_counts_a_short_last_epoch_by_its_steps(tiny):
    length = Length.of(override(tiny, {"train.epochs": None, "train.iterations": 83}), batches=20)
    at = {epoch: SimpleNamespace(epoch=epoch, step=20 * epoch, length=length) for epoch in (3, 4)}
    for session in at.values():
        session.elapsed = lambda: 0.9 * 3600
    limit = TimeLimit(1.0)
    assert limit.on_epoch(at[3]), "a quarter more of 0.9 hours passes one hour"
    assert limit.on_epoch(at[4]) is None, "three of twenty steps more are 0.034 hours"
    assert TimeLimit(0.93).on_epoch(at[4])
    begun = SimpleNamespace(epoch=3, step=75, length=length, elapsed=at[3].elapsed)
    assert limit.on_epoch(begun) is None, "of an epoch that was begun five steps are left, 0.06 hours"
    assert TimeLimit(0.95).on_epoch(begun)


def test_callbacks_follow_and_end_a_training(tiny, tmp_path):
    class Prune(Callback):
        steps = 0

        def on_step(self, session):
            self.steps += 1
            assert session.step == self.steps

        def on_epoch(self, session):
            return "pruned" if session.epoch == 2 else None

    prune = Prune()
    summary = fit(Run.create(override(tiny, {"train.epochs": 5}), tmp_path), 0, [prune])
    assert (summary["epochs"], summary["stopped"], prune.steps) == (2, "pruned", 6)


def test_scores_that_are_not_numbers_stop_nothing(tiny, train, monkeypatch, capsys):
    given = iter([math.nan, 0.4, math.nan, 0.3])
    monkeypatch.setattr(loop, "validate", lambda *_, **__: SimpleNamespace(score=next(given)))
    kept = []
    monkeypatch.setattr(
        loop.Session,
        "save_weights",
        lambda self, name, save=loop.Session.save_weights: (kept.append(self.epoch), save(self, name)),
    )
    ends = iter([math.nan, 0.2])
    monkeypatch.setattr(
        candidates,
        "validate",
        lambda *_, **__: SimpleNamespace(score=next(ends), stats=np.ones((6, 3)), class_lines=lambda: ""),
    )
    run, summary = train(
        override(tiny, {"train.epochs": 4, "averaging.ema": 0.5, "train.early_stop": 3, "train.oof_checkpoints": 1})
    )
    assert kept == [1, 2], "the first number takes the place of NaN, and NaN that of nothing"
    assert summary["best_checkpoint"] == "ema"
    assert math.isnan(run.fold(0).summary()["candidates"]["best"])


def test_only_so_many_candidates_leave_maps_as_asked(tiny, train):
    run, summary = train(override(tiny, {"train.epochs": 1, "averaging.ema": 0.5, "train.oof_checkpoints": 1}))
    assert set(summary["candidates"]) == {"best", "ema"}
    assert list(summary["oof"]) == [summary["best_checkpoint"]]
    assert len(run.fold(0).all_oof()) == 1


def test_lookahead_is_validated_and_stored_with_its_slow_weights(tiny, train, monkeypatch):
    """18 images in batches of 2 are 9 steps, and the slow weights follow every 6: the fast ones are 3 steps ahead."""
    changes = {"optim.name": "lookahead_sgd", "train.batch_size": 2, "train.epochs": 1, "optim.lr": 0.05}
    fast = []

    def spied(session, log, original=loop.train_epoch):
        row = original(session, log)
        fast.append({key: value.clone() for key, value in session.network.named_parameters()})
        return row

    monkeypatch.setattr(loop, "train_epoch", spied)
    run, _ = train(override(tiny, changes), "all")
    state = run.fold("all").load_state()
    slow = [entry["lookahead_slow_buff"] for entry in state["optimizers"]["network"]["state"].values()]
    best = run.fold("all").load_checkpoint("best")
    moved = [key for key, value in fast[0].items() if not torch.equal(best[key], value)]
    assert len(moved) == len(slow) > 20, "encoder stages beyond the depth have no gradient, and one set of weights"
    assert all(any(torch.equal(best[key], buffer) for buffer in slow) for key in moved)
    last = state["modules"]["network"]
    assert all(torch.equal(last[key], value) for key, value in fast[0].items()), "training goes on from the fast ones"


def test_a_term_that_would_never_be_used_is_an_error(tiny, train):
    terms = [{"name": "bce"}, {"name": "dice", "from_epoch": 3}]
    with pytest.raises(ConfigError, match=r"never be used: dice \(from_epoch 3\); training has 2 epochs"):
        train(override(tiny, {"loss": terms, "train.epochs": 2}))


def test_a_run_lives_in_any_storage(tiny, tmp_path):
    storage = MemoryStorage()
    run = Run(tmp_path / "nowhere", storage)
    run.adopt(override(tiny, {"averaging.ema": 0.8}))
    summary = fit(run, 0)
    assert {"config.yaml", "folds.csv", "fold_0/last.pt", "fold_0/metrics.csv", "fold_0/summary.json"} <= set(
        storage.list()
    )
    assert [path.name for path in (tmp_path / "nowhere").rglob("*")] == []
    local, _ = Run.create(override(tiny, {"averaging.ema": 0.8}), tmp_path), None
    assert fit(local, 0)["candidates"] == summary["candidates"]
    assert local.fold(0).digest("ema") == run.fold(0).digest("ema")
    (checkpoint, *_) = summary["oof"]
    ours, theirs = (r.fold(0).oof(checkpoint) for r in (run, local))
    assert ours.ids() == theirs.ids()
    assert all(np.array_equal(ours.read(image_id), theirs.read(image_id)) for image_id in ours.ids())


def test_folds_do_not_depend_on_their_order(tiny, tmp_path):
    weights = []
    for root, order in ((tmp_path / "a", (1,)), (tmp_path / "b", (0, 1))):
        run = Run.create(tiny, root)
        for fold in order:
            fit(run, fold)
        weights.append(run.fold(1).checkpoint_path("best").read_bytes())
    assert weights[0] == weights[1]


def test_a_fold_out_of_range_is_refused_and_leaves_no_folder(tiny, train, tmp_path):
    with pytest.raises(FoldsError, match=r"no fold 7: the folds are 0, 1, 2"):
        train(tiny, 7)
    assert not (tmp_path / "tiny" / "fold_7").exists()


def test_damaged_state_is_named(tiny, train):
    run, _ = train(tiny)
    for name in ("last.pt", "previous.pt"):
        (run.fold(0).path / name).write_bytes(b"PK no archive")
    with pytest.raises(RunError, match=r"previous\.pt is damaged"):
        train(tiny)


def test_validation_before_training_breaks_at_once(tiny, train, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("no metric")

    monkeypatch.setattr(validation, "_stats", broken)
    monkeypatch.setattr(loop, "train_epoch", lambda *_: pytest.fail("trained before validating"))
    with pytest.raises(RuntimeError, match="no metric"):
        train(tiny)


def test_losses_follow_their_epochs_in_the_log(tiny, train):
    terms = [{"name": "bce"}, {"name": "dice", "until_epoch": 2}, {"name": "lovasz_hinge", "from_epoch": 3}]
    run, _ = train(override(tiny, {"loss": terms, "train.epochs": 4}))
    table = read_epochs(run.fold(0))
    assert [math.isnan(value) for value in table["dice"]] == [False, False, True, True]
    assert [math.isnan(value) for value in table["lovasz_hinge"]] == [True, True, False, False]


def test_a_binary_competition_scored_by_miou_says_background_and_foreground(tiny, train, tmp_path, capsys):
    profile = (SHIPPED / "tianchi-buildings.yaml").read_text().replace("metric: dice", "metric: miou")
    (tmp_path / "miou.yaml").write_text(profile)
    run, summary = train(override(tiny, {"train.epochs": 1, "competition.profile": str(tmp_path / "miou.yaml")}))
    assert 0 < summary["score"] < 1
    assert {"background", "building"} <= set(capsys.readouterr().out.split())
    assert "valid_miou" in read_epochs(run.fold(0))


def test_a_fold_of_which_no_pixel_counts_ends(streets, train, tmp_path):
    config, labels = streets
    for name in list(labels)[4:]:  # those of val.txt
        cv2.imwrite(str(config.competition.root / "labels" / name), np.full(labels[name].shape, 255, np.uint8))
    _, summary = train(override(config, {"folds.kind": "given", "folds.count": 1, "train.epochs": 1}))
    assert math.isnan(summary["score"])
