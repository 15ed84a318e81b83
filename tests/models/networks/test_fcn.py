"""FCN-32s, -16s, -8s against torchvision's VGG and plain formulas."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import save_file
from tests.models.networks.conftest import count
from torch import nn

from maskfold.models.networks.fcn import _enlarge
from maskfold.models.weights import load_encoder_weights


@pytest.mark.slow
@pytest.mark.parametrize(("name", "published"), [("fcn32s", 136_152_917), ("fcn8s", 134_489_759)])
def test_parameters_as_published(build, name, published):
    """No difference in parameters: the 100 pixels of padding that ours does without have none."""
    assert count(build(name, "vgg16", classes=21)) == published


def pools(encoder, images):
    """What torchvision's VGG-11 has after each of its poolings."""
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["A"])
    layers.load_state_dict({name.removeprefix("features."): value for name, value in encoder.state_dict().items()})
    found = []
    for layer in layers:
        images = layer(images)
        if isinstance(layer, nn.MaxPool2d):
            found.append(images)
    return found


@pytest.mark.parametrize(("name", "skips"), [("fcn32s", 0), ("fcn16s", 1), ("fcn8s", 2)])
def test_scores_of_poolings_are_enlarged_and_added(build, images, name, skips):
    net = build(name, "vgg11", classes=3, width=5).net.eval()
    for parameter in net.parameters():
        if parameter.ndim == 4 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)  # the scores of skipped maps begin as zero
    with torch.no_grad():
        *_, third, fourth, fifth = pools(net.encoder, images)
        found = F.relu(F.conv2d(fifth, net.fc6.weight, net.fc6.bias, padding=3))
        found = F.relu(F.conv2d(found, net.fc7.weight, net.fc7.bias))
        found = F.conv2d(found, net.score.weight, net.score.bias)
        for number, pool in enumerate((fourth, third)[:skips]):
            doubled = F.conv_transpose2d(found, net.doublings[number].weight, stride=2, padding=1)
            assert doubled.shape[-2:] == pool.shape[-2:]
            found = doubled + F.conv2d(pool, net.skip_scores[number].weight, net.skip_scores[number].bias)
        factor = 32 >> skips
        found = F.conv_transpose2d(found, net.enlarge.weight, stride=factor, padding=factor // 2)
        logits = net(images)
    assert logits.shape == (2, 3, 64, 96)
    assert logits.std() > 0
    torch.testing.assert_close(logits, found)


@pytest.mark.parametrize("factor", [2, 8, 32])
def test_transposed_convolutions_begin_as_bilinear_interpolation(factor):
    maps = torch.randn(1, 3, 6, 7, generator=torch.Generator().manual_seed(factor))
    found = _enlarge(3, factor)(maps).detach()
    expected = F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
    assert found.shape == expected.shape
    inside = (..., slice(factor, -factor), slice(factor, -factor))  # at the border it sees zeros outside
    torch.testing.assert_close(found[inside], expected[inside])


def test_scores_of_skipped_maps_begin_as_zero_and_learn(build, images):
    net = build("fcn8s", "vgg11", classes=2, width=5).net
    assert not any(parameter.any() for parameter in net.skip_scores.parameters())
    net(images).square().sum().backward()
    assert all(score.weight.grad.abs().sum() > 0 for score in net.skip_scores)


@pytest.mark.parametrize("names", [("classifier.0", "classifier.3"), ("pre_logits.fc1", "pre_logits.fc2")])
def test_a_file_with_the_classifier_brings_fc6_and_fc7(build, names, tmp_path):
    """torchvision's file has them as linear layers of the flattened 7x7 map, timm's as convolutions."""
    model = build("fcn8s", "vgg11", width=6)
    source = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["A"])
    linear = [nn.Linear(512 * 49, 6), nn.Linear(6, 6)]
    tensors = {f"features.{name}": value for name, value in source.state_dict().items()}
    for name, layer, side in zip(names, linear, (7, 1), strict=True):
        shape = layer.weight.shape if "classifier" in name else (6, -1, side, side)
        tensors |= {f"{name}.weight": layer.weight.detach().reshape(shape), f"{name}.bias": layer.bias.detach()}
    save_file({**tensors, "classifier.6.weight": torch.zeros(1000, 6)}, tmp_path / "vgg.safetensors")
    report = load_encoder_weights(model, tmp_path / "vgg.safetensors")
    assert len(report.matched) == len(source.state_dict())
    assert report.missing == report.mismatched == ()
    assert report.unexpected == ("classifier.6.weight",)
    assert "16 of the encoder's 16 tensors loaded, and 4 of the classifier" in str(report)
    pooled = torch.randn(2, 512, 7, 7)
    expected = linear[1](linear[0](pooled.flatten(1)))
    found = model.net.fc7(model.net.fc6(pooled))[..., 3, 3]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_file_without_the_classifier_leaves_fc6_and_fc7_alone(build, tmp_path):
    model, other = build("fcn32s", "vgg11", width=6), build("segnet", "vgg11", seed=1)
    before = model.net.fc6.weight.clone()
    save_file({**other.net.encoder.state_dict(), "classifier.0.bias": torch.ones(4096)}, tmp_path / "vgg.safetensors")
    report = load_encoder_weights(model, tmp_path / "vgg.safetensors")
    assert report.classifier == ()
    assert len(report.matched) == 16
    assert torch.equal(model.net.fc6.weight, before)
    assert torch.equal(model.net.encoder.features[0].weight, other.net.encoder.features[0].weight)
