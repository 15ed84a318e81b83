"""Weights and states as bytes: copies, and checked when read."""

import hashlib

import pytest
import torch

from maskfold.errors import RunError
from maskfold.files import file_digest
from maskfold.runs.checkpoint import (
    state_from_bytes,
    state_to_bytes,
    weights_from_bytes,
    weights_to_bytes,
)


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(3)
    return {"a": torch.randn(3, 5, generator=generator).t(), "b.count": torch.tensor(7)}


def test_weights_are_a_copy_of_what_they_were(weights):
    before = {key: tensor.clone() for key, tensor in weights.items()}
    content = weights_to_bytes(weights)
    weights["a"].zero_()
    loaded = weights_from_bytes(content, "best.safetensors")
    assert loaded.keys() == before.keys()
    assert all(torch.equal(loaded[key], before[key]) for key in before)


def test_damage_to_weights_is_found(weights):
    content = weights_to_bytes(weights)
    digest = hashlib.sha256(content).hexdigest()
    weights_from_bytes(content, "best.safetensors", sha256=digest)
    broken = bytearray(content)
    broken[-3] ^= 1
    with pytest.raises(RunError, match=r"best\.safetensors is damaged.*not what training wrote.*--overwrite"):
        weights_from_bytes(bytes(broken), "best.safetensors", sha256=digest)
    with pytest.raises(RunError, match="is damaged"):
        weights_from_bytes(content[: len(content) // 2], "best.safetensors")


def test_state_round_trip(weights):
    state = state_from_bytes(
        state_to_bytes({"epoch": 3, "modules": {"n": weights}, "history": [{"loss": 0.25, "valid_dice": None}]}), "last"
    )
    assert state["history"] == [{"loss": 0.25, "valid_dice": None}]
    assert torch.equal(state["modules"]["n"]["a"], weights["a"])


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_one_flipped_bit_in_a_state_is_found(where):
    content = bytearray(state_to_bytes({"network": {"a": torch.arange(50_000, dtype=torch.float32)}}))
    content[int(len(content) * where)] ^= 4
    with pytest.raises(RunError, match=r"last\.pt is damaged.*--overwrite"):
        state_from_bytes(bytes(content), "last.pt")


def test_a_truncated_state_is_found():
    with pytest.raises(RunError, match="is damaged"):
        state_from_bytes(state_to_bytes({"a": torch.ones(1000)})[:500], "last.pt")


def test_digest_of_a_file(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x").startswith("ba7816bf8f01cfea")
