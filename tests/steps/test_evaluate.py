"""What evaluation says of runs: scores, whether tuning helped, which run is better."""

from pathlib import Path

import numpy as np
import pytest
from tests.drawn_runs import dice, make_run

from maskfold.config import override
from maskfold.ensembling.choice import write_ensemble
from maskfold.ensembling.submit import default_choice
from maskfold.scoring.calibration import calibration_oof, fold_temperatures
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
    calibration = calibration_oof(default_choice([a]), competition)
    found = calibration.before
    assert found["ece"] == pytest.approx(expected)
    assert found["sce"] == pytest.approx(expected)
    assert found["brier"] == pytest.approx((1 - built) * low**2 + built * (1 - high) ** 2)
    assert found["log_loss"] == pytest.approx(-(1 - built) * np.log(1 - low) - built * np.log(high), abs=1e-6)
    # All decisions are right, so the more certain the better: the lowest temperature, 1/4.
    assert calibration.temperature == 0.25
    assert fold_temperatures(default_choice([a]), competition) == {"0": 0.25, "1": 0.25}
    sharp = [odds**4 / (1 + odds**4) for odds in (low / (1 - low), high / (1 - high))]
    assert calibration.after["ece"] == pytest.approx((1 - built) * sharp[0] + built * (1 - sharp[1]), rel=1e-3)
    assert "at temperature 0.25, cross-fitted: decisions 0.00" in calibration.lines()


def test_a_temperature_that_helps_only_where_it_was_fitted_is_not_claimed(config, competition, truth, tmp_path):
    """Fold 0 promises too much, fold 1 too little: what suits one makes the other worse."""
    names = sorted(truth)
    valid = {0: names[::2], 1: names[1::2]}
    says = {0: (0.01, 0.99), 1: (0.45, 0.55)}
    rng = np.random.default_rng(0)
    maps = {}
    for fold, ids in valid.items():
        wrong = {n: (rng.random(truth[n].shape) < (0.2 if fold == 0 else 0.02)) for n in ids}
        maps[fold] = {n: np.where(truth[n] ^ wrong[n], says[fold][1], says[fold][0])[None] for n in ids}
    run = make_run(tmp_path, "odd", config, {"best": maps}, valid)
    found = calibration_oof(default_choice([run]), competition)
    assert found.after["log_loss"] > found.before["log_loss"]
    assert not found.helps
    assert fold_temperatures(default_choice([run]), competition) == {}
    assert found.lines().splitlines()[1] == "no temperature lowers the log loss of images that it was not fitted to"


def test_a_fold_has_no_say_in_its_own_temperature(config, competition, truth, tmp_path):
    """Folds 0, 1, 2 are right in 7, 9, 8 of 10 pixels, all say 0.9: each gets the temperature that suits the others."""
    names, rng = sorted(truth), np.random.default_rng(1)
    valid = {fold: names[fold::3] for fold in range(3)}
    right = dict(zip(range(3), (0.7, 0.9, 0.8), strict=True))
    maps = {
        fold: {n: (0.1 + 0.8 * (truth[n] ^ (rng.random(truth[n].shape) > right[fold])))[None] for n in ids}
        for fold, ids in valid.items()
    }
    run = make_run(tmp_path, "apart", config, {"best": maps}, valid)
    found = fold_temperatures(default_choice([run]), competition)
    sizes = {fold: sum(truth[name].size for name in ids) for fold, ids in valid.items()}
    for fold in valid:
        others = [other for other in valid if other != fold]
        share = sum(right[other] * sizes[other] for other in others) / sum(sizes[other] for other in others)
        assert found[str(fold)] == pytest.approx(np.log(9) / np.log(share / (1 - share)), rel=0.1)
    assert found["1"] > found["2"] > found["0"]


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
