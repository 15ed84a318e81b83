"""The CRF earns its place out of fold: maps whose best decoding is known, beside drawn images with clean edges."""

from functools import partial

import numpy as np
import pytest
from tests.drawn_runs import dice, make_run, truth_of
from tests.ensembling.test_tune import by_fold, split_taste, thirds

from maskfold.config import CRFConfig, PostConfig, override
from maskfold.ensembling.choice import read_ensemble, write_ensemble
from maskfold.ensembling.settings import Scorer
from maskfold.ensembling.submit import write_submission
from maskfold.ensembling.tune import tune
from maskfold.inference.decoding.crf import CRF
from maskfold.inference.predict import Prediction
from maskfold.scoring.evaluate import evaluate_oof

# The drawn images are noisier than photographs (12 of 255 levels), and no larger than 48 x 56 pixels.
FIELD = {"w1": 4.0, "theta_alpha": 10.0, "theta_beta": 6.0, "w2": 1.0, "theta_gamma": 1.0, "steps": 2}
ALONE = {name: [value] for name, value in FIELD.items() if name != "steps"}
PLAIN = {"tune.tried.threshold": [0.5], "tune.tried.fill_holes": [0], "tune.tried.min_area": [0]}


def asked(config, field, **tried):
    return override(config, {**PLAIN, "post.crf": field, "tune.tried.crf": {**ALONE, **tried}})


def noisy(mask, name):
    rng = np.random.default_rng(int(name[1:4]))
    return (0.3 + 0.4 * mask + rng.normal(0, 0.25, mask.shape)).clip(0, 1)


@pytest.mark.slow
def test_it_is_tuned_and_kept_where_it_helps(config, competition, truth, tmp_path):
    valid = thirds(truth)
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: noisy(truth[n], n))}, valid)
    choice = tune([run], competition, asked(config, FIELD, theta_beta=[6, 24]))
    assert choice.post == PostConfig(crf=CRFConfig(**FIELD | {"theta_beta": 24}))
    assert choice.scores["after"] > choice.scores["before"] + 0.01
    assert evaluate_oof(choice, competition).score == pytest.approx(choice.scores["after"])
    without = choice.model_copy(update={"post": PostConfig()})
    assert evaluate_oof(without, competition).score < choice.scores["before"] - 0.1
    # The file carries it, and prediction applies it to the test images.
    write_ensemble(choice, tmp_path / "ensemble.yaml")
    assert read_ensemble(tmp_path / "ensemble.yaml", [run.path]) == choice
    samples = competition.samples("test")
    hidden = truth_of(competition.root, "test")
    found = {}
    for name, one in (("with", choice), ("without", without)):
        stream = (
            Prediction(each.id, 0, noisy(hidden[each.id], each.id)[None].astype(np.float32), image=image)
            for each in samples
            for image in [partial(competition.image, each.image)]
        )
        write_submission(stream, one, competition, tmp_path / f"{name}.csv", samples.ids)
        masks = competition.read_masks(tmp_path / f"{name}.csv")
        found[name] = [
            dice(competition.label(masks[each], mask.shape).values, mask) for each, mask in hidden.items() if mask.any()
        ]
    assert np.mean(found["with"]) > 0.9 > 0.8 > np.mean(found["without"])


@pytest.mark.parametrize(
    "field",
    [
        pytest.param({"w1": 0.0, "w2": 0.1}, id="as good without"),
        pytest.param({"w1": 0.0, "w2": 20.0, "theta_gamma": 6.0}, id="better without"),
    ],
)
def test_it_goes_where_it_does_not_help(field, config, competition, truth, tmp_path):
    """The maps are right as they are; a strong field takes small and thin buildings away."""
    valid = thirds(truth)
    maps = by_fold(valid, lambda n: 0.4 + 0.2 * truth[n])
    run = make_run(tmp_path, "a", config, {"best": maps}, valid)
    field = FIELD | field
    own = {name: [value] for name, value in field.items() if name != "steps"}
    choice = tune([run], competition, asked(config, field, **own))
    assert choice.post == PostConfig()
    assert choice.scores["after"] == 1.0 >= choice.scores["before"]
    assert choice.helped == (field["w2"] > 1)


def test_what_it_gains_in_sample_only_is_not_kept(config, competition, truth, tmp_path, monkeypatch):
    """The field is replaced by a shift that w1 decides on: what helps one fold hurts the other."""
    shifts = {3.0: 0.2, 4.0: 0.0, 6.0: -0.2}
    monkeypatch.setattr(CRF, "__call__", lambda self, layers, image: layers + shifts[self.w1])
    names = [name for name, mask in truth.items() if mask.any()]
    valid = {0: sorted({*truth} - {*names[::3]}), 1: names[::3]}
    maps = {name: split_taste(mask, early=name in valid[0]) for name, mask in truth.items()}
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, maps.get)}, valid)
    choice = tune([run], competition, asked(config, FIELD, w1=list(shifts)))

    def score(shift):
        return np.mean([dice((maps[name] + shift >= 0.5).astype(np.uint8), truth[name]) for name in truth])

    assert max(score(0.2), score(-0.2)) > score(0.0) + 0.02, "in sample"
    assert choice.post == PostConfig()
    assert choice.scores == pytest.approx({"before": score(0.0), "after": score(0.0)})


def test_settings_that_differ_later_share_it(config, competition, truth, tmp_path, monkeypatch):
    calls = []

    def counted(self, layers, image):
        calls.append(self.w1)
        return layers

    monkeypatch.setattr(CRF, "__call__", counted)
    valid = thirds(truth)
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: noisy(truth[n], n))}, valid)
    looks = []
    look = Scorer.look
    monkeypatch.setattr(
        Scorer, "look", lambda self, settings, what="": looks.append(what) or look(self, settings, what)
    )
    tried = {"tune.tried.threshold": [0.4, 0.5, 0.6], "tune.tried.min_area": [0, 5]}
    tune([run], competition, override(asked(config, FIELD, w1=[3, 4]), tried))
    # With a field that does nothing: 4.0 is the start, and 3.0 is tried. One pass of thresholds, one of areas.
    assert [calls.count(w1) for w1 in (3.0, 4.0)] == [len(truth), 3 * len(truth)]
    before = looks.index("crf.theta_beta")
    assert "threshold" in looks[:before], "the walk without it came first"
