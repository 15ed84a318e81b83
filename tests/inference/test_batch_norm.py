"""Adapted batch norms: the rule of the paper by hand, in one batch and in many."""

import numpy as np
import pytest
import torch
from tests.inference.test_predict import CPU
from torch import nn

from maskfold.config import TTAConfig
from maskfold.errors import ModelError
from maskfold.inference.batch_norm import adapt_batch_norm, batch_norm_statistics, check_batch_norm
from maskfold.inference.predict import predict_batches
from maskfold.labels import LabelSpec
from maskfold.models import Outputs

ROOF = LabelSpec("binary", ("roof",))


class Net(nn.Module):
    """Two batch norms behind each other, with statistics of a training that saw other images."""

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        rng = np.random.default_rng(5)
        self.first, self.mix, self.second = norm(3), nn.Conv2d(3, 2, 1), norm(2)
        self.head = nn.Conv2d(2, 1, 1)
        for module in (self.first, self.second):
            if isinstance(module, nn.BatchNorm2d):
                channels = len(module.running_mean)
                module.running_mean.copy_(torch.as_tensor(rng.normal(0, 1, channels)))
                module.running_var.copy_(torch.as_tensor(rng.uniform(0.5, 2, channels)))
        for module in (self.mix, self.head):
            module.weight.data.copy_(torch.as_tensor(rng.normal(0, 1, module.weight.shape)))
            module.bias.data.copy_(torch.as_tensor(rng.normal(0, 1, module.bias.shape)))
        self.head.weight.data *= 3

    def forward(self, images):
        return Outputs(self.head(self.second(torch.relu(self.mix(self.first(images.float() / 50))))), {})


def images_of(rng, count, size):
    return torch.as_tensor(rng.integers(20, 180, (count, 3, *size)) * np.array([1, 0.4, 0.7])[:, None, None]).byte()


def adapted(batches, prior, **options):
    network = Net()
    tta = TTAConfig(views="none", batch_norm_prior=prior, **options)
    adapt_batch_norm([network], [{"image": images} for images in batches], tta=tta, device=CPU)
    return network


def mixed(values, mean, var, prior, count):
    """The paper's formula, in float64; values (n, C, H, W)."""
    axes = (0, 2, 3)
    share = prior / (prior + count)
    return share * mean + (1 - share) * values.mean(axes), share * var + (1 - share) * values.var(axes)


@pytest.mark.parametrize("prior", [1, 7, 400])
def test_one_batch_by_hand(prior):
    images = images_of(np.random.default_rng(0), 6, (5, 9))
    plain = Net()
    values = images.numpy() / 50.0
    first = mixed(values, plain.first.running_mean.double().numpy(), plain.first.running_var.double().numpy(), prior, 6)
    values = (values - first[0][:, None, None]) / np.sqrt(first[1][:, None, None] + 1e-5)
    weight, bias = (one.detach().double().numpy() for one in (plain.mix.weight, plain.mix.bias))
    values = np.maximum(np.einsum("oi,nihw->nohw", weight[:, :, 0, 0], values) + bias[:, None, None], 0)
    second = mixed(
        values, plain.second.running_mean.double().numpy(), plain.second.running_var.double().numpy(), prior, 6
    )
    network = adapted([images], prior)
    for module, (mean, var) in ((network.first, first), (network.second, second)):
        np.testing.assert_allclose(module.running_mean.numpy(), mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(module.running_var.numpy(), var, rtol=1e-4)
    found = batch_norm_statistics(network)
    assert sorted(found) == [f"{at}.running_{what}" for at in ("first", "second") for what in ("mean", "var")]


def test_many_batches_of_several_sizes_count_each_image_once():
    """What the first batch norm sees does not depend on the others: its statistics are exact."""
    rng = np.random.default_rng(1)
    batches = [images_of(rng, count, size) for count, size in ((4, (6, 6)), (1, (3, 8)), (3, (4, 5)))]
    network, plain = adapted(batches, 10), Net()
    each = [image.numpy() / 50.0 for batch in batches for image in batch]
    mean = np.mean([one.mean((1, 2)) for one in each], 0)
    var = np.mean([(one**2).mean((1, 2)) for one in each], 0) - mean**2
    share = 10 / 18
    expected = share * plain.first.running_mean.numpy() + (1 - share) * mean
    np.testing.assert_allclose(network.first.running_mean.numpy(), expected, rtol=1e-5)
    expected = share * plain.first.running_var.numpy() + (1 - share) * var
    np.testing.assert_allclose(network.first.running_var.numpy(), expected, rtol=1e-5)
    assert not any(module._forward_pre_hooks for module in network.modules()), "prediction changes nothing more"


def test_a_shift_of_all_images_is_undone():
    """Darker images of less contrast: adapted to them, a network says what it says of the others, adapted to those."""
    rng = np.random.default_rng(2)
    bright = [images_of(rng, 8, (6, 7)) // 2 * 2 for _ in range(5)]
    dark = [images // 2 for images in bright]

    def said(network, batches):
        items = [
            {"image": images, "id": [f"{k}_{i}" for i in range(8)], "index": torch.arange(8), "size": [(6, 7)] * 8}
            for k, images in enumerate(batches)
        ]
        tta = TTAConfig(views="none")
        return np.stack([p.probability for p in predict_batches([network], items, labels=ROOF, tta=tta, device=CPU)])

    expected = said(adapted(bright, 1), bright)
    assert np.ptp(expected) > 0.5
    assert np.abs(said(adapted(bright, 1), dark) - expected).max() > 0.3
    assert np.abs(said(adapted(dark, 1), dark) - expected).max() < 0.1


def test_windows_are_seen_as_they_will_be():
    """Windows of 32 of one image of 40 x 32: its upper and its lower part, which overlap."""
    images = images_of(np.random.default_rng(3), 1, (40, 32))
    parts = torch.cat([images[:, :, :32], images[:, :, 8:]])
    expected = batch_norm_statistics(adapted([parts], 3))
    found = batch_norm_statistics(adapted([images], 3, window=32))
    for name in expected:
        assert torch.equal(found[name], expected[name])


def test_networks_without_batch_norm_are_refused():
    with pytest.raises(ModelError, match=r"tta\.batch_norm_prior is set, but a network has no batch norm .* null"):
        check_batch_norm([Net(), Net(lambda channels: nn.GroupNorm(1, channels))])
    with pytest.raises(ModelError, match="no batch norm"):
        tta = TTAConfig(views="none", batch_norm_prior=3)
        list(predict_batches([Net(nn.InstanceNorm2d)], [], labels=ROOF, tta=tta, device=CPU))
