"""The demo's annotators: each has its habits, and the data they mark stay what they are."""

import cv2
import numpy as np
import pytest
from tests.demo.test_demo import contents, decode, rows
from tests.scripts.conftest import call

from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig
from maskfold.demo import DemoError, make_demo
from maskfold.demo.annotators import HABITS, Habits, annotate

TABLES = [f"train_mask_{number}.csv" for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The same demo without and with annotators."""
    root = tmp_path_factory.mktemp("demo")
    small = {"seed": 3, "train_tiles": 12, "test_tiles": 3, "tile": 64}
    make_demo(root / "plain", **small)
    make_demo(root / "marked", annotators=3, **small)
    return root / "plain", root / "marked"


def test_the_other_files_are_the_same(pair):
    plain, marked = map(contents, pair)
    assert sorted(set(marked) - set(plain)) == TABLES
    assert {name: marked[name] for name in plain} == plain


def test_tables_are_in_the_competitions_form(pair):
    truth = dict(rows(pair[1] / "train_mask.csv"))
    competition = open_competition(CompetitionConfig(profile="tianchi-buildings", root=pair[1]))
    different = set()
    for table in TABLES:
        drawn = rows(pair[1] / table)
        assert [name for name, _ in drawn] == list(truth)
        masks = competition.annotations(table)[table]
        for name, rle in drawn:
            assert np.array_equal(competition.label(masks[name], (64, 64)).values, decode(rle, 64))
        shares = [decode(rle, 64).mean() for _, rle in drawn]
        assert 0.5 < np.mean(shares) / np.mean([decode(rle, 64).mean() for rle in truth.values()]) < 1.5
        different.add(tuple(rle for _, rle in drawn))
    assert len(different | {tuple(truth.values())}) == 4


def test_replaced_as_any_demo(pair, tmp_path):
    small = {"train_tiles": 2, "test_tiles": 1, "tile": 32}
    make_demo(tmp_path / "demo", annotators=2, **small)
    with pytest.raises(DemoError, match="--overwrite"):
        make_demo(tmp_path / "demo", **small)
    make_demo(tmp_path / "demo", overwrite=True, **small)
    assert not list((tmp_path / "demo").glob("train_mask_*"))
    with pytest.raises(DemoError, match="annotators is 5; choose a number from 0 to 4"):
        make_demo(tmp_path / "other", annotators=5, **small)


def test_command(tmp_path, capsys):
    small = ("--tiles", 2, "--test-tiles", 1, "--size", 32, "--out", tmp_path / "demo")
    done = call(capsys, "make_demo", *small, "--annotators", 2)
    assert done.code == 0
    assert "2 training and 1 test tiles, 32 pixels a side, training masks by 2 annotators too" in done.out
    assert sorted(path.name for path in (tmp_path / "demo").glob("train_mask_*")) == TABLES[:2]
    refused = call(capsys, "make_demo", *small, "--annotators", -1)
    assert refused.code == 1
    assert "annotators is -1; choose a number from 0 to 4" in refused.err


def boxes(*places, size=(120, 150)):
    mask = np.zeros(size, np.uint8)
    for top, left, height, width in places:
        mask[top : top + height, left : left + width] = 1
    return mask


def drawn(mask, **habits):
    return annotate(np.random.default_rng(1), mask, Habits(**habits), 2.0)


def centre(mask):
    return np.argwhere(mask).mean(0)


def test_habits():
    house = boxes((30, 40, 30, 44))
    shifts = [
        centre(annotate(np.random.default_rng(seed), house, Habits(shift=(3.0, -2.0)), 2.0)) - centre(house)
        for seed in range(40)
    ]
    assert np.mean(shifts, 0) == pytest.approx([-4, 6], abs=0.5), "metres right and down, two pixels each"
    assert np.std(shifts, 0) == pytest.approx(0.8, abs=0.35)

    rounded = drawn(house, rounding=4.0)
    assert house.sum() - 0.25 * house.sum() < rounded.sum() < house.sum()
    outline = cv2.findContours(rounded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0]
    assert cv2.contourArea(cv2.convexHull(outline)) < 0.985 * 29 * 43, "the corners are gone"

    both = boxes((30, 40, 30, 44), (80, 10, 8, 12))
    forgotten = drawn(both, smallest=30.0)
    assert cv2.connectedComponents(forgotten)[0] - 1 == 1
    assert forgotten.sum() == house.sum()
    assert cv2.connectedComponents(drawn(both, smallest=20.0))[0] - 1 == 2, "96 pixels are 24 square metres"

    close = boxes((30, 20, 30, 40), (30, 66, 30, 40))
    assert cv2.connectedComponents(drawn(close, gap=8.0))[0] - 1 == 1
    assert cv2.connectedComponents(drawn(close, gap=0.5))[0] - 1 == 2
    assert not drawn(0 * close, gap=3.0, rounding=1.0).any()


def test_what_leaves_the_scene_is_cut_off():
    edge = boxes((0, 130, 25, 20))
    found = drawn(edge, shift=(8.0, -5.0))
    assert 0 < found.sum() < 0.4 * edge.sum()
    assert not found[:, :130].any()


def test_every_habit_occurs_among_three():
    three = HABITS[:3]
    assert all(any(getattr(habits, name) != Habits.__dataclass_fields__[name].default for habits in three)
               for name in ("shift", "rounding", "smallest", "gap"))  # fmt: skip
