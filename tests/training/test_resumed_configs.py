"""The configs of what is added to a network or to its targets: two steps, stopped and resumed, tuned, predicted."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.test_configs import SMALL

from maskfold.config import load_config, override
from maskfold.runs import Run
from maskfold.steps.predict import predict, predict_out_of_fold
from maskfold.steps.tune import tune
from maskfold.training import Callback, fit

CONFIGS = Path(__file__).parents[2] / "configs"
TERMS = {
    "demo_deep_supervision": {"bce", "dice", "deep_1_bce", "deep_2_bce"},
    "demo_hypercolumns": {"bce", "dice", "deep_1_bce", "deep_2_bce"},
    "demo_dropout": {"bce", "dice"},
    "demo_annotators": {"bce", "dml"},
    "demo_semi": {"bce", "dice", "consistency", "confident"},
}


class StopAfterOne(Callback):
    def on_epoch(self, session):
        return "enough" if session.epoch == 1 else None


def content(run):
    """Everything that must be the same bit for bit: weights, what training logged, out-of-fold maps."""
    fold = run.fold(0)
    files = {path.name: path.read_bytes() for path in [*fold.path.glob("*.safetensors"), fold.path / "metrics.csv"]}
    stores = {path.name: fold.oof(path.name) for path in fold.path.glob("oof/*")}
    return files | {f"{name} {i}": store.read(i).tobytes() for name, store in stores.items() for i in store.ids()}


@pytest.fixture(scope="module")
def annotated(drawn, tmp_path_factory):
    """The tiny competition and three annotators, each of whom has another image's mask on every third image."""
    folder = shutil.copytree(drawn, tmp_path_factory.mktemp("annotated") / "tiles")
    lines = [line.split("\t") for line in (folder / "train_mask.csv").read_text().splitlines()]
    for number in (1, 2, 3):
        rows = [[name, lines[at - 2][1] if at % 3 == number - 1 else rle] for at, (name, rle) in enumerate(lines)]
        (folder / f"train_mask_{number}.csv").write_text("".join("\t".join(row) + "\n" for row in rows))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", TERMS)
def test_stopped_resumed_tuned_and_predicted(name, annotated, tmp_path, monkeypatch, capsys):
    given = load_config(CONFIGS / f"{name}.yaml")
    small = {
        "competition.root": annotated,
        "folds": {"kind": "kfold", "count": 3},
        "model.encoder": "mobilenet_v2",
        "model.options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
        "data.crop": 32,
        "train.epoch_images": 2,
        "train.oof_checkpoints": 2,
        "tune.tried": {"threshold": [0.4, 0.5], "fill_holes": [0], "min_area": [0]},
    }
    config = override(given, {**SMALL, **small})
    runs = {place: Run.create(config, tmp_path / place) for place in ("whole", "stopped")}
    fit(runs["whole"], 0)
    assert fit(runs["stopped"], 0, [StopAfterOne()])["epochs"] == 1
    summary = fit(runs["stopped"], 0)
    assert (summary["epochs"], summary["steps"]) == (2, 2)
    wanted, found = content(runs["whole"]), content(runs["stopped"])
    assert {"best.safetensors", "ema.safetensors"} < wanted.keys()
    assert sum(" " in key for key in wanted) == 12, "two checkpoints, six validation images"
    assert found == wanted
    run = runs["whole"]
    columns = set(pd.read_csv(run.fold(0).path / "metrics.csv").columns)
    assert TERMS[name] <= columns
    assert not {column for column in columns if column.startswith("deep")} - TERMS[name]

    monkeypatch.chdir(tmp_path)
    passes = given.tta.dropout_passes
    maps = run.fold(0).oof("best")
    on = [maps.read(i).tobytes() for i in maps.ids()]
    assert maps.made_with()["dropout_passes"] == passes
    made = {path: path.stat().st_mtime_ns for path in run.fold(0).path.glob("oof/*/maps.json")}
    assert tune(run).tta.dropout_passes == passes
    assert yaml.safe_load(run.ensemble_path.read_text())["tta"]["dropout_passes"] == passes
    assert {path: path.stat().st_mtime_ns for path in made} == made, "training's own maps serve tuning"
    path = predict(run, tmp_path / "a.csv")
    again = predict(run, tmp_path / "b.csv", overrides={"inference.batch_size": 1})
    assert path.read_bytes() == again.read_bytes(), "no dependence on the batch"
    assert ("4 passes with dropout" in capsys.readouterr().out) == bool(passes)
    if passes:
        predict_out_of_fold(run, untuned=True, overrides={"tta.dropout_passes": 0})
        assert "Note: tta.dropout_passes is 0, not 4 as in the run's config." in capsys.readouterr().out
        maps = run.fold(0).oof("best")
        assert maps.made_with()["dropout_passes"] == 0, "maps made otherwise are made again"
        assert [maps.read(i).tobytes() for i in maps.ids()] != on
        predict_out_of_fold(run, untuned=True)
        maps = run.fold(0).oof("best")
        assert [maps.read(i).tobytes() for i in maps.ids()] == on
