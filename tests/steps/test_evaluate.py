"""What evaluation says of runs: scores, whether tuning helped, which run is better."""

from pathlib import Path

import numpy as np
import pytest
from tests.drawn_runs import dice, make_run

from maskfold.config import override
from maskfold.ensembling.choice import write_ensemble
from maskfold.ensembling.submit import default_choice
from maskfold.scoring.evaluate import calibration_oof
from maskfold.steps.evaluate import show_runs


@pytest.fixture
def runs(config, truth, tmp_path, monkeypatch):
    """Run a is right on all pixels above 0.35; run b, of a higher threshold, misses half of every building."""
    monkeypatch.chdir(tmp_path)
    names = sorted(truth)
    valid = {0: names[::2], 1: names[1::2]}

    def halved(mask):
        return mask * (np.arange(mask.shape[1]) % 2)

    def maps(draw):
        return {"best": {fold: {n: (0.1 + 0.7 * draw(truth[n]))[None] for n in ids} for fold, ids in valid.items()}}

    a = make_run(Path("runs"), "a", override(config, {"name": "a"}), maps(lambda mask: mask), valid)
    b = make_run(Path("runs"), "b", override(config, {"name": "b", "post.threshold": 0.6}), maps(halved), valid)
    return a, b, np.mean([dice(halved(mask).astype(np.uint8), mask) for mask in truth.values()])


def test_an_untuned_run_is_to_be_tuned(runs, competition, capsys):
    a, b, score = runs
    assert show_runs([b], competition, b.config) is False
    out = capsys.readouterr().out
    assert f"not tuned: dice {score:.4f} (95 % of bootstraps over images" in out
    assert "Verdict: not tuned; tuning chooses" in out
    assert "calibration of these probabilities" in out
    show_runs([a], competition, override(a.config, {"post.threshold": 0.9}))
    assert "not tuned: dice 0.1667" in capsys.readouterr().out, "the command line's threshold: nothing is foreground"


def test_the_better_of_two_runs_is_named(runs, competition, capsys):
    a, b, _ = runs
    show_runs([b, a], competition, b.config)
    assert "Verdict: runs/a is better than runs/b, not tuned" in capsys.readouterr().out


def test_calibration_is_that_of_the_maps(runs, competition, truth):
    a = runs[0]
    built = np.mean(np.concatenate([mask.ravel() for mask in truth.values()]))
    low, high = 26 / 255, 204 / 255  # 0.1 and 0.8 as the maps hold them; every decision at 0.5 is right
    expected = (1 - built) * low + built * (1 - high)
    found = calibration_oof(default_choice([a]), competition)
    assert found["ece"] == pytest.approx(expected)
    assert found["sce"] == pytest.approx(expected)
    assert found["brier"] == pytest.approx((1 - built) * low**2 + built * (1 - high) ** 2)


@pytest.mark.parametrize(
    ("scores", "said"),
    [((0.5, 0.53), "tuning gains +0.0300"), ((0.5, 0.48), "tuning did not help; the config's own settings predict")],
)
def test_a_tuned_run_is_told_what_tuning_gained(runs, competition, capsys, scores, said):
    a = runs[0]
    tuned = {"metric": "dice", "scores": dict(zip(("before", "after"), scores, strict=True))}
    write_ensemble(default_choice([a]).model_copy(update=tuned), a.ensemble_path)
    assert show_runs([a], competition, a.config) is True
    out = capsys.readouterr().out
    assert f"dice {scores[0]:.4f} before tuning, {scores[1]:.4f} after (cross-fitted)" in out
    assert out.splitlines()[-1] == f"Verdict: {said}"
