"""Cached images and labels are what reading gives, in every process, until a file changes."""

import logging
import os
import pickle
import shutil
from dataclasses import replace
from multiprocessing import get_context
from threading import Thread
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from maskfold.competitions import Samples, open_competition
from maskfold.config import CompetitionConfig
from maskfold.datasets import (
    Draw,
    EpochSampler,
    EvalDataset,
    ImageCache,
    TrainDataset,
    build_augmentation,
    train_loader,
)
from maskfold.datasets import slots as module
from maskfold.datasets.cache import _taken as taken_by
from maskfold.datasets.cache import decoded_bytes
from maskfold.datasets.slots import Slots
from maskfold.errors import ConfigError
from maskfold.files import cache_folder
from maskfold.images import ImageSpec
from maskfold.labels import LabelSpec
from maskfold.locks import exclusive

MANY = 2**30


@pytest.fixture
def copied(drawn, tmp_path):
    """The tiny competition, to be changed."""
    shutil.copytree(drawn, tmp_path / "mine")
    return open_competition(CompetitionConfig(profile="tianchi-buildings", root=tmp_path / "mine"))


@pytest.fixture(params=["memory", "disk"])
def folder(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "cache"


def datasets(competition, cache, scale=1.0):
    samples = competition.samples("train")
    augment = build_augmentation("d4_color", crop=16)
    plain, cached = (
        TrainDataset(competition, samples, augment=augment, scale=scale, cache=each) for each in (None, cache)
    )
    return plain, cached


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, dict):
            assert_equal(found[name], value)
        elif isinstance(value, torch.Tensor):
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value), name
        else:
            assert found[name] == value


@pytest.mark.parametrize("scale", [1.0, 0.7, 1.3])
def test_the_same_items_in_every_epoch(copied, folder, scale):
    samples = copied.samples("train")
    cache = ImageCache(copied, samples, scale=scale, limit=MANY, folder=folder)
    plain, cached = datasets(copied, cache, scale)
    for epoch in range(3):
        for index in range(len(samples)):
            assert_equal(cached[Draw(epoch, index)], plain[Draw(epoch, index)])
    whole, kept = (EvalDataset(copied, samples, scale=scale, cache=each) for each in (None, cache))
    for index in range(len(samples)):
        found, expected = kept[index], whole[index]
        assert torch.equal(found["image"], expected["image"])
        np.testing.assert_array_equal(found["label"].values, expected["label"].values)
        assert found["size"] == expected["size"]


def count_reads(competition, monkeypatch):
    """The images that are decoded from now on."""
    read = []
    inner = competition.image
    monkeypatch.setattr(competition, "image", lambda path: read.append(path) or inner(path))
    return read


def test_each_image_is_decoded_once(copied, folder, monkeypatch):
    samples = copied.samples("train")
    cache = ImageCache(copied, samples, scale=0.5, limit=MANY, folder=folder)
    read = count_reads(copied, monkeypatch)
    for _ in range(3):
        for sample in samples:
            cache.pair(sample)
    assert read == [sample.image for sample in samples]
    if folder is not None:
        again = ImageCache(copied, samples, scale=0.5, limit=MANY, folder=folder)
        image, label = again.pair(samples[3])
        assert read == [sample.image for sample in samples], "a later process finds them on the disk"
        np.testing.assert_array_equal(image, cache.image(samples[3]))
        np.testing.assert_array_equal(label.values, cache.pair(samples[3])[1].values)


def test_a_changed_file_is_read_again(copied, folder):
    samples = copied.samples("train")
    cache = ImageCache(copied, samples, scale=1.0, limit=MANY, folder=folder)
    sample = samples[2]
    before = cache.image(sample).copy()
    path = copied.root / sample.image
    stood = path.stat()
    changed = cv2.imread(str(path))[::-1].copy()
    for quality in range(95, 20, -1):  # of the same size in bytes, if there is one
        content = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(content) <= stood.st_size:
            break
    path.write_bytes(content + b"\0" * (stood.st_size - len(content)))
    os.utime(path, ns=(stood.st_atime_ns, stood.st_mtime_ns))  # as if nothing had happened
    after = cache.image(sample)
    np.testing.assert_array_equal(after, copied.image(sample.image))
    assert not np.array_equal(after, before)


def test_changed_masks_are_read_again(copied, folder):
    samples = copied.samples("train")
    cache = ImageCache(copied, samples, scale=1.0, limit=MANY, folder=folder)
    first = cache.pair(samples[1])[1]
    other = replace(samples[1], masks=("1 7",))
    second = cache.pair(other)[1]
    assert second.values.sum() == 7
    np.testing.assert_array_equal(cache.pair(samples[1])[1].values, first.values)


def test_what_does_not_fit_is_read_each_time(copied, folder, monkeypatch, caplog):
    samples = copied.samples("train")
    limit = part_of(copied, samples, 5)
    with caplog.at_level(logging.INFO, logger="maskfold"):
        cache = ImageCache(copied, samples, scale=1.0, limit=limit, folder=folder)
    assert f"data.cache holds 5 of {len(samples)} images" in caplog.text
    read = count_reads(copied, monkeypatch)
    for _ in range(2):
        for sample in samples:
            cache.pair(sample)
    assert len(read) == 5 + 2 * (len(samples) - 5)


def part_of(competition, samples, images):
    """Bytes that so many images and their labels take, of some samples."""
    sizes = [competition.size(sample.image) for sample in samples[:images]]
    return sum(h * w * 3 + h * w // 4 + 400 for h, w in sizes)


def test_half_of_what_is_free_is_the_same_for_the_next_fold_and_run(copied, tmp_path, monkeypatch):
    samples, folder = copied.samples("train"), tmp_path / "cache"
    disk = 2 * part_of(copied, samples, 5)

    def usage(place):
        return SimpleNamespace(free=disk - sum(file.stat().st_size for file in folder.iterdir()))

    monkeypatch.setattr("maskfold.datasets.cache.shutil.disk_usage", usage)
    first = ImageCache(copied, samples, scale=1.0, limit=None, folder=folder)
    for sample in samples:
        first.pair(sample)
    files = sorted(folder.iterdir())
    sizes = [file.stat().st_size for file in files]
    second = ImageCache(copied, samples, scale=1.0, limit=None, folder=folder)
    assert sorted(folder.iterdir()) == files
    assert [file.stat().st_size for file in files] == sizes
    read = count_reads(copied, monkeypatch)
    for sample in samples:
        second.pair(sample)
    assert read == [sample.image for sample in samples[5:]]


def test_a_file_never_shrinks_and_grows_below_those_who_read_it(copied, tmp_path, monkeypatch):
    samples, folder = copied.samples("train"), tmp_path / "cache"
    small, smaller, whole = (
        ImageCache(copied, samples, scale=1.0, limit=part_of(copied, samples, images), folder=folder)
        for images in (5, 3, len(samples))
    )
    assert len(list(folder.iterdir())) == 2
    expected = [copied.image(sample.image) for sample in samples]
    read = count_reads(copied, monkeypatch)
    for cache, held in ((small, 0), (smaller, 5), (whole, 5), (small, 5), (whole, len(samples))):
        read.clear()
        for sample, image in zip(samples, expected, strict=True):
            np.testing.assert_array_equal(cache.image(sample), image)
        assert read == [sample.image for sample in samples[held:]]


def test_classes_and_pixels_that_do_not_count(tmp_path, folder):
    rng = np.random.default_rng(4)
    for name in ("images", "labels"):
        (tmp_path / "set" / name).mkdir(parents=True)
    lines = []
    for stem in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"set/images/{stem}.png"), rng.integers(0, 256, (21, 34, 3), np.uint8))
        label = rng.integers(0, 5, (21, 34), np.uint8)
        cv2.imwrite(str(tmp_path / f"set/labels/{stem}.png"), np.where(label == 4, 255, label))
        lines.append(f"images/{stem}.png labels/{stem}.png\n")
    (tmp_path / "set/train.txt").write_text("".join(lines))
    names = ("sky", "road", "car", "tree")
    competition = open_competition(CompetitionConfig(profile="file-list", root=tmp_path / "set", class_names=names))
    samples = competition.samples("train")
    cache = ImageCache(competition, samples, scale=0.6, limit=MANY, folder=folder)
    expected = [cache.pair(sample)[1] for sample in samples]
    for sample, label in zip(samples, expected, strict=True):
        found = cache.pair(sample)[1]
        assert not found.valid.all()
        np.testing.assert_array_equal(found.values, label.values)
        np.testing.assert_array_equal(found.valid, label.valid)


def test_workers_share_what_they_decoded(copied, folder):
    samples = copied.samples("train")
    cache = ImageCache(copied, samples, scale=1.0, limit=MANY, folder=folder)
    plain, cached = datasets(copied, cache)
    sampler = EpochSampler(len(samples), batch_size=4, seed=1)
    loader = train_loader(cached, sampler, workers=2)
    for epoch in range(2):
        sampler.epoch = epoch
        for keys, batch in zip(sampler, loader, strict=True):
            for row, key in enumerate(keys):
                assert torch.equal(batch["image"][row], plain[key]["image"])
    held = [cache._images._keys[place].any() for place in range(len(samples))]
    assert sum(held) >= len(list(sampler)) * 4, "this process sees what the workers stored"


def _image_in_child(cache: ImageCache, samples: Samples, answers) -> None:
    answers.put(cache.image(samples[0]))


@pytest.mark.slow
def test_a_process_that_is_not_forked(copied, folder):
    samples = copied.samples("train")
    cache = ImageCache(copied, samples, scale=1.0, limit=MANY, folder=folder)
    cache.image(samples[0])
    context = get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=_image_in_child, args=(cache, samples, answers))
    child.start()
    np.testing.assert_array_equal(answers.get(timeout=120), cache.image(samples[0]))
    child.join()


def test_a_file_that_is_large_enough_waits_for_nobody(tmp_path):
    """Data workers read it while another process lets it grow, which may take long."""
    path, image = tmp_path / "x.images", np.arange(30, dtype=np.uint8)
    slots = Slots([40, 70, 5000], path, count=2)
    slots.write(1, b"k" * 16, [image])
    with exclusive(path.with_suffix(".images.lock"), path), pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "exclusive", None)
        for other in (pickle.loads(pickle.dumps(slots)), Slots([40, 70, 5000], path, count=1)):
            found = other.read(1, b"k" * 16)
            assert found is not None
            assert found[:30].tolist() == image.tolist()
            assert other.count == 2


def test_room_that_a_file_does_not_have_yet_is_not_free(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**20)
        file.write(b"x" * 10_000)
    taken = taken_by(path.stat())
    assert 10_000 <= taken < 2**20
    os.posix_fallocate(os.open(path, os.O_RDWR), 0, 2**20)
    assert taken_by(path.stat()) == 2**20


def test_a_file_that_a_crash_left_half_written(tmp_path):
    path = tmp_path / "x.images"
    slots = Slots([40, 70], path)
    key = bytes(range(16))
    slots.write(1, key, [np.arange(70, dtype=np.uint8)])
    assert slots.read(0, key) is None
    del slots
    content = bytearray(path.read_bytes())
    content[content.index(bytes(range(30, 60)))] ^= 1
    path.write_bytes(content)
    assert Slots([40, 70], path).read(1, key) is None


def test_what_is_read_cannot_be_written_to():
    slots = pickle.loads(pickle.dumps(Slots([8])))
    slots.write(0, b"k" * 16, [np.zeros(8, np.uint8)])
    with pytest.raises(ValueError, match="read-only"):
        slots.read(0, b"k" * 16)[0] = 1


@pytest.mark.parametrize("lacking", ["nothing", "memfd_create", "pwrite", "room"])
def test_slots_of_every_system(lacking, tmp_path, monkeypatch):
    """Windows has no `pwrite`, macOS no files in memory; a process may be limited in the files that it makes."""

    def refused(file, size):
        raise OSError(27, "File too large")

    if lacking == "room":
        monkeypatch.setattr(os, "ftruncate", refused)
    elif lacking != "nothing":
        monkeypatch.delattr(os, lacking)
    head, rest = np.array([7], np.uint8), np.arange(255, 1, -1).astype(np.uint8).reshape(2, 127)
    for path in (None, tmp_path / "x.images"):
        slots = Slots([9, 255, 5000], path)
        slots.write(1, b"k" * 16, [head, rest])
        slots.write(0, b"z" * 16, [head])
        assert slots.read(1, b"k" * 16).tolist() == [7, *range(255, 1, -1)]
        assert slots.read(0, b"z" * 16).tolist() == [7] + 8 * [0]
        assert slots.read(2, b"k" * 16) is None


def test_a_write_may_come_in_pieces(monkeypatch):
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: whole(file, data[:100], at))
    slots = Slots([40, 1000])
    slots.write(1, b"k" * 16, [np.arange(1000).astype(np.uint8)])
    np.testing.assert_array_equal(slots.read(1, b"k" * 16), np.arange(1000) % 256)


def test_a_full_disk_is_told_at_once(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ConfigError, match=r"needs 3\.0 GiB, which could not be allocated \(No space left on device\)"):
        Slots([3 * 2**30], tmp_path / "x.images")
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_waits_for_the_room_that_the_first_one_takes(tmp_path, monkeypatch):
    path, sizes, taken, others = tmp_path / "x.images", [40, 70, 900], os.posix_fallocate, []

    def slowly(handle, start, length):
        monkeypatch.setattr(os, "posix_fallocate", taken)
        taken(handle, start, length // 2)
        others.append(Thread(target=Slots, args=(sizes, path)))
        others[0].start()
        others[0].join(0.5)
        assert others[0].is_alive()
        taken(handle, start, length)

    monkeypatch.setattr(os, "posix_fallocate", slowly)
    slots = Slots(sizes, path)
    others[0].join(60)
    slots.write(2, b"k" * 16, [np.arange(900).astype(np.uint8)])
    np.testing.assert_array_equal(Slots(sizes, path).read(2, b"k" * 16), np.arange(900).astype(np.uint8))


def test_a_full_disk_leaves_a_file_as_it_was(tmp_path, monkeypatch):
    def full(handle, start, length):
        os.ftruncate(handle, start + length // 2)
        raise OSError(28, "No space left on device")

    path, key = tmp_path / "x.images", b"k" * 16
    slots = Slots([40, 70, 900], path, count=2)
    slots.write(1, key, [np.arange(70, dtype=np.uint8)])
    size = path.stat().st_size
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ConfigError, match="could not be allocated"):
        Slots([40, 70, 900], path)
    assert path.stat().st_size == size
    found = Slots([40, 70, 900], path, count=1)
    assert found.count == 2
    np.testing.assert_array_equal(found.read(1, key), np.arange(70))


def test_where_files_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MASKFOLD_CACHE", raising=False)
    assert cache_folder() == tmp_path / "maskfold"
    monkeypatch.setenv("MASKFOLD_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


@pytest.mark.parametrize(
    ("labels", "label"),
    [
        (LabelSpec("binary", ("a",)), 1 + 9 + 9),
        (LabelSpec("multilabel", ("a", "b", "c")), 1 + 27 + 9),
        (LabelSpec("multiclass", ("a", "b", "c")), 1 + 70 + 9),
    ],
)
def test_bytes_of_an_image_and_its_label(labels, label):
    """7 x 10 pixels of four bands of 16 bits; a bit of each layer or a byte of exclusive classes; a bit of validity."""
    competition = SimpleNamespace(images=ImageSpec(channels=4, dtype="uint16"), labels=labels)
    assert decoded_bytes(competition, (7, 10)) == (7 * 10 * 4 * 2, label)
