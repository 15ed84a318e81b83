"""Monte Carlo dropout: its mean, and that its noise is each image's own."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from tests.inference.test_predict import BINARY, CPU, batch
from torch import nn

from maskfold.config import ModelConfig, TTAConfig
from maskfold.errors import ModelError
from maskfold.inference.predict import predict_batches
from maskfold.models import Outputs, build_model


class Toy(nn.Module):
    """Logits are a weighted sum of three channels of each pixel, dropped as ``dropout`` does."""

    def __init__(self, dropout, gain=1.0):
        super().__init__()
        self.dropout = dropout
        self.gain = gain

    def forward(self, images):
        dropped = self.dropout(images.float() / 255)
        weights = torch.tensor([2.0, -3.0, 1.5]).view(3, 1, 1)
        return Outputs(self.gain * (dropped * weights).sum(1, keepdim=True), {})


def predict(models, loader, *, passes, seed=0, **options):
    tta = TTAConfig(**{"views": "none", "dropout_passes": passes, **options})
    found = list(predict_batches(models, loader, labels=BINARY, tta=tta, device=CPU, seed=seed))
    return {prediction.id: prediction.probability for prediction in found}


def analytical(image, p):
    """Mean and variance of the sigmoid over all eight ways to drop three channels, in float64."""
    pixels = image.numpy() / 255
    total = square = 0
    for kept in product((0, 1), repeat=3):
        weight = math.prod(1 - p if one else p for one in kept)
        logits = sum(w * one / (1 - p) * layer for w, one, layer in zip((2, -3, 1.5), kept, pixels, strict=True))
        total += weight / (1 + np.exp(-logits))
        square += weight / (1 + np.exp(-logits)) ** 2
    return total, square - total**2


@pytest.mark.parametrize("kind", [nn.Dropout2d, nn.Dropout])
def test_the_mean_is_that_of_all_ways_to_drop(kind):
    items, passes = batch(0, 2, (3, 4)), 1500
    found = predict([Toy(kind(0.3)).train()], [items], passes=passes)
    for image_id, image in zip(items["id"], items["image"], strict=True):
        mean, variance = analytical(image, 0.3)
        error = np.abs(found[image_id][0] - mean) / np.sqrt(variance / passes)
        assert error.max() < 4.5
    one = predict([Toy(kind(0.3))], [items], passes=1)["tile_0"]
    assert np.abs(one[0] - analytical(items["image"][0], 0.3)[0]).max() > 0.05, "the mean needs many"


def test_dropout2d_drops_whole_channels_and_dropout_pixels():
    items = batch(0, 1, (5, 7))
    items["image"][:] = torch.tensor([200, 40, 90], dtype=torch.uint8).view(3, 1, 1)
    whole, pixels = (predict([Toy(kind(0.5))], [items], passes=1)["tile_0"] for kind in (nn.Dropout2d, nn.Dropout))
    assert len(np.unique(whole)) == 1
    assert len(np.unique(pixels.round(5))) > 4


@pytest.mark.parametrize("window", [None, 32])
def test_noise_does_not_depend_on_the_batch_or_the_order(window):
    """Bit for bit, of a network whose arithmetic does not depend on the batch either."""
    items = batch(0, 5, (40, 57))
    places = [[0, 1, 2, 3, 4], [3, 0], [4], [2, 1]]
    batches = [
        {key: value[at] if isinstance(value, torch.Tensor) else [value[i] for i in at] for key, value in items.items()}
        for at in places
    ]
    options = {"passes": 3, "views": "flips", "window": window}
    together = predict([Toy(nn.Dropout2d(0.4)), Toy(nn.Dropout(0.2), 3)], batches[:1], **options)
    apart = predict([Toy(nn.Dropout2d(0.4)), Toy(nn.Dropout(0.2), 3)], batches[1:], **options)
    assert together.keys() == apart.keys()
    assert all(np.array_equal(together[name], apart[name]) for name in together)
    again = predict([Toy(nn.Dropout2d(0.4)), Toy(nn.Dropout(0.2), 3)], batches[:1], **options)
    assert all(np.array_equal(together[name], again[name]) for name in together)


def test_windows_of_an_image_are_dropped_alike():
    """So a network that looks at one pixel at a time gives the same with windows and without."""
    items = batch(0, 2, (40, 57))
    whole, windows = (predict([Toy(nn.Dropout2d(0.4))], [items], passes=4, window=window) for window in (None, 32))
    for name in whole:
        np.testing.assert_allclose(whole[name], windows[name], atol=1e-5)


def test_seeds_images_views_models_and_passes_have_noise_of_their_own():
    items = batch(0, 2, (1, 1))
    items["image"][:] = torch.tensor([200, 40, 90], dtype=torch.uint8).view(3, 1, 1)
    noisy = [Toy(nn.Dropout(0.5)) for _ in range(2)]

    def spread(**options):
        """Of many seeds: with so many independent draws the variance of the mean falls by their number."""
        models = noisy[: options.pop("models", 1)]
        found = [predict(models, [items], seed=seed, **{"passes": 1, **options}) for seed in range(150)]
        values = np.array([[one["tile_0"].item(), one["tile_1"].item()] for one in found])
        assert abs(np.corrcoef(values.T)[0, 1]) < 0.3, "images are independent"
        return values.var()

    one = spread()
    for draws, options in ((4, {"passes": 4}), (4, {"views": "flips"}), (2, {"models": 2})):
        assert one / draws / 1.5 < spread(**options) < 1.5 * one / draws


def test_networks_without_dropout_are_refused():
    for models in ([Toy(nn.Identity())], [Toy(nn.Dropout(0.5)), Toy(nn.Dropout(0.0))]):
        with pytest.raises(ModelError, match=r"a network has no dropout.*: set it to 0, or train with model\.dropout"):
            predict(models, [batch(0, 1, (4, 4))], passes=2)
    assert predict([Toy(nn.Identity())], [batch(0, 1, (4, 4))], passes=0)


def test_without_passes_dropout_is_off():
    items = batch(0, 2, (6, 5))
    off, none = predict([Toy(nn.Dropout(0.5))], [items], passes=0), predict([Toy(nn.Identity())], [items], passes=0)
    assert all(np.array_equal(off[name], none[name]) for name in off)


def real_network(**changes):
    torch.manual_seed(0)
    options = {"encoder_depth": 3, "decoder_channels": [16, 8, 8]}
    config = {"encoder": "mobilenet_v2", "encoder_weights": None, "options": options, "dropout": 0.3, **changes}
    return build_model(ModelConfig(**config), classes=1)


def test_a_real_network_keeps_its_norms_and_its_modes():
    model = real_network(hypercolumns=True, deep_supervision=1).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    items = batch(0, 3, (33, 41))
    found = predict([model], [items], passes=2)
    assert model.training
    assert model.net.decoder_dropout.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model._forward_pre_hooks
    assert not model.net.decoder_dropout._forward_hooks
    split = [{key: value[i : i + 1] for key, value in items.items()} for i in range(3)]
    for one in split:
        alone = predict([model], [one], passes=2)
        for name, probability in alone.items():
            np.testing.assert_allclose(found[name], probability, atol=1e-6)
    off = predict([model], [items], passes=0)
    assert all(np.abs(off[name] - found[name]).max() > 1e-3 for name in off)


def test_networks_with_further_outputs_and_without_are_averaged():
    items = batch(0, 2, (33, 41))
    models = [real_network(dropout=0.0), real_network(dropout=0.0, deep_supervision=2, hypercolumns=True)]
    mean = predict(models, [items], passes=0)
    each = [predict([model], [items], passes=0) for model in models]
    for name in mean:
        np.testing.assert_allclose(mean[name], (each[0][name] + each[1][name]) / 2, atol=1e-6)
        assert np.abs(each[0][name] - each[1][name]).max() > 1e-3


@pytest.mark.slow
def test_a_compiled_network_drops_too():
    items, model, compiled = batch(0, 2, (3, 4)), Toy(nn.Dropout2d(0.3)), Toy(nn.Dropout2d(0.3))
    compiled.compile(backend="eager")
    off = [predict([network], [items], passes=0) for network in (model, compiled)]
    on = [predict([network], [items], passes=2) for network in (model, compiled)]
    for name in on[0]:
        np.testing.assert_allclose(on[0][name], on[1][name], atol=1e-6)
        np.testing.assert_allclose(off[0][name], off[1][name], atol=1e-6)


class Parts(nn.Module):
    """Cuts each image into its four quarters before the dropout, as window attention does."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        n, _, h, w = images.shape
        parts = images.float().view(n, 3, 2, h // 2, 2, w // 2).permute(0, 2, 4, 1, 3, 5).reshape(4 * n, 3, h // 2, -1)
        parts = self.dropout(parts + 1).mean(1).view(n, 2, 2, h // 2, w // 2).permute(0, 1, 3, 2, 4)
        return Outputs(parts.reshape(n, 1, h, w) / 255, {})


def test_parts_of_an_image_belong_to_it():
    items = batch(0, 3, (4, 6))
    together = predict([Parts()], [items], passes=1)
    alone = {}
    for i in range(3):
        alone |= predict([Parts()], [{key: value[i : i + 1] for key, value in items.items()}], passes=1)
    for name in together:
        np.testing.assert_allclose(together[name], alone[name], atol=1e-6)
