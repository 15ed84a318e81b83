"""The ONNX twins of checkpoints: made once for these weights, compared with the network, kept beside it."""

from types import SimpleNamespace

import pytest
import torch
from tests.drawn_runs import random_run
from torch import nn

from maskfold.config import override
from maskfold.ensembling import engines
from maskfold.ensembling.engines import onnx_networks
from maskfold.errors import ExportError, StorageError
from maskfold.models import Outputs


@pytest.fixture
def run(config, tmp_path):
    return random_run(tmp_path, override(config, {"name": "two"}), folds=(1,), checkpoints=("snapshot_1", "snapshot_2"))


class Brightness(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, images):
        return Outputs(images[:, :1].float() / 100 * self.factor, {})


@pytest.fixture
def made(monkeypatch):
    """Stands for the exporter and onnxruntime: a graph is the text of its factor."""
    found = SimpleNamespace(count=0, error=0.0)

    def export(named, images, names):
        found.count += 1
        assert images.dtype == torch.float32
        return str(named.network.factor + found.error).encode()

    monkeypatch.setattr(engines, "onnx_bytes", export)
    monkeypatch.setattr(engines, "OnnxNetwork", lambda content, source: Brightness(float(content)))
    return found


def test_twins_are_made_once_for_the_same_weights(run, competition, made):
    networks = [Brightness(1), Brightness(2)]
    found = onnx_networks(run, "snapshots", [1], networks, competition)
    assert [twin.factor for twin in found] == [1, 2]
    again = onnx_networks(run, "snapshots", [1], networks, competition)
    assert [twin.factor for twin in again] == [1, 2]
    assert made.count == 2
    kept = sorted(path.name for path in (run.path / "fold_1/onnx").iterdir())
    assert [name.partition("-")[0] for name in kept] == ["snapshot_1", "snapshot_2"]
    # The second checkpoint's weights are others now.
    run.fold(1).save_checkpoint("snapshot_2", {"a": torch.ones(1)})
    run.fold(1).finish({})
    onnx_networks(run, "snapshots", [1], networks, competition)
    assert made.count == 3
    assert run.fold(1).checkpoints() == ["snapshot_1", "snapshot_2"]


def test_a_twin_that_differs_is_not_kept(run, competition, made):
    made.error = 0.1
    with pytest.raises(ExportError, match=r"probabilities of snapshot_1-\w+\.onnx differ from the network's"):
        onnx_networks(run, "snapshots", [1], [Brightness(1), Brightness(2)], competition)
    assert not (run.path / "fold_1/onnx").exists()


@pytest.mark.parametrize("error", [StorageError, PermissionError])  # a folder's, a pack's
def test_a_run_that_cannot_be_written_to_predicts_all_the_same(run, competition, made, monkeypatch, error):
    def refuse(key, content):
        raise error(key)

    monkeypatch.setattr(run.storage, "publish", refuse)
    for _ in range(2):
        assert len(onnx_networks(run, "snapshots", [1], [Brightness(1), Brightness(2)], competition)) == 2
    assert made.count == 4
