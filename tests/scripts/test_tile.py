import json
import shutil

import pytest
import rasterio
from tests.drawn_rasters import LOCAL, draw_scenes, random_run, tile_config

from maskfold.cli.values import above_zero, band_list, below_one, count_from, share
from maskfold.ensembling.rasters import RasterEnsemble


@pytest.fixture
def hubmap(kidneys, tmp_path, monkeypatch):
    shutil.copytree(kidneys, tmp_path / "kidneys")
    monkeypatch.chdir(tmp_path / "kidneys")
    return tmp_path / "kidneys"


OWN = ("--competition.profile", "profile.yaml", "--competition.root", "data")


def test_cut_and_what_comes_next(hubmap, script):
    done = script("tile", "cut", *OWN, "--size", 64, "--keep-empty", 0)
    assert done.code == 0
    assert "2 rasters, " in done.out
    last = done.out.splitlines()[-1]
    assert last == (
        "Next: python src/train_all.py --competition.profile data/tiles/profile_tiles.yaml --competition.root data"
    )
    again = script("tile", "cut", *OWN, "--size", 64, "--keep-empty", 0)
    assert again.code == 1
    assert "these tiles were cut already: choose another --out, or give --overwrite" in again.err
    assert script("tile", "cut", *OWN, "--size", 48, "--overwrite").code == 0
    outside = script("tile", "cut", *OWN, "--out", "tiles")
    assert outside.code == 1
    assert "the tiles of a competition go into a folder inside data" in outside.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("slice",), "invalid choice: 'slice'"),
        (("cut", "--size", "20"), "'20' is not a whole number from 32"),
        (("cut", "--overlap", "1"), "'1' is not a number from 0 to below 1"),
        (("cut", "--masks", "a.tif"), "--masks, --classes, --bands and --white need --images"),
        (("cut", "--images", "a.tif"), "--images needs --masks and --out"),
        (("cut", "--images", "a.tif", "--seed", "3"), "--images cannot be combined with a competition"),
        (("cut", "--bands", "0-2"), "'0-2' names no band"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, script, words, text):
    monkeypatch.chdir(tmp_path)
    done = script("tile", *words)
    assert done.code == 2
    assert text in done.err


def test_files_that_are_not_there_or_do_not_fit(tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    draw_scenes(tmp_path / "in")
    done = script("tile", "cut", "--images", "in/none.tif", "--masks", "in/south_mask.tif", "--out", "out")
    assert (done.code, done.err) == (1, "error: there is no file in/none.tif: give rasters and their masks\n")
    scenes = ("in/north.tif", "in/south.tif")
    done = script("tile", "cut", "--images", *scenes, "--masks", "in/south_mask.tif", "--out", "out")
    assert "2 images and 1 masks are given" in done.err
    done = script("tile", "cut", "--images", *scenes, "--masks", "in", "--out", "out")
    assert "in has 2 files called north, expected one: the mask of in/north.tif" in done.err
    done = script("tile", "cut", "--images", scenes[0], "--masks", "in/south_mask.tif", "--out", "out")
    assert "in/south_mask.tif is 530x610 (height x width), in/north.tif 560x600" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_rasters_are_predicted_into_files(cut_kidneys, tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    random_run(tile_config(cut_kidneys, "local", **LOCAL), tmp_path / "runs")
    draw_scenes(tmp_path / "in")
    scenes = ("in/north.tif", "in/south.tif")
    done = script("tile", "predict", *scenes, "--runs", "runs/local", "--scale", 0.5)
    assert done.code == 0
    assert done.out.splitlines()[-3:-1] == ["rasters/local/north.tif", "rasters/local/south.tif"]
    with rasterio.open("rasters/local/north.tif") as found, rasterio.open(scenes[0]) as given:
        assert (found.shape, found.crs, found.transform) == (given.shape, given.crs, given.transform)
    again = script("tile", "predict", *scenes, "--runs", "runs/local")
    assert (again.code, "north.tif, rasters/local/south.tif exists" in again.err) == (1, True)
    done = script("tile", "predict", scenes[0], "--runs", "runs/local", "--out", "a.geojson", "--tta.views", "flips")
    assert done.code == 0
    assert json.loads((tmp_path / "a.geojson").read_text())["type"] == "FeatureCollection"
    done = script("tile", "predict", *scenes, "--runs", "runs/local", "--out", "p", "--probabilities", "--scale", 0.5)
    assert done.code == 0
    with rasterio.open("p/south.tif") as found, rasterio.open("rasters/local/south.tif") as mask:
        assert found.dtypes == ("float32",)
        assert ((found.read(1) >= 0.5) != mask.read(1)).mean() < 0.1  # masks are resized after they are decided
    assert not list(tmp_path.glob("**/.*"))


def test_what_cannot_be_written_is_refused_before_anything_is_predicted(cut_kidneys, tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    random_run(tile_config(cut_kidneys, "local", **LOCAL), tmp_path / "runs")
    shutil.copy(cut_kidneys / "data/test/dd4.tif", "a.tif")
    monkeypatch.setattr("maskfold.steps.rasters.RasterEnsemble", lambda *_, **__: pytest.fail("networks were loaded"))
    for words, text in (
        (("a.tif", "--out", "a.geojson"), "a.tif has no georeference, so its polygons have no place on earth"),
        (("a.tif", "--out", "b.json", "--probabilities"), "probabilities are written as tif"),
        (("a.tif", "--out", "a.tif", "--overwrite"), "--out is the raster itself, a.tif"),
        (("a.tif", "a.tif"), "two rasters are called a"),
        (("a.tif", "b.tif"), "there is no file b.tif"),
        (("a.tif", "a.tif", "--out", "b.tif"), "but 2 rasters are given: give a folder"),
    ):
        done = script("tile", "predict", *words, "--runs", "runs/local")
        assert done.code == 1
        assert text in done.err


def test_gates_that_see_a_whole_image_are_refused(cut_kidneys, tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    random_run(tile_config(cut_kidneys, "local", **LOCAL), tmp_path / "runs")
    done = script("predict", "--runs", "runs/local", "--post.top_mean", "{threshold: 0.5, pixels: 25}")
    assert done.code == 1
    assert "post.top_mean looks at a whole image" in done.err


def test_rows_of_instances_are_refused_before_anything_is_predicted(cut_kidneys, tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(cut_kidneys, tmp_path / "cut")
    with (tmp_path / "cut/data/tiles/profile_tiles.yaml").open("a") as profile:
        profile.write("rows: instance\n")
    random_run(tile_config(tmp_path / "cut", "local", **LOCAL), tmp_path / "runs")
    monkeypatch.setattr(RasterEnsemble, "masks", lambda *_, **__: pytest.fail("a raster is predicted"))
    done = script("predict", "--runs", "runs/local")
    assert done.code == 1
    assert "rows: instance, and the components of a mask that is read by windows are not known" in done.err
    assert not list((tmp_path / "submissions").glob("*.csv"))


def test_numbers_of_the_command_line():
    assert (share("0"), share("1"), below_one("0.9"), above_zero("2.5")) == (0, 1, 0.9, 2.5)
    assert count_from(3)("3") == 3
    assert band_list("1-3, 8") == (1, 2, 3, 8)
    wrong = (
        (share, "1.1"),
        (below_one, "1"),
        (above_zero, "0"),
        (above_zero, "x"),
        (band_list, "a"),
        (count_from(3), "2"),
    )
    for kind, text in wrong:
        with pytest.raises(Exception, match=r"is not|names no"):
            kind(text)
