"""Where images are kept from epoch to epoch changes nothing in what is learned."""

import pytest
import torch

from maskfold.config import override
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.training import fit

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
