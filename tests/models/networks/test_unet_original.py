"""The first U-Net against its paper's figure, written out."""

import torch
import torch.nn.functional as F
from tests.models.networks.conftest import count


def test_parameters_of_the_papers_layers(build):
    def double(inside, out):
        return 9 * inside * out + out + 9 * out * out + out

    widths = [64, 128, 256, 512, 1024]
    down = sum(double(inside, out) for inside, out in zip([1, *widths], widths, strict=False))
    up = sum(4 * 2 * width * width + width + double(2 * width, width) for width in widths[:-1])
    assert count(build("unet_original", "own", classes=2, channels=1)) == down + up + 64 * 2 + 2 == 31_030_658


def test_levels_are_joined_as_drawn(build, images):
    net = build("unet_original", "own", classes=2, width=3).net.eval()

    def twice(maps, layers):
        for convolution in (layers[0], layers[2]):
            maps = F.relu(F.conv2d(maps, convolution.weight, convolution.bias, padding=1))
        return maps

    with torch.no_grad():
        maps = [twice(images, net.encoder.levels[0])]
        for level in net.encoder.levels[1:]:
            maps.append(twice(F.max_pool2d(maps[-1], 2), level))
        assert [tuple(m.shape[1:]) for m in maps] == [(3, 64, 96), (6, 32, 48), (12, 16, 24), (24, 8, 12), (48, 4, 6)]
        found = maps.pop()
        for up, convolutions in zip(net.up, net.decoder, strict=True):
            found = F.conv_transpose2d(found, up.weight, up.bias, stride=2)
            found = twice(torch.cat([maps.pop(), found], 1), convolutions)
        head = net.segmentation_head
        torch.testing.assert_close(net(images), F.conv2d(found, head.weight, head.bias))


def test_convolutions_begin_with_the_papers_deviation(build):
    net = build("unet_original", "own", width=16).net
    deepest = net.encoder.levels[4][2].weight
    assert abs(deepest.std() / (2 / (9 * 256)) ** 0.5 - 1) < 0.02


def test_dropout_is_at_the_end_of_the_contracting_path(build, images):
    encoder = build("unet_original", "own", width=4, dropout=0.5).net.encoder.train()
    first, second = encoder(images), encoder(images)
    assert [torch.equal(*pair) for pair in zip(first, second, strict=True)] == [True, True, True, False, False]
