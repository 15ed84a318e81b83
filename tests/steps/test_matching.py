"""Runs of other classes, or of other images, are not averaged; runs of several machines are."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.drawn_runs import make_run, truth_of

from maskfold.config import load_config, override
from maskfold.errors import FoldsError, RunError
from maskfold.runs import Run
from maskfold.steps.evaluate import evaluate
from maskfold.steps.export import export
from maskfold.steps.matching import matching_runs
from maskfold.steps.pack import pack
from maskfold.steps.predict import predict, predict_out_of_fold
from maskfold.steps.pseudo import pseudo_label
from maskfold.steps.rasters import predict_rasters
from maskfold.steps.train import train
from maskfold.steps.tune import tune

PROFILE = {
    "layout": "csv",
    "metric": "dice",
    "train": {"table": "train.csv", "image": "train/{id}.png"},
    "test": {"table": "sample.csv", "image": "test/{id}.png"},
    "columns": {"id": "id", "class": "class", "mask": "mask"},
    "rows": "class",
    "class_names": ["ground", "road", "roof"],
}
PIXELS = {"train": "sizes.csv", "test": "sizes.csv"}


def run_of(name, *, names=None, **changes):
    """A run with a profile of its own, `PROFILE` with some changes, and class ``names`` in the config."""
    path = Path(f"{name}.yaml")
    path.write_text(yaml.safe_dump({**PROFILE, **changes}))
    keys = {"competition.profile": str(path), "competition.root": "data/x", "competition.class_names": names}
    run = Run(Path("runs") / name)
    run.adopt(load_config(None, keys, name=name))
    return run


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"class_names": ["ground", "roof", "road"]},
            r"runs/a and runs/b do not go together: class_names is ground, road, roof in the first, ground, roof, road "
            r"in the second\. Name runs of one competition",
        ),
        ({"task": "multilabel"}, "task is null in the first, multilabel in the second"),
        ({"image_spec": {"channels": 4}}, r"image_spec is \{'channels': 3, .* first, \{'channels': 4, "),
        ({"pixel_size": {"wanted": 0.4, **PIXELS}}, r"pixel_size\.wanted is null in the first, 0\.4 in the second"),
    ],
)
def test_runs_of_other_classes_or_images_are_refused(here, changes, text):
    with pytest.raises(RunError, match=text):
        matching_runs([run_of("a"), run_of("b", **changes)])


def test_what_is_compared_is_what_networks_see_and_tell(here):
    """Not what the profile is called, where its tables are, or names that the config replaces."""
    names = ["ground", "road", "hut"]
    first = run_of("a", names=names, pixel_size={"wanted": 0.5, **PIXELS})
    moved = {"wanted": 0.5, "train": "old.csv", "test": "old.csv"}
    other = run_of("b", class_names=["soil", "way", "house"], names=names, pixel_size=moved, metric="miou")
    assert matching_runs([first, other]) == [first, other]
    assert matching_runs(first) == [first]


@pytest.mark.parametrize(
    "step",
    [
        tune,
        predict,
        predict_out_of_fold,
        evaluate,
        export,
        pack,
        pseudo_label,
        lambda runs: predict_rasters(runs, []),
    ],
)
def test_every_step_refuses_them(here, step):
    runs = [run_of("a"), run_of("b", class_names=["ground", "roof", "road"])]
    with pytest.raises(RunError, match="do not go together: class_names"):
        step(runs)


@pytest.mark.parametrize("again", ["runs/a", "runs/../runs/a", "alias"])
def test_a_run_that_is_named_twice_would_count_double_and_is_refused(here, again):
    first, other = run_of("a"), run_of("b")
    Path("alias").symlink_to(first.path, target_is_directory=True)
    with pytest.raises(RunError, match=rf"one run is named more than once \(runs/a, {again}\): name it once"):
        matching_runs([first, other, Run(Path(again))])


@pytest.mark.parametrize(
    "step", [train, predict, export, pack, lambda run, folds: predict_rasters(run, [], folds=folds)]
)
def test_a_fold_that_is_named_twice_would_count_double_and_is_refused(here, drawn, tiny, step):
    run = Run.create(override(tiny, {"competition.root": drawn}), Path("runs"))
    with pytest.raises(FoldsError, match=r"folds are 1, 0, 1: name 1 once"):
        step(run, folds=(1, 0, "1"))


def test_runs_of_two_machines_are_tuned_together(here, config, drawn):
    """One was trained where the files are no more; each is right where the other is wrong."""
    truth = truth_of(drawn)
    ids = sorted(truth)
    valid = {0: ids[::2], 1: ids[1::2]}
    away = here / "away"
    shutil.copytree(drawn, away)
    rng, runs = np.random.default_rng(5), []
    for name, root in (("a", away), ("b", drawn)):
        maps = {
            fold: {one: np.clip(truth[one] * 0.4 + rng.random(truth[one].shape) * 0.6, 0, 1)[None] for one in names}
            for fold, names in valid.items()
        }
        own = override(config, {"competition.root": root})
        runs.append(make_run(here / "runs", name, own, {"best": maps}, valid))
    shutil.rmtree(away)
    with pytest.raises(RunError, match=r"files of several folders \(.*away, .*\): if it is one competition, say where"):
        tune(runs)
    choice = tune(runs, overrides={"competition.root": drawn})
    assert [run.weight > 0.2 for run in choice.runs] == [True, True]
    assert choice.scores["after"] > 0.6
