"""Training of a fold on the tiny competition: what it leaves, what it refuses."""

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from maskfold.competitions import open_competition
from maskfold.competitions.profile import SHIPPED
from maskfold.config import override
from maskfold.errors import FoldsError, RunError, TrainingError
from maskfold.models import build_model
from maskfold.runs import Run, load_checkpoint
from maskfold.training import fit, loop, validation
from maskfold.training.session import mixed_seed


@pytest.fixture
def train(tmp_path):
    def run_fold(config, fold=0):
        competition = open_competition(config.competition)
        run = Run.create(config, tmp_path)
        return run, fit(config, competition, run, fold)

    return run_fold


def test_a_fold_learns_and_leaves_everything(tiny, train):
    run, summary = train(override(tiny, {"train.epochs": 8, "averaging.ema": 0.8}))
    fold = run.fold(0)
    table = pd.read_csv(fold.metrics_path)
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

    def judged(session, networks):
        weights.append({key: value.clone() for key, value in session.network.state_dict().items()})
        return SimpleNamespace(score=next(given))

    monkeypatch.setattr(loop, "validate", judged)
    run, _ = train(override(tiny, {"train.epochs": 4}))
    best = load_checkpoint(run.fold(0).checkpoint_path("best"))
    assert all(torch.equal(best[key], weights[1][key]) for key in best)
    assert any(not torch.equal(best[key], weights[3][key]) for key in best)


def test_snapshots_are_taken_at_cycle_ends(tiny, train):
    config = override(tiny, {"schedule.name": "snapshot", "schedule.cycles": 2, "train.epochs": 3})
    run, summary = train(config)
    assert run.fold(0).snapshots() == ["snapshot_1", "snapshot_2"]
    assert "snapshots" in summary["candidates"]
    first, second = (load_checkpoint(run.fold(0).checkpoint_path(name)) for name in ("snapshot_1", "snapshot_2"))
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
    assert list(pd.read_csv(run.fold(0).metrics_path)["step"]) == [3, 6, 7]


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
        fit(config, open_competition(config.competition), run, 0)
        ends.append(load_checkpoint(run.fold(0).checkpoint_path("best")))
    decoder = [key for key in ends[0] if "segmentation_head" in key]
    assert decoder
    for key in decoder:
        assert torch.allclose(ends[0][key], ends[1][key], atol=1e-6), key


def test_frozen_encoder_keeps_its_weights(tiny, train, tmp_path):
    run, _ = train(override(tiny, {"optim.freeze_encoder_epochs": 1, "train.epochs": 1, "optim.weight_decay": 0.5}))
    torch.manual_seed(mixed_seed(tiny.seed, 0, 0))
    start = dict(build_model(tiny.model, classes=1).named_parameters())
    trained = load_checkpoint(run.fold(0).checkpoint_path("best"))
    encoder = [key for key in start if ".encoder." in key]
    assert len(encoder) > 10
    assert all(torch.equal(trained[key], start[key]) for key in encoder)
    assert any(not torch.equal(trained[key], start[key]) for key in start if ".encoder." not in key)


def test_init_from_starts_there_and_refuses_another_division(tiny, train, tmp_path):
    first, _ = train(tiny)
    second = {"name": "second", "model.init_from": str(first.path), "optim.lr": 1e-12, "train.epochs": 1}
    run, _ = train(override(tiny, second))
    start, end = (load_checkpoint(r.fold(0).checkpoint_path("best")) for r in (first, run))
    weights = [key for key in start if key.endswith("weight")]
    assert all(torch.allclose(start[key], end[key], atol=1e-6) for key in weights)
    with pytest.raises(TrainingError, match="would leak"):
        train(override(tiny, {**second, "name": "third", "folds.seed": 5}))


def test_a_loss_that_is_no_number_stops_before_anything_is_kept(tiny, train):
    config = override(tiny, {"optim.lr": 1e30, "optim.name": "sgd", "train.epochs": 5})
    with pytest.raises(TrainingError, match=r"became (nan|inf|-inf) in epoch \d: nothing of this epoch was kept"):
        train(config)


def test_early_stop_and_time_limit_say_so(tiny, train, capsys):
    _, summary = train(override(tiny, {"train.epochs": 30, "train.early_stop": 2, "optim.lr": 1e-12}))
    assert summary["epochs"] < 8
    assert "2 validations without a better score" in capsys.readouterr().out
    _, summary = train(override(tiny, {"name": "short", "train.epochs": 30, "train.max_hours": 1e-9}))
    assert summary["epochs"] == 1
    assert "another would pass train.max_hours" in capsys.readouterr().out


def test_folds_do_not_depend_on_their_order(tiny, tmp_path):
    weights = []
    for root, order in ((tmp_path / "a", (1,)), (tmp_path / "b", (0, 1))):
        run = Run.create(tiny, root)
        for fold in order:
            fit(tiny, open_competition(tiny.competition), run, fold)
        weights.append(run.fold(1).checkpoint_path("best").read_bytes())
    assert weights[0] == weights[1]


def test_a_fold_out_of_range_is_refused_and_leaves_no_folder(tiny, train, tmp_path):
    with pytest.raises(FoldsError, match=r"no fold 7: the folds are 0, 1, 2"):
        train(tiny, 7)
    assert not (tmp_path / "tiny" / "fold_7").exists()


def test_damaged_state_is_named(tiny, train):
    run, _ = train(tiny)
    run.fold(0).last.write_bytes(b"PK no archive")
    (run.fold(0).path / "summary.json").unlink()
    with pytest.raises(RunError, match=r"last\.pt is damaged"):
        train(tiny)


def test_validation_before_training_breaks_at_once(tiny, train, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("no metric")

    monkeypatch.setattr(validation, "_stats", broken)
    monkeypatch.setattr(loop, "train_batch", lambda *_: pytest.fail("trained before validating"))
    with pytest.raises(RuntimeError, match="no metric"):
        train(tiny)


def test_losses_follow_their_epochs_in_the_log(tiny, train):
    terms = [{"name": "bce"}, {"name": "dice", "until_epoch": 2}, {"name": "lovasz_hinge", "from_epoch": 3}]
    run, _ = train(override(tiny, {"loss": terms, "train.epochs": 4}))
    table = pd.read_csv(run.fold(0).metrics_path)
    assert [math.isnan(value) for value in table["dice"]] == [False, False, True, True]
    assert [math.isnan(value) for value in table["lovasz_hinge"]] == [True, True, False, False]


def test_a_binary_competition_scored_by_miou_says_background_and_foreground(tiny, train, tmp_path, capsys):
    profile = (SHIPPED / "tianchi-buildings.yaml").read_text().replace("metric: dice", "metric: miou")
    (tmp_path / "miou.yaml").write_text(profile)
    run, summary = train(override(tiny, {"train.epochs": 1, "competition.profile": str(tmp_path / "miou.yaml")}))
    assert 0 < summary["score"] < 1
    assert {"background", "building"} <= set(capsys.readouterr().out.split())
    assert "valid_miou" in run.fold(0).metrics_path.read_text()


def test_a_fold_of_which_no_pixel_counts_ends(streets, train, tmp_path):
    config, labels = streets
    for name in list(labels)[4:]:  # those of val.txt
        cv2.imwrite(str(config.competition.root / "labels" / name), np.full(labels[name].shape, 255, np.uint8))
    _, summary = train(override(config, {"folds.kind": "given", "folds.count": 1, "train.epochs": 1}))
    assert math.isnan(summary["score"])
