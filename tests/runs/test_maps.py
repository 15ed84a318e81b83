"""Probability maps on disk."""

import numpy as np
import pytest

from maskfold.errors import RunError
from maskfold.runs import MapStore


def test_round_trip_is_exact_to_half_a_step(tmp_path):
    probability = np.random.default_rng(0).random((3, 5, 7), dtype=np.float32)
    probability[0, 0, :2] = 0, 1
    with MapStore.create(tmp_path / "best", 3, {"views": "d4"}) as store:
        store.write("a/b c.jpg", probability)
    store = MapStore(tmp_path / "best", 3)
    read = store.read("a/b c.jpg")
    assert read.dtype == np.uint8
    assert read.shape == (3, 5, 7)
    assert np.abs(read / 255 - probability).max() <= 1 / 510 + 1e-6
    assert read[0, 0, :2].tolist() == [0, 255]
    assert store.ids() == ["a/b c.jpg"]
    assert store.made_with() == {"views": "d4"}


def test_an_interrupted_store_does_not_appear_and_keeps_the_old(tmp_path):
    with MapStore.create(tmp_path / "best", 1, {"views": "none"}) as store:
        store.write("x", np.ones((1, 2, 3)))
    with (
        pytest.raises(RuntimeError, match="stop"),
        MapStore.create(tmp_path / "best", 1, {"views": "d4"}) as store,
    ):
        store.write("y", np.ones((1, 2, 3)))
        raise RuntimeError("stop")
    store = MapStore(tmp_path / "best")
    assert store.ids() == ["x"]
    assert store.made_with() == {"views": "none"}
    assert MapStore(tmp_path / "ema").made_with() is None


def test_missing_and_damaged_maps_are_named(tmp_path):
    with MapStore.create(tmp_path / "best", 1, {}) as store:
        store.write("x", np.ones((1, 2, 3)))
    store = MapStore(tmp_path / "best")
    with pytest.raises(RunError, match=r"y\.png is missing"):
        store.read("y")
    (tmp_path / "best" / "x.png").write_bytes(b"\x89PNG")
    with pytest.raises(RunError, match=r"x\.png is damaged"):
        store.read("x")
