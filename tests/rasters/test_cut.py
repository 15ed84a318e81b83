import json
import os
import shutil
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.drawn_rasters import write_tif

from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, load_config
from maskfold.errors import RasterError
from maskfold.images import ImageSpec
from maskfold.labels import LabelSpec
from maskfold.rasters import cut as cutting
from maskfold.rasters.cut import CutOptions, Scene, cut_tiles, standing
from maskfold.rasters.forms import LabelFilesForm
from maskfold.rasters.masks import open_mask
from maskfold.rasters.raster import Raster
from maskfold.steps.tile import cut_competition, cut_files

RNG = np.random.default_rng(6)
IMAGE = RNG.integers(1, 256, (90, 141, 3), np.uint8)
MASK = np.zeros((90, 141), np.uint8)
MASK[10:40, 5:30] = MASK[60:64, 100:110] = 1
BINARY = LabelSpec("binary", ("roof",))


def scene(folder, image=IMAGE, mask=MASK, labels=BINARY, **options):
    raster = Raster([write_tif(folder / "in/a.tif", image, **options)])
    path = write_tif(folder / "in/mask.tif", mask[..., None])
    return Scene("a", raster, open_mask(path, raster, labels), standing(path))


def cut(folder, options, own=None, labels=BINARY, spec=None, **named):
    own = own or scene(folder, labels=labels)
    form = LabelFilesForm(folder / "out", labels, spec or ImageSpec(), options.scale)
    return cut_tiles([own], form, folder / "out", options, **{"overwrite": False, **named})


def opened(folder):
    return open_competition(CompetitionConfig(profile=str(folder / "out/out.yaml"), root=folder / "out"))


def test_tiles_are_read_back_with_their_masks_and_places(tmp_path):
    counts = cut(tmp_path, CutOptions(side=32, block=2))
    competition = opened(tmp_path)
    samples = competition.samples("train")
    assert len(samples) == counts.kept == 15
    places = pd.read_csv(tmp_path / "out/tiles.csv").set_index("id")
    assert places["block"].nunique() == 2
    for sample in samples:
        top, left = places.loc[sample.id, ["top", "left"]]
        part = slice(top, top + 32), slice(left, left + 32)
        np.testing.assert_array_equal(competition.image(sample.image), IMAGE[part])
        np.testing.assert_array_equal(competition.label(sample.masks, (32, 32)).values, MASK[part])
        assert sample.group == places.loc[sample.id, "block"]
    assert counts.empty == sum(not competition.label(sample.masks, (32, 32)).values.any() for sample in samples) > 0


def test_classes_keep_what_is_not_scored_and_what_has_no_data(tmp_path):
    values = RNG.integers(0, 3, (90, 141)).astype(np.uint8)
    values[:, 20:25] = 255
    image = IMAGE.copy()
    image[40:50, 60:80] = 0
    labels = LabelSpec("multiclass", ("a", "b", "c"))
    own = scene(tmp_path, image, values, labels, nodata=0)
    cut(tmp_path, CutOptions(side=64, block=0), own, labels)
    competition = opened(tmp_path)
    assert competition.labels == labels
    for sample in competition.samples("train"):
        _, top, left = sample.image.removesuffix(".png").split("/")[1].split("_")
        part = slice(int(top), int(top) + 64), slice(int(left), int(left) + 64)
        label = competition.label(sample.masks, (64, 64))
        np.testing.assert_array_equal(label.valid, (values[part] != 255) & image[part].any(2))
        np.testing.assert_array_equal(label.values[label.valid], values[part][label.valid])
        assert sample.group == "a"


@pytest.mark.parametrize(
    ("image", "spec"),
    [
        (RNG.integers(0, 65536, (90, 141, 5), np.uint16), ImageSpec(5, "uint16")),
        (RNG.integers(0, 65536, (90, 141, 4), np.uint16), ImageSpec(4, "uint16", 10000)),
        (RNG.random((90, 141, 2), np.float32), ImageSpec(2, "float32")),
        (RNG.integers(0, 256, (90, 141, 1), np.uint8), ImageSpec(1)),
    ],
)
def test_any_channels_and_types(tmp_path, image, spec):
    cut(tmp_path, CutOptions(side=80), scene(tmp_path, image, photometric="minisblack"), spec=spec)
    competition = opened(tmp_path)
    assert competition.images == spec
    np.testing.assert_array_equal(competition.image(competition.samples("train")[0].image), image[:80, :80])


def test_empty_tiles_are_kept_by_share_and_the_same_ones_again(tmp_path):
    def ids(folder, share):
        cut(folder, CutOptions(side=12, keep_empty=share))
        return set(opened(folder).samples("train").ids)

    every, some, none = (ids(tmp_path / str(share), share) for share in (1.0, 0.4, 0.0))
    assert ids(tmp_path / "again", 0.4) == some
    filled = {name for name in every if (MASK[place(name)]).any()}
    assert none == filled < some < every
    assert 0.25 < (len(some) - len(none)) / (len(every) - len(none)) < 0.55


def place(name, side=12):
    _, top, left = name.split("_")
    return slice(int(top), int(top) + side), slice(int(left), int(left) + side)


def test_tiles_without_data_are_dropped_by_their_share(tmp_path):
    image = IMAGE.copy()
    image[:, 70:] = 0
    for most, nodata, stored in ((0.5, None, {"nodata": 0}), (0.2, 0.0, {}), (0.0, 0.0, {})):
        folder = tmp_path / f"{most}"
        counts = cut(folder, CutOptions(side=16, most_nodata=most, nodata=nodata), scene(folder, image, **stored))
        ids = opened(folder).samples("train").ids
        shares = {name: (~image[place(name, 16)].any(2)).mean() for name in ids}
        assert max(shares.values()) <= most
        assert counts.dropped_nodata > 20
        assert counts.kept == len(ids) > 20


def test_a_scale(tmp_path):
    cut(tmp_path, CutOptions(side=32, scale=0.5))
    competition = opened(tmp_path)
    assert competition.profile.tile_scale == 0.5
    sample = competition.samples("train").by_id["a_0_0"]
    image = competition.image(sample.image)
    # 90 rows become 45, so that each is the mean of two; 141 columns become 70, of a little more than two.
    wanted = IMAGE[:64, :2].astype(float).reshape(32, 2, 2, 3).mean((1, 2))
    assert abs(image[:, 0] - wanted).max() < 4
    label = competition.label(sample.masks, (32, 32)).values
    assert abs(int(label.sum()) - MASK[:64, :65].sum() / 4) < 12


def test_masks_in_files_of_colours_become_run_lengths(tmp_path):
    classes = MASK + 2 * np.roll(MASK, 50, axis=1)
    colours = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 9)], np.uint8)
    write_tif(tmp_path / "data/train/a.tif", IMAGE)
    write_tif(tmp_path / "data/train/a_gt.tif", colours[classes])
    write_tif(tmp_path / "data/test/x.tif", IMAGE)
    (tmp_path / "data/sample.csv").write_text("id,rle\nx_1,\nx_2,\n")
    (tmp_path / "own.yaml").write_text(
        """layout: csv
metric: miou
train: {image: "train/{id}.tif", mask: "train/{id}_gt.tif"}
test: {table: sample.csv, image: "test/{id}.tif"}
columns: {id: id, mask: rle}
rows: class
class_separator: _
class_names: [ground, roof, tree]
class_values: [1, 2]
label_map: {0 0 0: 0, 255 0 0: 1, 0 255 9: 2}
"""
    )
    config = load_config(
        None, {"competition.profile": str(tmp_path / "own.yaml"), "competition.root": tmp_path / "data"}
    )
    profile, root = cut_competition(config, None, CutOptions(side=32))
    competition = open_competition(CompetitionConfig(profile=str(profile), root=root))
    samples = competition.samples("train")
    assert len(samples) == 15
    places = pd.read_csv(root / "tiles/tiles.csv", index_col="id")
    for sample in samples:
        top, left = places.loc[sample.id, ["top", "left"]]
        found = competition.label(sample.masks, (32, 32)).values
        np.testing.assert_array_equal(found, classes[top : top + 32, left : left + 32])


class Broken(Exception):
    pass


def test_an_interrupted_cut_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    options = CutOptions(side=16, keep_empty=0.5)
    cut(tmp_path / "whole", options)
    own, written = scene(tmp_path), []
    real = cutting.write_image

    def stops(*given):
        if len(written) == 20:
            raise Broken
        written.append(given[1])
        real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(cutting, "write_image", stops)
        with pytest.raises(Broken):
            cut(tmp_path, options, own)
    assert not (tmp_path / "out/out.yaml").exists()
    first = list(written)
    with monkeypatch.context() as patch:
        patch.setattr(cutting, "write_image", lambda *given: (written.append(given[1]), real(*given)))
        cut(tmp_path, options, own)
    again = set(written[20:]) & set(first)
    assert len(again) < 9  # those of the row that was broken
    assert len(written) - len(again) == len(opened(tmp_path).samples("train"))
    files = {path.relative_to(tmp_path / "whole/out") for path in (tmp_path / "whole/out").rglob("*.*")}
    for name in files - {path for path in files if path.name == "cut.json"}:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole/out" / name).read_bytes(), name
    assert {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*")} == files


@pytest.fixture
def stops(monkeypatch):
    """Inside, a cut is interrupted at the third tile."""

    @contextmanager
    def interrupted():
        numbers, real = count(), cutting.write_image
        with monkeypatch.context() as patch, pytest.raises(Broken):
            patch.setattr(cutting, "write_image", lambda *given: real(*given) if next(numbers) < 2 else fail())
            yield

    def fail():
        raise Broken

    return interrupted


@pytest.mark.parametrize("other", ["masks", "bands", "classes", "a changed raster", "a changed mask", "nothing"])
def test_an_interrupted_cut_of_files_does_not_go_on_with_others(tmp_path, stops, other):
    image, mask = write_tif(tmp_path / "in/a.tif", IMAGE), write_tif(tmp_path / "in/mask.tif", MASK[..., None])
    given = {"masks": [mask], "bands": (1, 2, 3), "class_names": ("roof",)}
    with stops():
        cut_files([image], out=tmp_path / "out", options=CutOptions(side=64), **given)
    if other == "masks":
        given["masks"] = [write_tif(tmp_path / "in/other.tif", MASK[::-1, ..., None])]
    elif other == "bands":
        given["bands"] = (3, 2, 1)
    elif other == "classes":
        given["class_names"] = ("ground", "roof")
    elif other == "a changed raster":
        write_tif(image, IMAGE[::-1])
    elif other == "a changed mask":
        write_tif(mask, MASK[::-1, ..., None])
    if other == "nothing":
        cut_files([image], out=tmp_path / "out", options=CutOptions(side=64), **given)
        return
    with pytest.raises(RasterError, match="of a cut of other options, rasters or masks, or these have changed"):
        cut_files([image], out=tmp_path / "out", options=CutOptions(side=64), **given)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("dice", {"name": "pooled_dice"}),
        ("{name: f_beta, beta: 0.5, empty: 0}", {"name": "pooled_f_beta", "beta": 0.5}),
        ("{name: iou, empty: null}", {"name": "pooled_iou"}),
        ("tgs_map", {"name": "tgs_map"}),
    ],
)
def test_tiles_are_scored_as_their_raster_is(tmp_path, metric, expected):
    write_tif(tmp_path / "data/train/a.tif", IMAGE)
    write_tif(tmp_path / "data/test/x.tif", IMAGE)
    (tmp_path / "data/sample.csv").write_text("id,rle\nx,\n")
    (tmp_path / "data/train.csv").write_text("id,rle\na,7 50 2000 31\n")
    (tmp_path / "own.yaml").write_text(
        f"""layout: csv
metric: {metric}
train: {{table: train.csv, image: "train/{{id}}.tif"}}
test: {{table: sample.csv, image: "test/{{id}}.tif"}}
columns: {{id: id, mask: rle}}
medals: {{source: x, winner: 0.9}}
"""
    )
    places = {"competition.profile": str(tmp_path / "own.yaml"), "competition.root": tmp_path / "data"}
    whole = load_config(None, places)
    profile, root = cut_competition(whole, None, CutOptions(side=32))
    tiles = open_competition(CompetitionConfig(profile=str(profile), root=root))
    assert {"name": tiles.profile.metric.name, **tiles.profile.metric.options} == expected
    assert tiles.profile.medals is None
    if metric == "tgs_map":
        return
    # Predicted: all of the upper third, whose tiles are of one row; the truth is in two of them.
    raster, seen = open_competition(whole.competition), np.zeros(IMAGE.shape[:2], np.uint8)
    seen[:32] = 1
    (sample,) = raster.samples("train")
    of_raster = raster.metric.stats_of(seen, raster.label(sample.masks, seen.shape))
    places = pd.read_csv(root / "tiles/tiles.csv", index_col="id")
    of_tiles = []
    for sample in tiles.samples("train"):
        top, left = places.loc[sample.id, ["top", "left"]]
        tile = seen[top : top + 32, left : left + 32]
        of_tiles.append(tiles.metric.stats_of(tile, tiles.label(sample.masks, tile.shape)))
    assert 0 < raster.metric.score(of_raster[None]) < 0.5
    assert tiles.metric.score(np.stack(of_tiles)) == pytest.approx(raster.metric.score(of_raster[None]), abs=0.01)


def test_an_interrupted_cut_does_not_go_on_with_a_changed_table(tmp_path, stops):
    write_tif(tmp_path / "data/train/a.tif", IMAGE)
    write_tif(tmp_path / "data/test/x.tif", IMAGE)
    (tmp_path / "data/sample.csv").write_text("id,rle\nx,\n")
    (tmp_path / "data/train.csv").write_text("id,rle\na,7 50\n")
    (tmp_path / "own.yaml").write_text(
        """layout: csv
metric: dice
train: {table: train.csv, image: "train/{id}.tif"}
test: {table: sample.csv, image: "test/{id}.tif"}
columns: {id: id, mask: rle}
"""
    )
    places = {"competition.profile": str(tmp_path / "own.yaml"), "competition.root": tmp_path / "data"}
    with stops():
        cut_competition(load_config(None, places), None, CutOptions(side=64))
    (tmp_path / "data/train.csv").write_text("id,rle\na,7 51\n")
    with pytest.raises(RasterError, match="of a cut of other options, rasters or masks"):
        cut_competition(load_config(None, places), None, CutOptions(side=64))
    (tmp_path / "data/train.csv").write_text("id,rle\na,7 50\n")
    cut_competition(load_config(None, places), None, CutOptions(side=64))


def test_tiles_are_on_the_disk_before_their_row_is_written_down_and_flushed_once(tmp_path, monkeypatch):
    events, flush, name = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda opened: (events.append(os.fstat(opened).st_ino), flush(opened)))
    monkeypatch.setattr(os, "replace", lambda old, new: (events.append(new), name(old, new)))
    cut(tmp_path, CutOptions(side=64))
    rows = [n for n, event in enumerate(events) if isinstance(event, Path) and event.parent.name == ".parts"]
    tiles = [*(tmp_path / "out/images").iterdir(), *(tmp_path / "out/masks").iterdir()]
    assert (len(rows), len(tiles)) == (2, 12)
    for path in tiles:
        assert events.count(path.stat().st_ino) == 1, path
        row = next(n for n in rows if n > events.index(path))
        assert events.index(path.stat().st_ino) < row, path
        assert path.parent.stat().st_ino in events[events.index(path) : row], "its name, too"
    assert sum(event == (tmp_path / "out/images").stat().st_ino for event in events) == 2, "a row at a time"


def test_what_is_there_is_not_overwritten_unasked(tmp_path):
    options = CutOptions(side=64)
    cut(tmp_path, options)
    with pytest.raises(RasterError, match=r"out\.yaml exists, so these tiles were cut already: .*--overwrite"):
        cut(tmp_path, options)
    cut(tmp_path, CutOptions(side=32), overwrite=True)
    assert len(opened(tmp_path).samples("train")) == 15
    assert len(list((tmp_path / "out/images").iterdir())) == 15
    (tmp_path / "out/out.yaml").unlink()
    with pytest.raises(RasterError, match="the beginning of a cut of other options"):
        cut(tmp_path, options)
    (tmp_path / "out/cut.json").unlink()
    with pytest.raises(RasterError, match="holds other files than tiles"):
        cut(tmp_path, options, overwrite=True)
    with pytest.raises(RasterError, match=r"none of 6 tiles is kept \(0 empty, 6 without data\)"):
        cut(tmp_path / "none", CutOptions(side=64), scene(tmp_path / "none", IMAGE * 0, nodata=0))


def test_a_removal_that_was_interrupted_is_gone_on_with(tmp_path, monkeypatch):
    cut(tmp_path, CutOptions(side=64))
    removed, original = [], shutil.rmtree

    def dies(path, **options):
        if removed:
            raise KeyboardInterrupt
        removed.append(path)
        original(path, **options)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", dies)
        cut(tmp_path, CutOptions(side=32), overwrite=True)
    cut(tmp_path, CutOptions(side=32), overwrite=True)
    assert len(opened(tmp_path).samples("train")) == len(list((tmp_path / "out/images").iterdir())) == 15


def test_the_settings_are_written_first(tmp_path):
    cut(tmp_path, CutOptions(side=64, overlap=0.25))
    held = json.loads((tmp_path / "out/cut.json").read_text())
    assert held["options"]["overlap"] == 0.25
    assert list(held["rasters"]) == ["a"]
