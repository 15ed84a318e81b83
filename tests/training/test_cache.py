"""Where images are kept from epoch to epoch changes nothing in what is learned."""

import pytest
import torch

from maskfold.config import override
from maskfold.datasets import ImageCache
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.training import fit
from maskfold.training.data import fold_data

CHANGES = {
    "plain": {},
    "at another scale, in workers": {"data.scale": 0.7, "data.crop": 24, "data.workers": 2},
    "soft targets": {"targets.smoothing.uniform": 0.1, "data.augment": "d4_color"},
}


def trained(config, folder):
    """All weights that a fold leaves, and its history without what the clock says."""
    run = Run.create(config, folder)
    fit(run, 0)
    fold = run.fold(0)
    weights = fold.load_checkpoint("best")
    history = read_epochs(fold)
    return weights, history[[name for name in history if "seconds" not in name and "minutes" not in name]]


@pytest.mark.parametrize("what", [pytest.param(what, marks=[pytest.mark.slow] * (what != "plain")) for what in CHANGES])
def test_the_same_weights_with_every_cache(tiny, tmp_path, monkeypatch, what):
    monkeypatch.setenv("MASKFOLD_CACHE", str(tmp_path / "cache"))
    config = override(tiny, {**CHANGES[what], "data.augment": "d4_color", "train.epochs": 3})
    expected, history = trained(config, tmp_path / "none")
    Run.create(override(config, {"data.cache": "memory"}), tmp_path / "none")  # may change in a run that has begun
    settings = {"memory": {}, "disk": {}, "small": {"data.cache_gib": 2e-5}}
    for name, further in settings.items():
        changed = override(config, {"data.cache": "disk" if name == "disk" else "memory", **further})
        weights, epochs = trained(changed, tmp_path / name)
        assert all(torch.equal(weights[key], value) for key, value in expected.items()), name
        assert epochs.equals(history), name
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".images", ".labels"}


def test_processes_of_one_machine_share_half_of_the_free_memory(tiny, tmp_path, monkeypatch):
    limits = {}

    def held(*arguments, limit, **further):
        limits[here] = limit
        return ImageCache(*arguments, limit=limit, **further)

    monkeypatch.setattr("maskfold.training.data.ImageCache", held)
    monkeypatch.setattr("maskfold.training.data.free_memory", lambda: 12 * 2**30)
    run = Run.create(override(tiny, {"data.cache": "memory"}), tmp_path / "run")
    for here in (1, 3):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(here))
        fold_data(run, 1, needs=frozenset(), rank=0, world=here)
    assert limits == {1: 6 * 2**30, 3: 2 * 2**30}
