"""Weights and states on disk: copies, whole, and checked when read."""

import pytest
import torch

from maskfold.errors import RunError
from maskfold.runs import load_checkpoint, load_state, save_checkpoint, save_state
from maskfold.runs.checkpoint import file_digest


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(3)
    return {"a": torch.randn(3, 5, generator=generator).t(), "b.count": torch.tensor(7)}


def test_checkpoint_is_a_copy_of_what_it_was(weights, tmp_path):
    path = tmp_path / "best.safetensors"
    before = {key: tensor.clone() for key, tensor in weights.items()}
    save_checkpoint(weights, path)
    weights["a"].zero_()
    loaded = load_checkpoint(path)
    assert loaded.keys() == before.keys()
    assert all(torch.equal(loaded[key], before[key]) for key in before)


def test_damage_to_a_checkpoint_is_found(weights, tmp_path):
    path = tmp_path / "best.safetensors"
    save_checkpoint(weights, path)
    digest = file_digest(path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"best\.safetensors is damaged"):
        load_checkpoint(path, sha256=digest)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match="is damaged"):
        load_checkpoint(path)
    with pytest.raises(RunError, match="train the fold first"):
        load_checkpoint(tmp_path / "ema.safetensors")


def test_state_round_trip(weights, tmp_path):
    path = tmp_path / "last.pt"
    save_state({"epoch": 3, "network": weights, "history": [{"loss": 0.25, "valid_dice": None}]}, path)
    state = load_state(path)
    assert state["history"] == [{"loss": 0.25, "valid_dice": None}]
    assert torch.equal(state["network"]["a"], weights["a"])


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_one_flipped_bit_in_a_state_is_found(where, tmp_path):
    path = tmp_path / "last.pt"
    save_state({"network": {"a": torch.arange(50_000, dtype=torch.float32)}}, path)
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 4
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"last\.pt is damaged.*--overwrite"):
        load_state(path)


def test_a_truncated_state_is_found(tmp_path):
    path = tmp_path / "last.pt"
    save_state({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(RunError, match="is damaged"):
        load_state(path)
