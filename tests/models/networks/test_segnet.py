"""SegNet against torch's own unpooling and a decoder written out."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from tests.models.networks.conftest import count
from torch import nn

from maskfold.models.networks.segnet import unpool


def test_parameters_as_published(build):
    assert count(build("segnet", "vgg16_bn", classes=21)) == 29_455_125


def test_unpooling_is_torchs():
    maps = torch.randn(2, 3, 10, 6).relu().requires_grad_()  # zeros: which of equal ones is the largest matters
    pooled, indices = F.max_pool2d(maps, 2, return_indices=True)
    found, expected = unpool(pooled, indices), F.max_unpool2d(pooled, indices, 2)
    assert torch.equal(found, expected)
    weights = torch.randn(expected.shape)
    gradients = [torch.autograd.grad((to * weights).sum(), maps, retain_graph=True)[0] for to in (found, expected)]
    assert gradients[0].any()
    torch.testing.assert_close(*gradients)


def test_the_decoder_mirrors_the_encoder(build):
    decoder = build("segnet", "vgg16", classes=4).net.decoder
    widths = [[unit[0].out_channels for unit in stage] for stage in decoder]
    assert widths == [[512, 512, 512], [512, 512, 256], [256, 256, 128], [128, 64], [64]]


def test_maps_go_back_through_the_poolings_places(build, images):
    """torchvision's layers and poolings that return their indices; max_unpool2d in the decoder."""
    net = build("segnet", "vgg11_bn", classes=3).net.eval()
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["A"], batch_norm=True)
    layers.load_state_dict({name.removeprefix("features."): value for name, value in net.encoder.state_dict().items()})
    places, found = [], images
    with torch.no_grad():
        for layer in layers.eval():
            if isinstance(layer, nn.MaxPool2d):
                found, indices = F.max_pool2d(found, 2, return_indices=True)
                places.append(indices)
            else:
                found = layer(found)
        for stage in net.decoder:
            found = F.max_unpool2d(found, places.pop(), 2)
            for convolution, norm, _ in stage:
                found = F.conv2d(found, convolution.weight, convolution.bias, padding=1)
                found = F.relu(norm(found))
        found = F.conv2d(found, net.segmentation_head.weight, net.segmentation_head.bias, padding=1)
        logits = net(images)
    assert logits.std() > 0
    torch.testing.assert_close(logits, found)


@pytest.mark.parametrize("sign", [-1, 1])
def test_logits_have_both_signs(build, images, sign):
    net = build("segnet", "vgg11").net.train()
    with torch.no_grad():
        net.segmentation_head.bias.fill_(20 * sign)
        assert (sign * net(images) > 0).all()
