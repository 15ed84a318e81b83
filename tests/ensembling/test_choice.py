"""ensemble.yaml: written, read, refused."""

from pathlib import Path

import pytest
import yaml

from maskfold.config import Config, PostConfig, TTAConfig, override
from maskfold.ensembling.choice import EnsembleChoice, RunChoice, read_ensemble, write_ensemble
from maskfold.errors import RunError


def two_runs():
    return EnsembleChoice(
        runs=[
            RunChoice(run="runs/a", checkpoint="swa", weight=0.25),
            RunChoice(run="runs/b", checkpoint="best", weight=0.75),
        ],
        tta=TTAConfig(views="d4", scales=(1.0, 1.5)),
        post=PostConfig(threshold=(0.45, 0.6), min_area={"雲": 50, "fog": 3}, steps={"a.b:C": {"sigma": 2}}),
        scores={"before": 0.8, "after": 0.81},
        hashes={"runs/a/fold_0/swa.safetensors": "ab", "runs/b/fold_0/best.safetensors": "cd"},
    )


def test_round_trip(tmp_path):
    choice = two_runs()
    write_ensemble(choice, tmp_path / "ensemble.yaml")
    assert read_ensemble(tmp_path / "ensemble.yaml", [Path("runs/a"), Path("runs/b")]) == choice
    assert choice.score == 0.81
    tree = yaml.safe_load((tmp_path / "ensemble.yaml").read_text(encoding="utf-8"))
    assert tree["runs"][1] == {"run": "runs/b", "checkpoint": "best", "weight": 0.75}
    config = override(Config(name="a"), {f"tta.{key}": value for key, value in tree["tta"].items()})
    config = override(config, {f"post.{key}": value for key, value in tree["post"].items()})
    assert (config.tta, config.post) == (choice.tta, choice.post), "nested as the config has it"


@pytest.mark.parametrize(("before", "after", "score"), [(0.8, 0.81, 0.81), (0.8, 0.79, 0.8), (0.8, 0.8, 0.8)])
def test_the_score_is_that_of_what_is_chosen(before, after, score):
    choice = two_runs().model_copy(update={"scores": {"before": before, "after": after}})
    assert (choice.score, choice.helped) == (score, after > before)
    assert choice.model_copy(update={"scores": {}}).score is None


def test_runs_that_were_moved(tmp_path):
    write_ensemble(two_runs(), tmp_path / "ensemble.yaml")
    moved = read_ensemble(tmp_path / "ensemble.yaml", [Path("/in/a"), Path("else/b2")])
    assert [run.run for run in moved.runs] == ["/in/a", "else/b2"]
    assert moved.checkpoints == ["swa", "best"]
    assert moved.hashes == {"/in/a/fold_0/swa.safetensors": "ab", "else/b2/fold_0/best.safetensors": "cd"}


def test_a_run_is_not_taken_for_another_whose_name_it_begins_with(tmp_path):
    weights = [RunChoice(run=run, checkpoint="best", weight=1.0) for run in ("runs/a", "runs/ab")]
    choice = EnsembleChoice(runs=weights, hashes={"runs/ab/fold_0/best.safetensors": "cd"})
    moved = choice.moved_to([Path("/in/x"), Path("/in/y")])
    assert moved.hashes == {"/in/y/fold_0/best.safetensors": "cd"}


def test_another_number_of_runs(tmp_path):
    write_ensemble(two_runs(), tmp_path / "ensemble.yaml")
    with pytest.raises(RunError, match=r"is for 2 runs, not for 1: run python src/tune\.py again"):
        read_ensemble(tmp_path / "ensemble.yaml", [Path("runs/a")])


@pytest.mark.parametrize(
    "text", ["runs: [", "tta: {views: d4}\n", "runs: []\npost: {threshhold: 0.5}\n", "checkpoints: []\nviews: d4\n"]
)
def test_damage_is_named(text, tmp_path):
    (tmp_path / "ensemble.yaml").write_text(text)
    with pytest.raises(RunError, match=r"ensemble\.yaml is damaged .*tune\.py"):
        read_ensemble(tmp_path / "ensemble.yaml", [Path("runs/a")])


def test_missing(tmp_path):
    with pytest.raises(RunError, match=r"tune\.py first"):
        read_ensemble(tmp_path / "ensemble.yaml", [Path("runs/a")])
