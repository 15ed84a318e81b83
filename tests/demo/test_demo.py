"""The demo's files: the competition's layout to the letter, the same from the same seed, whole or not at all."""

import csv
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig
from maskfold.demo import DemoError, make_demo, tiles

SCRIPT = Path(__file__).parents[2] / "src" / "make_demo.py"
TILE = 48


def decode(rle: str, side: int) -> np.ndarray:
    """Column-major, 1-based, run by run: independent of maskfold.rle."""
    numbers = [int(word) for word in rle.split()]
    flat = np.zeros(side * side, np.uint8)
    last = 0
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        assert start > last
        assert length >= 1
        last = start + length - 1
        assert last <= flat.size
        flat[start - 1 : last] = 1
    return flat.reshape(side, side).T


def rows(path: Path) -> list[tuple[str, str]]:
    """A headerless table of two columns, split by hand."""
    text = path.read_bytes().decode("ascii")
    assert text.endswith("\n")
    assert "\r" not in text
    return [tuple(line.split("\t")) for line in text[:-1].split("\n")]


def groups(folder: Path) -> dict[str, str]:
    with (folder / "groups.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["name", "scene"]
    assert len(dict(lines)) == len(lines)
    return dict(lines)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "demo"
    make_demo(folder, seed=3, train_tiles=70, test_tiles=11, tile=TILE)
    return folder


def test_layout_is_the_competitions(demo):
    assert {path.name for path in demo.iterdir()} == {
        "train", "test_a", "train_mask.csv", "test_a_samplesubmit.csv", "test_a_truth.csv", "groups.csv",
    }  # fmt: skip
    train, truth, sample = (
        rows(demo / f"{name}.csv") for name in ("train_mask", "test_a_truth", "test_a_samplesubmit")
    )
    assert [len(row) for row in train + truth + sample] == [2] * (70 + 11 + 11)
    assert sorted(name for name, _ in train) == sorted(path.name for path in (demo / "train").iterdir())
    assert sorted(name for name, _ in truth) == sorted(path.name for path in (demo / "test_a").iterdir())
    assert sample == [(name, "") for name, _ in truth]


def test_the_competitions_profile_reads_it(demo):
    competition = open_competition(CompetitionConfig(profile="tianchi-buildings", root=demo))
    train, test = competition.samples("train"), competition.samples("test")
    assert (len(train), len(test)) == (70, 11)
    truth = dict(rows(demo / "train_mask.csv"))
    for row in train:
        mask = competition.mask(row.masks, competition.size(row.image))
        np.testing.assert_array_equal(mask, decode(truth[row.id], TILE))


def test_images_are_rgb_tiles_that_are_not_blank(demo):
    for path in [*(demo / "train").iterdir(), *(demo / "test_a").iterdir()]:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape == (TILE, TILE, 3)
        assert image.std() > 5
        assert path.read_bytes()[:3] == b"\xff\xd8\xff"


def test_names_are_safe_and_tell_nothing(demo):
    scenes = groups(demo)
    assert all(re.fullmatch(r"[A-Z0-9]{10}\.jpg", name) for name in scenes)
    listed = [scenes[name] for name in sorted(scenes) if scenes[name].startswith("train")]
    changes = sum(a != b for a, b in pairwise(listed))
    assert changes > len(listed) / 2  # in scene order there would be four


def test_no_scene_is_in_both_parts(demo):
    scenes = groups(demo)
    train = {scenes.pop(name) for name, _ in rows(demo / "train_mask.csv")}
    test = {scenes.pop(name) for name, _ in rows(demo / "test_a_truth.csv")}
    assert not scenes
    assert len(train) == 5
    assert len(test) == 5
    assert not train & test


def test_masks_hold_buildings_cut_by_borders_and_some_are_empty(demo):
    masks = np.stack([decode(rle, TILE) for _, rle in rows(demo / "train_mask.csv")])
    assert 0.1 < masks.mean() < 0.27
    assert 0.03 < (masks.sum(axis=(1, 2)) == 0).mean() < 0.3
    for border in (masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]):
        assert border.any()


def edges_along(demo: Path, change) -> float:
    """Mean strength of the images' edges along the outlines of the changed masks."""
    strengths = []
    for name, rle in rows(demo / "train_mask.csv"):
        grey = cv2.imread(str(demo / "train" / name), cv2.IMREAD_GRAYSCALE).astype(np.float32)
        mask = np.ascontiguousarray(change(decode(rle, TILE)))
        outline = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        strengths += np.hypot(*np.gradient(grey))[outline == 1].tolist()
    return float(np.mean(strengths))


def test_masks_lie_on_the_pixels_they_name(demo):
    """The images' edges are strongest along the masks' outlines, not beside them nor where axes are mixed up."""
    shifts = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    by_shift = {shift: edges_along(demo, lambda mask, by=shift: np.roll(mask, by, (0, 1))) for shift in shifts}
    assert max(by_shift, key=by_shift.get) == (0, 0)
    for wrong in (np.transpose, np.flipud, np.fliplr):
        assert edges_along(demo, wrong) < 0.9 * by_shift[0, 0]


def test_same_seed_same_bytes_other_seed_other_data(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        make_demo(tmp_path / name, seed=seed, train_tiles=3, test_tiles=2, tile=40)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert set(a.values()).isdisjoint(set(c.values()) - {b""})


@pytest.mark.parametrize(("tiles_asked", "scenes"), [(1, 1), (4, 4), (5, 5), (60, 5), (80, 5), (81, 6), (160, 10)])
def test_scene_count(tiles_asked, scenes):
    assert tiles._scenes(tiles_asked) == scenes


SMALL = {"train_tiles": 2, "test_tiles": 1, "tile": 32}


def test_replaces_only_a_complete_demo_and_only_when_told(tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()  # an empty folder is free
    make_demo(folder, **SMALL)
    before = contents(folder)
    with pytest.raises(DemoError, match="--overwrite"):
        make_demo(folder, seed=1, **SMALL)
    assert contents(folder) == before
    make_demo(folder, seed=1, overwrite=True, **SMALL)
    assert contents(folder).keys() != before.keys()
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.mark.parametrize("foreign", ["notes.txt", "train/own.jpg"])
def test_never_replaces_other_peoples_files(tmp_path, foreign):
    make_demo(tmp_path / "demo", **SMALL)
    (tmp_path / "demo" / foreign).write_text("mine")
    with pytest.raises(DemoError, match="other files"):
        make_demo(tmp_path / "demo", overwrite=True, **SMALL)
    assert (tmp_path / "demo" / foreign).read_text() == "mine"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError("disk full")])
def test_interrupted_leaves_everything_as_it_was(tmp_path, monkeypatch, failure):
    make_demo(tmp_path / "old", **SMALL)
    before = contents(tmp_path)
    write, written = tiles._write_jpeg, []

    def fail_at_the_third(path, image):
        if len(written) == 2:
            raise failure
        write(path, image)
        written.append(path)

    monkeypatch.setattr(tiles, "_write_jpeg", fail_at_the_third)
    for name, overwrite in (("new", False), ("old", True)):
        written.clear()
        with pytest.raises((KeyboardInterrupt, OSError)):
            make_demo(tmp_path / name, seed=1, overwrite=overwrite, **SMALL)
        assert len(written) == 2
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_puts_the_old_data_back_when_the_new_cannot_be_moved(tmp_path, monkeypatch):
    make_demo(tmp_path / "demo", **SMALL)
    before = contents(tmp_path)
    rename = tiles.os.rename

    def refuse_new(source, target):
        if Path(source).name == "new":
            raise OSError("refused")
        rename(source, target)

    monkeypatch.setattr(tiles.os, "rename", refuse_new)
    with pytest.raises(OSError, match="refused"):
        make_demo(tmp_path / "demo", seed=1, overwrite=True, **SMALL)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("wrong", [{"train_tiles": 0}, {"test_tiles": 0}, {"tile": 31}, {"tile": 1025}, {"seed": -1}])
def test_numbers_out_of_range(tmp_path, wrong):
    with pytest.raises(DemoError, match=f"{next(iter(wrong))} is {next(iter(wrong.values()))}; choose"):
        make_demo(tmp_path / "demo", **wrong)
    assert not any(tmp_path.iterdir())


def test_script(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(SCRIPT), "--out", str(tmp_path / "demo"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    small = ("--tiles", "2", "--test-tiles", "1", "--size", "32")
    done = run(*small)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Next: python src/train_fold.py --fold 0"
    refused = run(*small)
    assert refused.returncode == 1
    assert "--overwrite" in refused.stderr
    assert "Traceback" not in refused.stderr
