"""Probability maps in shards, over both storages."""

import json

import cv2
import numpy as np
import pytest
from tests.memory_storage import MemoryStorage

from maskfold.errors import RunError, StorageError
from maskfold.runs import MapStore, Run, maps
from maskfold.storage import LocalStorage


@pytest.fixture(params=["local", "memory"])
def storage(request, tmp_path):
    return LocalStorage(tmp_path) if request.param == "local" else MemoryStorage()


def write(store, made_with, **found):
    with store.replace(made_with) as writer:
        for image_id, value in found.items():
            writer.write(image_id, np.full((1, 2, 3), value))


def test_round_trip_is_exact_to_half_a_step(storage):
    probability = np.random.default_rng(0).random((3, 5, 7), dtype=np.float32)
    probability[0, 0, :2] = 0, 1
    with MapStore(storage, "oof/best").replace({"views": "d4"}) as writer:
        writer.write("a/b c.jpg", probability)
        writer.write("d", 1 - probability[:, :4, :])
    store = MapStore(storage, "oof/best")
    read = store.read("a/b c.jpg")
    assert read.dtype == np.uint8
    assert np.array_equal(read, np.rint(255 * probability.astype(np.float64)))
    assert np.array_equal(store.read("d"), np.rint(255 * (1 - probability[:, :4]).astype(np.float64)))
    assert store.ids() == ["a/b c.jpg", "d"]
    assert store.made_with() == {"views": "d4"}
    assert MapStore(storage, "oof/ema").made_with() is None
    assert MapStore(storage, "oof/ema").ids() == []


def test_ids_of_any_length_and_script(storage):
    ids = ["图" * 300, "../escape", ".hidden", "NA", "a" * 5000, ""]
    write(MapStore(storage, "oof"), {}, **{image_id: number / 255 for number, image_id in enumerate(ids)})
    store = MapStore(storage, "oof")
    assert [store.read(image_id)[0, 0, 0] for image_id in ids] == list(range(6))


def test_maps_fill_several_shards(storage, monkeypatch):
    monkeypatch.setattr(maps, "SHARD_BYTES", 400)
    rng = np.random.default_rng(1)
    found = {f"i{n}": rng.random((2, 9, 11)) for n in range(12)}
    with MapStore(storage, "oof").replace({}) as writer:
        for image_id, probability in found.items():
            writer.write(image_id, probability)
    assert 3 < len(storage.list("oof")) < 12
    store = MapStore(storage, "oof")
    for image_id, probability in found.items():
        assert np.array_equal(store.read(image_id), np.rint(255 * probability)), image_id


def test_an_interrupted_writer_leaves_the_former_maps_alone(storage):
    write(MapStore(storage, "oof"), {"views": "none"}, x=1.0)
    before = storage.list()
    store = MapStore(storage, "oof")
    with pytest.raises(RuntimeError, match="stop"), store.replace({"views": "d4"}) as writer:
        writer.write("y", np.ones((1, 2, 3)))
        writer.close()
        raise RuntimeError("stop")
    assert storage.list() == before
    assert (store.ids(), store.made_with()) == (["x"], {"views": "none"})


def test_two_writers_do_not_disturb_each_other(storage):
    """The second one begins before the first one ends; the last marker counts, and nothing else stays."""
    first, second, reader = (MapStore(storage, "oof") for _ in range(3))
    write(first, {"n": 2}, x=0.0)
    assert reader.read("x").max() == 0
    with first.replace({"n": 1}) as a:
        a.write("x", np.full((1, 2, 3), 1.0))
        with second.replace({"n": 2}) as b:
            b.write("x", np.full((1, 2, 3), 0.2))
        assert (second.made_with(), second.read("x").max()) == ({"n": 2}, 51)
        assert reader.read("x").max() == 51, "its marker was of the maps that were replaced"
    assert (first.made_with(), MapStore(storage, "oof").read("x").max()) == ({"n": 1}, 255)
    assert len(storage.list("oof")) == 2, "one shard and the marker"


@pytest.mark.parametrize("asked", [lambda reader: reader.read("x"), lambda reader: reader.whole({"views": "none"})])
def test_a_reader_gets_no_maps_made_otherwise(storage, asked):
    """Not those that another process puts there after the first read, nor between the question and the first read."""
    write(MapStore(storage, "oof"), {"views": "none"}, x=0.2, y=0.2)
    reader, once, late = (MapStore(storage, "oof") for _ in range(3))
    for each in (reader, once):
        asked(each)
    write(MapStore(storage, "oof"), {"views": "none"}, x=0.4, y=0.4)
    assert reader.read("y").max() == 102, "made alike, and so as good"
    write(MapStore(storage, "oof"), {"views": "d4"}, x=0.9, y=0.9)
    for each in (reader, once):
        with pytest.raises(RunError, match=r"oof: another process put maps .* other weights or views .*: run again"):
            each.read("y")
    assert late.read("y").max() == 230, "it asked for none in particular"
    write(reader, {"views": "none"}, x=0.6, y=0.6)
    assert reader.read("y").max() == 153


def test_missing_and_damaged_maps_are_named(storage):
    write(MapStore(storage, "oof"), {}, x=1.0)
    store = MapStore(storage, "oof")
    with pytest.raises(RunError, match=r"oof: the probability map of y is missing: .*predict\.py --oof"):
        store.read("y")
    (shard,) = [key for key in storage.list() if not key.endswith(".json")]
    storage.publish(shard, b"\x89PNG")
    with pytest.raises(RunError, match="map of x is damaged"):
        store.read("x")
    storage.remove(shard)
    with pytest.raises(RunError, match="map of x is missing"):
        store.read("x")


def test_a_damaged_marker_is_named_and_may_be_replaced(storage):
    write(MapStore(storage, "oof"), {}, x=1.0)
    storage.publish("oof/maps.json", json.dumps({"maps": {}}).encode()[:-3])
    with pytest.raises(RunError, match=r"oof/maps\.json is damaged .*predict\.py --oof"):
        MapStore(storage, "oof").made_with()
    write(MapStore(storage, "oof"), {"n": 2}, x=1.0)
    assert MapStore(storage, "oof").made_with() == {"n": 2}


def test_what_is_not_what_was_written_is_found_though_it_is_a_picture(storage):
    store = MapStore(storage, "oof")
    write(store, {}, x=1.0, y=0.2)
    (shard,) = [key for key in storage.list() if not key.endswith(".json")]
    written, marker = storage.read(shard), storage.read("oof/maps.json")
    assert store.damaged() == []
    assert store.whole({})
    _, start, length, _ = json.loads(marker)["maps"]["y"]
    other = cv2.imencode(".png", np.full((2, 3), 102, np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    assert len(other) == length, "as long, whole, of the same size"
    storage.publish(shard, written[:start] + other + written[start + length :])
    with pytest.raises(RunError, match="map of y is damaged"):
        MapStore(storage, "oof").read("y")
    assert store.damaged() == ["y"]
    storage.remove(shard)
    assert store.damaged() == ["x", "y"]
    assert not store.whole({})
    storage.publish("oof/maps.json", marker.replace(b'"x"', b'"z"'))
    with pytest.raises(RunError, match=r"maps\.json is damaged \(its checksum differs\)"):
        MapStore(storage, "oof").ids()


def test_maps_that_the_disk_cannot_read_are_damaged(storage, monkeypatch):
    store = MapStore(storage, "oof")
    write(store, {}, x=1.0, y=0.2)
    read = storage.read

    def fails(key, start=None, end=None):
        if start == 0:
            raise StorageError("the disk fails")
        return read(key, start, end)

    monkeypatch.setattr(storage, "read", fails)
    assert store.damaged() == ["x"]
    with pytest.raises(RunError, match=r"map of x is damaged: compute it again"):
        store.read("x")
    assert store.read("y").max() == 51


def test_what_a_killed_writer_left_is_cleared(storage):
    store = MapStore(storage, "oof")
    write(store, {}, x=1.0)
    before = storage.list()
    storage.publish("oof/0123456789ab-0000.pngs", b"of a killed writer")
    store.sweep()
    assert storage.list() == before
    store.clear()
    assert storage.list() == []


def test_a_further_map_is_kept_beside_the_maps(storage):
    """Of some of the images only, and gone with the maps that it belongs to."""
    rng = np.random.default_rng(4)
    store = MapStore(storage, "oof")
    inside = {name: rng.random((3, 5)).astype(np.float32) for name in ("图/1", "NA")}
    maps = {name: rng.random((2, 3, 5)) for name in ("图/1", "NA", "")}
    with store.replace({}) as writer:
        for name, probability in maps.items():
            writer.write(name, probability, None, inside.get(name))
    for name, probability in maps.items():
        np.testing.assert_array_equal(store.read(name), np.rint(255 * probability))
    for name, values in inside.items():
        np.testing.assert_array_equal(store.inside(name), np.rint(255 * values))
    assert store.inside("") is None
    other = MapStore(storage, "oof")
    np.testing.assert_array_equal(other.inside("NA"), np.rint(255 * inside["NA"]))
    with store.replace({}) as writer:
        writer.write("NA", maps["NA"])
    assert MapStore(storage, "oof").inside("NA") is None
    assert "inside" not in json.loads(storage.read("oof/maps.json"))


def test_presence_is_kept_beside_the_maps_to_the_last_bit(storage):
    presence = np.random.default_rng(2).random((3, 2)).astype(np.float32)
    with MapStore(storage, "oof").replace({}) as writer:
        for number, image_id in enumerate(("图/1", "NA", "")):
            writer.write(image_id, np.zeros((2, 2, 3)), presence[number])
    store = MapStore(storage, "oof")
    found = np.stack([store.presence(image_id) for image_id in ("图/1", "NA", "")])
    assert found.dtype == np.float32
    assert np.array_equal(found, presence)
    assert store.presence("another") is None
    write(store, {"n": 2}, NA=0.5)
    assert store.presence("NA") is None, "of the maps that were replaced"
    assert "presence" not in json.loads(storage.read("oof/maps.json")), "as before there was any"
    assert MapStore(storage, "nothing").presence("NA") is None


def test_only_what_trainings_leave_in_their_own_folders_is_swept(tmp_path):
    fold = Run(tmp_path).fold(0)
    left = {
        folder: fold.path / folder / ".x.tmp-a1b2c3d4.npz" for folder in ("", "stats", "teacher", "oof/best", "onnx")
    }
    for path in left.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    fold.sweep()
    assert [folder for folder, path in left.items() if path.exists()] == ["oof/best", "onnx"]
