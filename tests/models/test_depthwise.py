import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from maskfold.models import SegmentationModel
from maskfold.models.depthwise import quick_depthwise


class Net(nn.Module):
    """One convolution for an encoder, and its output enlarged to the images' size again."""

    def __init__(self, convolution):
        super().__init__()
        self.encoder = convolution
        self.seen = None

    def forward(self, images):
        self.seen = self.encoder(images)
        return nn.functional.interpolate(self.seen.float(), images.shape[-2:])


def gradients_under_autocast(convolution, images, heights):
    """Those of the weights and the bias, for gradients ``heights`` of the output, in training of a whole model."""
    convolution.requires_grad_()
    model = SegmentationModel(Net(convolution), mean=(0.0,) * 6, std=(1.0,) * 6, scale=1, stride=1)
    with torch.autocast("cpu", torch.bfloat16):
        model(images)
    assert model.net.seen.dtype == torch.bfloat16
    return torch.autograd.grad(model.net.seen, [convolution.weight, convolution.bias], heights)


SLOW = [
    {"kernel_size": 5, "padding": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 7, "stride": 2},
]
QUICK = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "stride": 2, "groups": 3},
    {"kernel_size": 5, "groups": 1},
]


def made(groups=6, **options):
    torch.manual_seed(2)
    return nn.Conv2d(6, 6, groups=groups, **options), torch.randn(3, 6, 17, 22)


@pytest.mark.parametrize("options", SLOW)
def test_gradients_of_wide_and_strided_depthwise_convolutions_are_those_of_float32(options):
    convolution, images = made(**options)
    exact = convolution(images)
    heights = torch.randn_like(exact).bfloat16()
    expected = torch.autograd.grad(exact, [convolution.weight, convolution.bias], heights.float())
    for found, wanted in zip(gradients_under_autocast(convolution, images, heights), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", QUICK)
def test_other_convolutions_are_left_to_autocast(options):
    convolution, images = made(**options)
    with torch.autocast("cpu", torch.bfloat16):
        plain = convolution(images)
    heights = torch.randn_like(plain)
    expected = torch.autograd.grad(plain, [convolution.weight, convolution.bias], heights)
    for found, wanted in zip(gradients_under_autocast(convolution, images, heights), expected, strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("options", SLOW + QUICK)
def test_predictions_and_float32_are_as_ever(options):
    convolution, images = made(**options)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        plain = convolution(images)
        with quick_depthwise(images):
            assert torch.equal(convolution(images), plain)
    exact = convolution(images)
    with quick_depthwise(images):
        assert torch.equal(convolution(images), exact)


def test_arguments_by_name_and_strides_as_numbers():
    convolution, images = made(kernel_size=3, stride=2)
    exact = convolution(images)
    with torch.autocast("cpu", torch.bfloat16), quick_depthwise(images):
        named = torch.conv2d(images, convolution.weight, convolution.bias, stride=2, groups=6)
        placed = torch.conv2d(images, convolution.weight, convolution.bias, 2, 0, 1, 6)
    assert torch.equal(placed, exact.bfloat16())
    torch.testing.assert_close(named.float(), exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_is_computed_again_for_its_gradients_is_left_to_autocast(reentrant):
    convolution, images = made(kernel_size=5)
    images.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), quick_depthwise(images):
        output = checkpoint(convolution, images, use_reentrant=reentrant)
    output.sum().backward()
    found = convolution.bias.grad
    torch.testing.assert_close(found, torch.full_like(found, output[:, 0].numel()), rtol=0.01, atol=0)
