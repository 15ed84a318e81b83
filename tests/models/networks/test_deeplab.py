"""DeepLab v1 and v2: their layers and how these make the logits."""

import pytest
import torch
import torch.nn.functional as F
from tests.models.networks.conftest import count
from torch import nn

from maskfold.errors import ModelError


def test_parameters_of_v1_as_published(build):
    """The publication says 20.5 million."""
    assert count(build("deeplabv1", "vgg16", classes=21)) == 20_505_429


def test_layers_of_v1_are_the_published_ones(build):
    """Kernel, stride and dilation, by hand from the network that was published as DeepLab-LargeFOV."""
    net = build("deeplabv1", "vgg16", width=7).net
    convolution, halving, pooling, holes = (3, 1, 1), (3, 2, 1), (3, 1, 1), (3, 1, 2)
    expected = [convolution] * 2 + [halving] + [convolution] * 2 + [halving] + [convolution] * 3 + [halving]
    expected += [convolution] * 3 + [pooling] + [holes] * 3 + [pooling]
    expected += [(3, 1, 1), (3, 1, 12), (1, 1, 1), (1, 1, 1)]  # the mean, fc6, fc7, fc8

    def one(size):
        return size if isinstance(size, int) else size[0]

    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)]
    found = [(one(m.kernel_size), one(m.stride), one(getattr(m, "dilation", 1))) for m in layers]
    assert found == expected
    maps = net.encoder(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[-2:]) for m in maps] == [(64, 96), (32, 48), (16, 24), (8, 12), (8, 12), (8, 12)]


def test_logits_of_v1(build, images):
    net = build("deeplabv1", "vgg11", classes=2, width=7, dilation=3).net.eval()
    _, fc6, _, _, fc7, *_ = net.decoder
    with torch.no_grad():
        found = F.avg_pool2d(net.encoder(images)[-1], 3, stride=1, padding=1)
        found = F.relu(F.conv2d(found, fc6.weight, fc6.bias, padding=3, dilation=3))
        found = F.relu(F.conv2d(found, fc7.weight, fc7.bias))
        found = F.conv2d(found, net.segmentation_head.weight, net.segmentation_head.bias)
        expected = F.interpolate(found, size=(64, 96), mode="bilinear")
        torch.testing.assert_close(net(images), expected)


def test_parameters_of_v2(build):
    """ResNet-101 without its classifier has 42,500,160; the four branches are all that is added."""
    model = build("deeplabv2", "resnet101", classes=21)
    assert count(model) == 42_500_160 + 4 * (9 * 2048 * 21 + 21) == 44_048_532
    assert model.stride == 8


@pytest.mark.parametrize("rates", [(6, 12, 18, 24), (1, 2)])
def test_scores_of_all_rates_are_added(build, images, rates):
    options = {} if len(rates) > 2 else {"rates": list(rates)}
    net = build("deeplabv2", "resnet18", classes=2, **options).net.eval()
    with torch.no_grad():
        deepest = net.encoder(images)[-1]
        assert deepest.shape == (2, 512, 8, 12)
        found = sum(
            F.conv2d(deepest, score.weight, score.bias, padding=rate, dilation=rate)
            for score, rate in zip(net.scores, rates, strict=True)
        )
        torch.testing.assert_close(net(images), F.interpolate(found, size=(64, 96), mode="bilinear"))


def test_an_encoder_that_cannot_be_dilated_is_refused(build):
    with pytest.raises(ModelError, match=r"deeplabv2 cannot be built with encoder vgg11 .*dilated"):
        build("deeplabv2", "vgg11")
