"""An ensemble as one file: the mean that prediction makes, compared with the networks, or no file."""

import json

import numpy as np
import pytest
import torch
from tests.drawn_runs import random_run
from torch import nn

from maskfold.config import override
from maskfold.ensembling import export
from maskfold.ensembling.checkpoints import load_networks
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.export import EnsembleNetwork, export_ensemble, read_exported
from maskfold.ensembling.same_output import check_same, example_images
from maskfold.ensembling.submit import default_choice
from maskfold.errors import ExportError
from maskfold.inference.merge import build_merge
from maskfold.labels import LabelSpec
from maskfold.models.torchscript import FACTS


class Constant(nn.Module):
    """Logits that are the image's first channels times a factor."""

    def __init__(self, factor, classes):
        super().__init__()
        self.factor, self.classes = factor, classes

    def forward(self, images):
        return images[:, : self.classes] * self.factor


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("labels", "activate"),
    [(LabelSpec("binary", ("a",)), sigmoid), (LabelSpec("multiclass", ("a", "b", "c")), softmax)],
)
def test_networks_and_runs_are_weighted_as_prediction_weights_them(labels, activate):
    """Two runs, weights 0.3 and 0.7; in the first a fold with two snapshots, each of half its weight."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
    x = images[:, : labels.channels].astype(np.float64)
    runs = [[Constant(f, labels.channels) for f in factors] for factors in ((1, 2, 3), (-1,))]
    shares, weights = [[1, 0.5, 0.5], [1]], (0.3, 0.7)

    def found(merge):
        return EnsembleNetwork(runs, shares, weights, build_merge(merge, labels))(torch.from_numpy(images)).numpy()

    first = (activate(x) + (activate(2 * x) + activate(3 * x)) / 2) / 2
    np.testing.assert_allclose(found("probabilities"), 0.3 * first + 0.7 * activate(-x), rtol=1e-5)
    np.testing.assert_allclose(found("logits"), 0.3 * activate((x + 2.5 * x) / 2) + 0.7 * activate(-x), rtol=1e-5)


@pytest.fixture
def run(config, tmp_path):
    return random_run(tmp_path, override(config, {"name": "three"}), folds=(0, 2), checkpoints=("best", "ema"))


def test_torchscript_of_two_folds(run, competition, tmp_path):
    path = tmp_path / "x.pt"
    written = export_ensemble(default_choice([run]), [run], competition, path, form="torchscript")
    assert (written.path, written.networks) == (path, 2)
    assert written.difference < 1e-6
    networks = [load_networks(run, run.fold(fold), "best", competition)[0] for fold in (0, 2)]
    images = torch.randint(0, 256, (3, 3, 37, 29), dtype=torch.uint8)
    with torch.inference_mode():
        wanted = np.mean([sigmoid(network(images).logits.double().numpy()) for network in networks], 0)
        np.testing.assert_allclose(read_exported(path)(images).numpy(), wanted, atol=1e-6)
    extra = {FACTS: ""}
    torch.jit.load(str(path), _extra_files=extra)
    facts = json.loads(extra[FACTS])
    assert facts["class_names"] == list(competition.labels.class_names)
    assert (facts["task"], facts["scale"], facts["stride"], facts["merge"]) == ("binary", 255, 8, "probabilities")
    assert facts["pixel_size"] is None
    assert facts["made_of"][0]["sha256"] == {f"fold_{fold}/best": run.fold(fold).digest("best") for fold in (0, 2)}
    assert str(tmp_path) not in extra[FACTS].decode()


def test_a_file_that_differs_is_not_left(run, competition, tmp_path, monkeypatch):
    path = tmp_path / "out" / "x.pt"

    class Dimmed(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, images):
            return 0.98 * self.network(images)

    def wrong(network, images, facts):
        return real(Dimmed(network).eval(), images, facts)

    real = export.torchscript_bytes
    monkeypatch.setattr(export, "torchscript_bytes", wrong)
    with pytest.raises(
        ExportError, match=r"probabilities of x\.pt differ from the network's by up to 0\.\d+, more than"
    ):
        export_ensemble(default_choice([run]), [run], competition, path, form="torchscript")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_no_function_of_an_image_is_refused(run, config, competition, tmp_path):
    votes = default_choice([run], override(run.config, {"tta.merge": "vote"}))
    with pytest.raises(ExportError, match=r"tta\.merge is vote"):
        export_ensemble(votes, [run], competition, tmp_path / "x.pt", form="torchscript")
    noisy = default_choice([run], override(run.config, {"tta.dropout_passes": 3}))
    with pytest.raises(ExportError, match=r"tta\.dropout_passes is 3"):
        export_ensemble(noisy, [run], competition, tmp_path / "x.pt", form="torchscript")
    ensemble = Ensemble(noisy, competition, batch_size=2, runs=[run], engine="onnx")
    with pytest.raises(ExportError, match=r"tta\.dropout_passes is 3"):
        next(ensemble.predict(competition.samples("test")))
    other = random_run(tmp_path, override(config, {"name": "half", "data.scale": 0.5}))
    with pytest.raises(ExportError, match=r"data\.scale 0\.5, 1\.0"):
        export_ensemble(default_choice([run, other]), [run, other], competition, tmp_path / "x.pt", form="torchscript")


def test_examples_are_a_real_image_at_two_sizes(competition):
    whole, part = example_images(competition, 1.0)
    real = competition.image(competition.samples("test")[0].image).transpose(2, 0, 1)
    np.testing.assert_array_equal(whole[0].numpy(), real)
    np.testing.assert_array_equal(whole[1].numpy(), real[..., ::-1])
    assert part.shape == (1, 3, 37, 27)
    assert whole.shape == (2, 3, 48, 40)
    assert example_images(competition, 0.5)[0].shape == (2, 3, 24, 20)


def test_agreement_is_the_largest_difference(tmp_path):
    images = [torch.rand(2, 1, 4, 5), torch.rand(1, 1, 7, 3)]

    def off(batch):
        return batch + 9e-4 * (batch.shape[-1] == 3)

    path = tmp_path / "x.onnx"
    assert check_same(lambda batch: batch, off, images, path) == pytest.approx(9e-4, rel=1e-2)
    with pytest.raises(ExportError, match=r"by up to 0\.0018"):
        check_same(lambda batch: batch, lambda batch: off(off(batch)), images, path)
    with pytest.raises(ExportError, match=r"by up to inf"):
        check_same(lambda batch: batch, lambda batch: batch * torch.nan, images, path)
    with pytest.raises(
        ExportError, match=r"makes maps \(2, 1, 4, 4\) of images \(2, 1, 4, 5\), the network \(2, 1, 4, 5"
    ):
        check_same(lambda batch: batch, lambda batch: batch[..., :4], images, path)
