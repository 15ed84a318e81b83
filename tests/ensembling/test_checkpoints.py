"""The networks of a checkpoint: the weights that training wrote, or an error."""

from pathlib import Path

import pytest
import torch
from tests.drawn_runs import random_run

from maskfold.config import override
from maskfold.ensembling.checkpoints import ensure_oof, load_networks, oof_options
from maskfold.ensembling.choice import read_ensemble, write_ensemble
from maskfold.ensembling.submit import default_choice
from maskfold.errors import RunError
from maskfold.models import build_model
from maskfold.runs import Run
from maskfold.steps.predict import predict_out_of_fold


@pytest.fixture
def run(config, tmp_path):
    """Fold 2 holds four sets of weights, finished."""
    run = Run.create(config, tmp_path)
    for seed, checkpoint in enumerate(("best", "snapshot_1", "snapshot_2", "snapshot_10")):
        torch.manual_seed(seed)
        run.fold(2).save_checkpoint(checkpoint, build_model(config.model, classes=1).state_dict())
    run.fold(2).finish({"candidates": {"best": 0.5}})
    return run


def first_weight(seed, config):
    torch.manual_seed(seed)
    return next(build_model(config.model, classes=1).parameters())


def test_snapshots_come_in_the_order_they_were_taken(run, config, competition):
    networks = load_networks(run, run.fold(2), "snapshots", competition)
    assert not any(network.training for network in networks)
    for network, seed in zip(networks, (1, 2, 3), strict=True):
        assert torch.equal(next(network.parameters()), first_weight(seed, config))
    (best,) = load_networks(run, run.fold(2), "best", competition)
    assert torch.equal(next(best.parameters()), first_weight(0, config))


@pytest.mark.parametrize("channels_last", [True, False])
def test_weights_have_the_layout_they_were_trained_in(config, competition, tmp_path, channels_last):
    config = override(config, {"name": "layout", "train.channels_last": channels_last})
    run = Run.create(config, tmp_path)
    run.fold(0).save_checkpoint("best", build_model(config.model, classes=1).state_dict())
    (network,) = load_networks(run, run.fold(0), "best", competition)
    weight = next(p for p in network.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last) == channels_last
    assert weight.is_contiguous() != channels_last


def test_missing_and_changed_weights_are_refused(run, config, competition):
    fold = run.fold(2)
    with pytest.raises(RunError, match="no checkpoint 'ema': it has best, snapshot_1"):
        load_networks(run, fold, "ema", competition)
    # A file that is whole, but not the one that training wrote.
    fold.checkpoint_path("best").write_bytes(fold.checkpoint_path("snapshot_1").read_bytes())
    with pytest.raises(RunError, match=r"best\.safetensors is damaged"):
        load_networks(run, fold, "best", competition)
    fold.checkpoint_path("snapshot_2").write_bytes(fold.checkpoint_path("snapshot_2").read_bytes()[:-40])
    with pytest.raises(RunError, match=r"snapshot_2\.safetensors is damaged"):
        load_networks(run, fold, "snapshots", competition)


def test_maps_depend_on_views_scales_merging_windows_and_passes_only(config):
    start = oof_options(config.tta)
    changes = {"views": "d4", "scales": [1.5], "merge": "vote", "window": 64, "overlap": 0.1, "dropout_passes": 3}
    for key, value in {**changes, "batch_norm_prior": 3}.items():
        assert oof_options(override(config, {f"tta.{key}": value}).tta) != start
    for key, value in (("batch_size", 77), ("checkpoint", "ema")):
        assert oof_options(override(config, {f"inference.{key}": value}).tta) == start


@pytest.fixture
def trained(config, tmp_path, monkeypatch):
    """A finished fold with out-of-fold maps of its best network, in the current folder."""
    monkeypatch.chdir(tmp_path)
    run = random_run(Path("runs"), override(config, {"name": "r"}))
    ensure_oof(run, 0, "best", run.competition(), run.config.tta)
    return run


@pytest.mark.parametrize("harm", ["flip", "gone", "marker", "old marker"])
def test_damaged_out_of_fold_maps_are_made_again_as_the_message_says(trained, harm):
    store = trained.fold(0).oof("best")
    wanted = {name: store.read(name).tobytes() for name in store.ids()}
    folder = trained.fold(0).path / "oof/best"
    (shard,), marker = folder.glob("*.pngs"), folder / "maps.json"
    if harm == "flip":
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
        with pytest.raises(RunError, match=r"the probability map of .* is damaged: .*predict\.py --oof"):
            [store.read(name) for name in wanted]
        predict_out_of_fold(trained)
    elif harm == "gone":  # found without reading: nobody need say anything
        shard.unlink()
        ensure_oof(trained, 0, "best", trained.competition(), trained.config.tta)
    else:
        marker.write_text('{"made_with": {}}' if harm == "old marker" else marker.read_text().replace("[", "[ ", 1))
        predict_out_of_fold(trained)
    again = trained.fold(0).oof("best")
    assert {name: again.read(name).tobytes() for name in again.ids()} == wanted
    assert again.damaged() == []
    assert len(list(folder.iterdir())) == 2, "a shard and the marker; what was replaced or damaged is gone"


def test_a_choice_that_was_changed_since_tuning_is_refused(trained):
    path = trained.ensemble_path
    write_ensemble(default_choice([trained]), path)
    text = path.read_text()
    path.write_text(text.replace("threshold: 0.5", "threshold: 0.4"))
    with pytest.raises(RunError, match=r"ensemble\.yaml is not what tuning wrote: .* remove its first line"):
        read_ensemble(path)
    path.write_text(path.read_text().partition("\n")[2])  # on purpose
    assert read_ensemble(path).post.threshold == 0.4
