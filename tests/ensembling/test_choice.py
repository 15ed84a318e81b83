"""ensemble.yaml: written, read, refused."""

from pathlib import Path

import pytest

from maskfold.ensembling.choice import CheckpointChoice, EnsembleChoice, read_ensemble, write_ensemble
from maskfold.errors import RunError


def two_runs():
    return EnsembleChoice(
        checkpoints=[
            CheckpointChoice(run="runs/a", checkpoint="swa", weight=0.25),
            CheckpointChoice(run="runs/b", checkpoint="best", weight=0.75),
        ],
        views="d4",
        threshold=0.45,
        min_area=50,
        scores={"before": 0.8, "after": 0.81},
        hashes={"runs/a/fold_0/swa.safetensors": "ab", "runs/b/fold_0/best.safetensors": "cd"},
    )


def test_round_trip(tmp_path):
    choice = two_runs()
    write_ensemble(choice, tmp_path / "ensemble.yaml")
    assert read_ensemble(tmp_path / "ensemble.yaml", [Path("runs/a"), Path("runs/b")]) == choice
    assert choice.score == 0.81


def test_runs_that_were_moved(tmp_path):
    write_ensemble(two_runs(), tmp_path / "ensemble.yaml")
    moved = read_ensemble(tmp_path / "ensemble.yaml", [Path("/in/a"), Path("else/b2")])
    assert [checkpoint.run for checkpoint in moved.checkpoints] == ["/in/a", "else/b2"]
    assert [checkpoint.checkpoint for checkpoint in moved.checkpoints] == ["swa", "best"]
    assert moved.hashes == {"/in/a/fold_0/swa.safetensors": "ab", "else/b2/fold_0/best.safetensors": "cd"}


def test_another_number_of_runs(tmp_path):
    write_ensemble(two_runs(), tmp_path / "ensemble.yaml")
    with pytest.raises(RunError, match=r"is of 2 runs, not of 1: run python src/tune\.py again"):
        read_ensemble(tmp_path / "ensemble.yaml", [Path("runs/a")])


@pytest.mark.parametrize("text", ["checkpoints: [", "views: d4\n", "checkpoints: []\nviews: d4\nthreshhold: 0.5\n"])
def test_damage_is_named(text, tmp_path):
    (tmp_path / "ensemble.yaml").write_text(text)
    with pytest.raises(RunError, match=r"ensemble\.yaml is damaged .*tune\.py"):
        read_ensemble(tmp_path / "ensemble.yaml", [Path("runs/a")])


def test_missing(tmp_path):
    with pytest.raises(RunError, match=r"tune\.py first"):
        read_ensemble(tmp_path / "ensemble.yaml", [Path("runs/a")])
