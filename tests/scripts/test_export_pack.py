"""Exported files, another engine and packs, through the scripts."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tests.drawn_runs import random_run
from tests.scripts.conftest import write_config

from maskfold.competitions import open_competition
from maskfold.config import TTAConfig, load_config
from maskfold.ensembling.checkpoints import run_networks
from maskfold.ensembling.engines import onnx_networks
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.submit import default_choice
from maskfold.runs import Run


@pytest.fixture
def run(here):
    """Two finished folds of random weights, in runs/tiny."""
    keys = {"competition.root": "data/mine", "model.encoder": "resnet18"}
    return random_run(Path("runs"), load_config("tiny.yaml", keys), folds=(0, 1))


def maps(choice, run, engine):
    competition = run.competition()
    ensemble = Ensemble(choice, competition, batch_size=2, runs=[run], engine=engine)
    return np.concatenate([found.probability.ravel() for found in ensemble.predict(competition.samples("test"))])


@pytest.mark.slow
def test_the_engine_makes_the_same_probabilities_with_views_scales_and_windows(run, capsys):
    pytest.importorskip("onnxruntime")
    plain = default_choice([run])
    for tta in (
        TTAConfig(views="d4", scales=(1.0, 0.7), merge="logits"),
        TTAConfig(views="flips", window=32, overlap=0.4),
        TTAConfig(views="none"),
    ):
        choice = plain.model_copy(update={"tta": tta})
        found, wanted = maps(choice, run, "onnx"), maps(choice, run, "torch")
        assert np.abs(found - wanted).max() < 1e-4
        assert wanted.std() > 0.01
    assert capsys.readouterr().out.count(" to ONNX …") == 2


@pytest.mark.slow
def test_a_file_of_all_folds_and_of_one(run, script):
    session_of = pytest.importorskip("onnxruntime").InferenceSession
    done = script("export", "--runs", "runs/tiny")
    assert done.code == 0, done.err
    assert "Exported: runs/tiny/tiny.onnx" in done.out
    assert done.out.splitlines()[-1] == "Next: python src/predict.py --runs runs/tiny --engine onnx"
    again = script("export", "--runs", "runs/tiny")
    assert again.code == 1
    assert "runs/tiny/tiny.onnx exists: choose another --out, or give --overwrite" in again.err
    alone = script("export", "--runs", "runs/tiny", "--folds", "1", "--format", "torchscript", "--out", "one.pt")
    assert alone.code == 0, alone.err
    assert script("export", "--runs", "runs/tiny", "--out", "one.pt").code == 1
    competition = run.competition()
    session = session_of("runs/tiny/tiny.onnx", providers=["CPUExecutionProvider"])
    for sample in competition.samples("test")[:2]:
        image = np.ascontiguousarray(competition.image(sample.image).transpose(2, 0, 1))[None]
        both, _ = run_networks(run, "best", [0, 1], competition)
        with torch.inference_mode():
            folds = [network(torch.from_numpy(image)).logits.sigmoid() for network in both]
            one = torch.jit.load("one.pt")(torch.from_numpy(image))
        np.testing.assert_allclose(session.run(None, {"images": image})[0], np.mean(folds, 0), atol=1e-4)
        torch.testing.assert_close(one, folds[1])


@pytest.mark.slow
def test_packs_predict_as_their_runs_do(here, run, script):
    # The tiny competition has a profile and a class of its own, and moves after packing.
    profile = yaml_of_profile(run)
    for out in ("packed", "packed.zip"):
        done = script("pack", "--runs", "runs/tiny", "--out", out, "--tta.views", "d4", "--post.min_area", "3")
        assert done.code == 0, done.err
    assert "Out of fold: dice " in done.out
    assert done.out.splitlines()[-1] == "Next: python src/predict.py --pack packed.zip --competition.root data/mine"
    changes = ("--tta.views", "d4", "--post.min_area", "3")
    assert script("predict", "--runs", "runs/tiny", "--out", "wanted.csv", *changes).code == 0
    assert script("predict", "--runs", "runs/tiny", "--out", "one.csv", "--folds", "1", *changes).code == 0
    shutil.rmtree("runs")
    profile.unlink()
    Path("data").rename("moved")
    place = ("--competition.root", "moved/mine")
    for pack in ("packed", "packed.zip"):
        done = script("predict", "--pack", pack, "--out", f"{pack}.csv", *place)
        assert done.code == 0, done.err
        assert f"Pack: {pack}\nFolds: 0, 1\n" in done.out
        assert Path(f"{pack}.csv").read_bytes() == Path("wanted.csv").read_bytes()
    assert script("predict", "--pack", "packed", "--folds", "1", "--out", "again.csv", *place).code == 0
    assert Path("again.csv").read_bytes() == Path("one.csv").read_bytes()
    assert script("predict", "--pack", "packed", *place).out.count("Valid submission: submissions/tiny.csv") == 1
    weights = Path("packed/runs/tiny/fold_1/best/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    refused = script("predict", "--pack", "packed", *place)
    assert refused.code == 1
    assert "packed is damaged, runs/tiny/fold_1/best/model.safetensors is not what was packed" in refused.err
    wrong = script("predict", "--pack", "packed", "--runs", "runs/tiny")
    assert wrong.code == 2
    assert "--pack cannot be combined with --runs" in wrong.err


def yaml_of_profile(run):
    """The run's profile as a file of the user's own, by an absolute path, as configs name it."""
    path = Path("mine.yaml").absolute()
    path.write_text(yaml.safe_dump(run.competition().profile.model_dump(mode="json") | {"name": "mine"}))
    config = yaml.safe_load((run.path / "config.yaml").read_text())
    config["competition"] |= {"profile": str(path), "class_names": ["house"]}
    (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    return path


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif("MASKFOLD_REAL_DATA" not in os.environ, reason="MASKFOLD_REAL_DATA is not set")
def test_trained_on_real_tiles(tmp_path, monkeypatch, script):
    """A U-Net of three folds: one network and the mean of all, on real images of two sizes."""
    ort = pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    copy_tiles(Path(os.environ["MASKFOLD_REAL_DATA"]) / "satellite_buildings", Path("data/tiles"), train=9, test=4)
    keys = {
        "model.encoder": "resnet18",
        "train.epochs": 1,
        "tta.views": "none",
        "competition.root": "data/tiles",
    }
    write_config(Path("tiles.yaml"), **{key.replace(".", "__"): value for key, value in keys.items()})
    assert script("train_all", "--config", "tiles.yaml").code == 0
    run = Run.open(Path("runs/tiles"))
    competition = open_competition(run.config.competition)
    done = script("export", "--runs", "runs/tiles", "--out", "mean.onnx")
    assert done.code == 0, done.err
    session = ort.InferenceSession("mean.onnx", providers=["CPUExecutionProvider"])
    networks, _ = run_networks(run, "best", [0, 1, 2], competition)
    (twin,) = onnx_networks(run, "best", [1], networks[1:2], competition)
    for sample, size in zip(competition.samples("test")[:2], ((512, 512), (350, 437)), strict=True):
        image = competition.image(sample.image)[: size[0], : size[1]]
        images = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        with torch.inference_mode():
            folds = [network(images).logits.sigmoid().numpy() for network in networks]
            alone = twin(images).logits.sigmoid().numpy()
        found = session.run(None, {"images": images.numpy()})[0]
        for ours, wanted in ((found, np.mean(folds, 0)), (alone, folds[1])):
            assert ours.shape == wanted.shape == (1, 1, *image.shape[:2])
            assert np.abs(ours - wanted).max() <= 1e-3
            assert ((ours >= 0.5) == (wanted >= 0.5)).mean() > 0.9999
            assert wanted.std() > 0.01


def copy_tiles(source, place, *, train, test):
    """A few tiles of a competition in the reference layout."""
    for split, count, table in (("train", train, "train_mask.csv"), ("test_a", test, "test_a_samplesubmit.csv")):
        (place / split).mkdir(parents=True)
        rows = (source / table).read_text().splitlines()[:count]
        (place / table).write_text("\n".join(rows) + "\n")
        for row in rows:
            name = row.split("\t")[0]
            shutil.copy(source / split / name, place / split / name)
