"""ensemble.yaml: written, read, refused."""

import pytest

from maskfold.runs import EnsembleChoice, RunError, read_ensemble, write_ensemble
from maskfold.runs.ensemble import MemberChoice


def test_round_trip(tmp_path):
    choice = EnsembleChoice(
        members=[
            MemberChoice(run="runs/a", member="swa", weight=0.25),
            MemberChoice(run="runs/b", member="best", weight=0.75),
        ],
        views="d4",
        threshold=0.45,
        min_area=50,
        scores={"before": 0.8, "after": 0.81},
        hashes={"runs/a/fold_0/swa.safetensors": "ab"},
    )
    write_ensemble(choice, tmp_path / "ensemble.yaml")
    assert read_ensemble(tmp_path / "ensemble.yaml") == choice
    assert choice.score == 0.81


@pytest.mark.parametrize("text", ["members: [", "views: d4\n", "members: []\nviews: d4\nthreshhold: 0.5\n"])
def test_damage_is_named(text, tmp_path):
    (tmp_path / "ensemble.yaml").write_text(text)
    with pytest.raises(RunError, match=r"ensemble\.yaml is damaged .*tune\.py"):
        read_ensemble(tmp_path / "ensemble.yaml")


def test_missing(tmp_path):
    with pytest.raises(RunError, match=r"tune\.py first"):
        read_ensemble(tmp_path / "ensemble.yaml")
