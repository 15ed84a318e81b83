"""The networks of a checkpoint: the weights that training wrote, or an error."""

import pytest
import torch

from maskfold.config import override
from maskfold.ensembling.checkpoints import load_networks, oof_options
from maskfold.errors import RunError
from maskfold.models import build_model
from maskfold.runs import Run


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
    for key, value in changes.items():
        assert oof_options(override(config, {f"tta.{key}": value}).tta) != start
    for key, value in (("batch_size", 77), ("checkpoint", "ema")):
        assert oof_options(override(config, {f"inference.{key}": value}).tta) == start
