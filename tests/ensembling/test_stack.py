"""Stacking: the layer by hand, a planted one is recovered, and it is kept only where it gains on unseen folds."""

from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from scipy.ndimage import convolve
from scipy.special import expit, logit, softmax
from tests.drawn_runs import make_run, random_run
from tests.ensembling.test_tune import by_fold, thirds

from maskfold.config import PostConfig, override
from maskfold.ensembling.choice import read_ensemble, write_ensemble
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.export import export_ensemble
from maskfold.ensembling.rasters import RasterEnsemble
from maskfold.ensembling.settings import Setting
from maskfold.ensembling.stack import Stack
from maskfold.ensembling.stack_layer import stacked_map
from maskfold.ensembling.stacking import Pixels, Stacking, fit_stack, most_pixels, pixels_of
from maskfold.ensembling.submit import default_choice, predict_samples
from maskfold.ensembling.tune import tune
from maskfold.errors import ConfigError, ExportError, RunError
from maskfold.labels import Label, LabelSpec
from maskfold.scoring.evaluate import evaluate_oof

ROOF = LabelSpec("binary", ("roof",))
STREET = LabelSpec("multiclass", ("sky", "road", "car"))
AROUND = np.ones((3, 3)) / 9


def reference(maps, stack):
    """In float64, with scipy's convolution."""
    inputs = [np.log(one) if stack.exclusive else logit(one) for one in maps]
    total = np.array(stack.bias)[:, None, None]
    for one, own, around in zip(inputs, stack.own, stack.around, strict=True):
        near = np.stack([convolve(layer, AROUND, mode="nearest") for layer in one])
        total = total + own * one + around * near
    return softmax(total, axis=0) if stack.exclusive else expit(total)


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_layer_by_hand(exclusive):
    rng = np.random.default_rng(0)
    maps = [rng.dirichlet([1, 2, 3], (6, 9)).transpose(2, 0, 1).clip(0.01, 0.99).astype(np.float32) for _ in range(2)]
    stack = Stack(own=(0.7, -0.2), around=(0.4, 0.9), bias=(0.3, -1.0, 0.1), exclusive=exclusive)
    found = stacked_map(stack, maps)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference([one.astype(float) for one in maps], stack), rtol=2e-4, atol=1e-6)
    mirrored = stacked_map(stack, [one[..., ::-1] for one in maps])
    np.testing.assert_allclose(mirrored[..., ::-1], found, atol=1e-6)


@pytest.mark.parametrize("labels", [ROOF, STREET])
def test_a_planted_layer_is_recovered(labels):
    """Masks drawn by a layer's own probabilities; pixels that do not count would say the opposite."""
    rng = np.random.default_rng(1)
    planted = Stack(own=(1.2, -0.3), around=(0.2, 0.6), bias=(0.5, -0.7, 0.2)[: labels.channels],
                    exclusive=labels.exclusive)  # fmt: skip
    pixels = []
    for seed in range(30):
        if labels.exclusive:
            maps = [rng.dirichlet([2, 2, 2], (40, 31)).transpose(2, 0, 1).clip(0.01, 1) for _ in range(2)]
            maps = [one / one.sum(0) for one in maps]
        else:
            maps = [expit(rng.normal(0, 1.2, (1, 40, 31))) for _ in range(2)]
        share = reference(maps, planted)
        drawn = (rng.random((40, 31)) > share.cumsum(0)).sum(0) if labels.exclusive else rng.random((40, 31)) < share[0]
        valid = rng.random((40, 31)) > 0.3
        values = np.where(valid, drawn, 2 - drawn if labels.exclusive else ~drawn).astype(np.uint8)
        label = Label(values.clip(0, labels.channels - labels.exclusive or 1), valid)
        pixels.append(pixels_of([one.astype(np.float32) for one in maps], label, labels, most=600, seed=seed))
    assert {len(each.truth) for each in pixels} == {600}
    found = fit_stack(pixels, labels)
    np.testing.assert_allclose([*found.own, *found.around], [*planted.own, *planted.around], atol=0.12)
    # A bias that all exclusive classes share says nothing.
    centre = np.mean if labels.exclusive else (lambda bias: 0)
    np.testing.assert_allclose(
        np.subtract(found.bias, centre(found.bias)), np.subtract(planted.bias, centre(planted.bias)), atol=0.12
    )


def test_without_pixels_it_is_the_mean_of_logits():
    nothing = Label(np.zeros((2, 3), np.uint8), np.zeros((2, 3), bool))
    maps = [np.full((1, 2, 3), value, np.float32) for value in (0.2, 0.6)]
    stack = fit_stack([pixels_of(maps, nothing, ROOF, most=9, seed=0)], ROOF)
    np.testing.assert_allclose(stacked_map(stack, maps), expit(np.mean(logit([0.2, 0.6]))), rtol=1e-5)


def veiled(mask, other, weight):
    """The mask under another one: no weighted mean of these maps takes the veil away, a difference of logits does."""
    return expit(1.5 * (2.0 * mask - 1) + weight * (2.0 * other - 1))


@pytest.fixture
def two(config, truth, tmp_path):
    """Runs that see the mask under the same veil, one of them more of it."""
    rng = np.random.default_rng(4)
    valid, veil = thirds(truth), {name: rng.integers(0, 2, mask.shape) for name, mask in truth.items()}
    config = override(config, {"tune.tried": {"threshold": [0.5], "fill_holes": [0], "min_area": [0]}})
    config = override(config, {"tune.stacking": True})
    runs = [
        make_run(tmp_path, name, config, {"best": by_fold(valid, lambda n, w=w: veiled(truth[n], veil[n], w))}, valid)
        for name, w in (("a", 2.0), ("b", 3.0))
    ]
    return runs, config


def test_what_no_mean_can_do_is_found_out_of_fold(two, competition, truth, tmp_path):
    runs, config = two
    choice = tune(runs, competition, config)
    assert choice.stack is not None
    assert choice.scores["before"] < 0.7 < 0.95 < choice.scores["after"]
    assert choice.stack.own[0] > 0 > choice.stack.own[1], "the veil is subtracted"
    assert evaluate_oof(choice, competition).score == pytest.approx(choice.scores["after"], abs=0.02)
    write_ensemble(choice, tmp_path / "ensemble.yaml")
    again = read_ensemble(tmp_path / "ensemble.yaml")
    assert again == choice
    written = yaml.safe_load((tmp_path / "ensemble.yaml").read_text())
    assert written["stack"]["own"] == list(choice.stack.own)
    written["stack"]["own"].append(1.0)
    (tmp_path / "ensemble.yaml").write_text(yaml.safe_dump(written))
    with pytest.raises(RunError, match="a stack has 3 factors of pixels and 2 of what is around"):
        read_ensemble(tmp_path / "ensemble.yaml")


def test_a_stack_that_gains_nothing_is_not_kept(config, competition, truth, tmp_path):
    """The first run is right everywhere, the second one noise."""
    valid = thirds(truth)
    config = override(config, {"tune.tried": {"threshold": [0.5], "fill_holes": [0], "min_area": [0]}})
    config = override(config, {"tune.stacking": True})
    good = make_run(tmp_path, "a", config, {"best": by_fold(valid, lambda n: 0.2 + 0.6 * truth[n])}, valid)
    rng = np.random.default_rng(0)
    noise = make_run(tmp_path, "b", config, {"best": by_fold(valid, lambda n: rng.random(truth[n].shape))}, valid)
    choice = tune([good, noise], competition, config)
    assert choice.stack is None
    assert choice.weights[0] > 0.5
    assert choice.scores["after"] == pytest.approx(1.0)


def test_prediction_puts_the_runs_together(config, competition, tmp_path):
    trained = {"a": (0, 1), "b": (1,)}
    runs = [random_run(tmp_path, override(config, {"name": name}), folds=folds) for name, folds in trained.items()]
    stack = Stack(own=(0.8, -0.4), around=(0.1, 0.3), bias=(0.2,), exclusive=False)
    choice = default_choice(runs).model_copy(update={"stack": stack})
    samples = competition.samples("test")
    alone = [
        {p.id: p.probability for p in predict_samples(default_choice([run]), competition, samples, batch_size=2)}
        for run in runs
    ]
    found = list(predict_samples(choice, competition, samples, batch_size=2, runs=runs))
    assert len(found) == 5
    for prediction in found:
        expected = stacked_map(stack, [maps[prediction.id] for maps in alone])
        assert np.array_equal(prediction.probability, expected)
        assert np.abs(expected - alone[0][prediction.id]).max() > 0.01
    with pytest.raises(ExportError, match=r"tuning chose a stack .* --tune\.stacking false"):
        export_ensemble(choice, runs, competition, tmp_path / "x.pt", form="torchscript")
    with pytest.raises(ConfigError, match=r"tuning chose a stack .* --untuned"):
        RasterEnsemble(Ensemble(choice, competition, batch_size=2, runs=runs))


class Drawn:
    """An out-of-fold image whose maps and mask are drawn by number, or whose mask is turned into its opposite."""

    def __init__(self, number, *, opposite=False):
        rng = np.random.default_rng(number)
        self.mask = (rng.random((30, 20)) < 0.4).astype(np.uint8)
        near = np.clip(0.25 + 0.5 * self.mask + rng.normal(0, 0.2, (2, 30, 20)), 0, 1)
        self.maps = np.rint(255 * near).astype(np.uint8)
        self.mask = 1 - self.mask if opposite else self.mask

    def read(self, view, run, checkpoint):
        return [self.maps[run][None]]

    def truth(self, competition):
        return Label.whole(self.mask)


def test_each_image_counts_the_same_however_many_pixels_of_it_do():
    images = [Drawn(1), Drawn(2, opposite=True)]
    one, other = (
        pixels_of([each / np.float32(255) for each in image.maps[:, None]], image.truth(None), ROOF, most=600, seed=0)
        for image in images
    )
    larger = Pixels(np.tile(one.inputs, (5, 1, 1)), np.tile(one.truth, (5, 1)))
    plain, found, alone = (fit_stack(used, ROOF) for used in ([one, other], [larger, other], [one]))
    np.testing.assert_allclose([*found.own, *found.bias], [*plain.own, *plain.bias], atol=1e-3)
    assert abs(alone.own[0] - plain.own[0]) > 0.1, "the two images say opposite things"


def test_a_part_has_no_say_in_the_layer_that_it_is_scored_under():
    parts, competition = np.array([0, 0, 1, 1, 2]), SimpleNamespace(labels=ROOF)
    now = Setting(("best", "ema"), (0.9, 0.1), PostConfig())
    stacking = Stacking([Drawn(number) for number in range(5)], parts, competition)
    turned = Stacking([Drawn(number, opposite=number < 2) for number in range(5)], parts, competition)
    ((without,), (again,)) = stacking(now, 0), turned(now, 0)
    assert without.stack == again.stack
    assert without.weights == (0.5, 0.5)
    assert min(without.stack.own) > 0.2
    for part in (1, None):
        assert stacking(now, part)[0].stack != turned(now, part)[0].stack


class DrawnStreet:
    """An out-of-fold image of three exclusive classes; its maps say nothing."""

    def __init__(self, number):
        self.mask = np.random.default_rng(number).integers(0, 3, (13, 17), np.uint8)

    def read(self, view, run, checkpoint):
        return [np.full((3, 13, 17), 85, np.uint8)]

    def truth(self, competition):
        return Label.whole(self.mask)


def test_of_many_images_and_classes_fewer_pixels_are_in_memory(monkeypatch):
    assert [most_pixels(*each) for each in ((50, 1), (20_000, 1), (2_000, 150), (10**7, 150))] == [2048, 400, 26, 1]
    monkeypatch.setattr("maskfold.ensembling.stacking.OF_ALL", 130)
    stacking = Stacking([DrawnStreet(number) for number in range(4)], np.arange(4), SimpleNamespace(labels=STREET))
    stacking(Setting(("best", "ema"), (0.5, 0.5), PostConfig()), None)
    (pixels,) = stacking._pixels.values()
    assert [each.inputs.shape for each in pixels] == [(10, 3, 4)] * 4
