"""Batch norms that are part of convolutions: the same values in float64, rounded no worse in bf16."""

import copy

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from maskfold.config import ModelConfig, TTAConfig
from maskfold.inference import predict_batches
from maskfold.inference.absorbed import absorb_batch_norms
from maskfold.labels import LabelSpec
from maskfold.models import Outputs, build_model

CPU, ROOF = torch.device("cpu"), LabelSpec("binary", ("roof",))


def trained(network: nn.Module) -> nn.Module:
    """The network with statistics and factors as training leaves them: none is 0 or 1."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.4, 0.6, generator=generator)
            module.running_var.uniform_(0.3, 2.0, generator=generator)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
                nn.init.uniform_(module.bias, -0.5, 0.3, generator=generator)
    return network.eval()


def drawn(channels=3, size=64, count=2) -> torch.Tensor:
    return torch.randint(0, 256, (count, channels, size, size), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("architecture", "encoder", "absorbed"),
    [("unet", "resnet18", 30), ("unet", "mobilenet_v2", 62), ("unetplusplus", "efficientnet-b0", 58 + 12)],
)
def test_in_float64_the_logits_are_those_of_the_network(architecture, encoder, absorbed):
    config = ModelConfig(architecture=architecture, encoder=encoder, encoder_weights=None)
    network = trained(build_model(config, classes=2)).double()
    images = drawn().double()
    with torch.inference_mode():
        expected = network(images).logits
        found = absorb_batch_norms(network, images, torch.float64)
        logits = found(images).logits
        again = network(images).logits
    assert len(found.convolutions) == absorbed
    assert not torch.equal(logits, expected), "something else was computed"
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(again, expected), "the network is as it was"


class Odd(nn.Module):
    """Convolutions that must keep their batch norms, and one in five that need not."""

    def __init__(self):
        super().__init__()
        self.plain, self.seen_twice, self.shared, self.turned = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))
        self.weighed = weight_norm(nn.Conv2d(4, 4, 1))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(4))
        self.shared_norm, self.dropout = nn.BatchNorm2d(4, affine=False), nn.Dropout(0.5)

    def forward(self, x):
        x = self.norms[0](self.plain(x / 255))
        y = self.seen_twice(x)
        x = self.norms[1](y) + y.relu()
        x = self.shared_norm(self.shared(x)) + self.shared_norm(self.shared(x.sin()))
        x = self.norms[2](self.dropout(self.turned(x)))
        return Outputs(self.norms[3](self.weighed(x)), {})


def test_only_a_convolution_that_nobody_else_sees_absorbs():
    network, images = trained(Odd()).double(), drawn(channels=4).double()
    with torch.inference_mode():
        expected = network(images).logits
        found = absorb_batch_norms(network, images, torch.float64)
        torch.testing.assert_close(found(images).logits, expected, rtol=1e-9, atol=1e-9)
    assert [scaled.original is network.plain.weight for scaled in found.convolutions.values()] == [True]


class Sizes(nn.Module):
    """Goes another way where images are large."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        x = self.convolution(x / 255)
        return Outputs(self.norm(x if x.shape[-1] < 70 else x.exp()), {})


def test_a_network_whose_way_depends_on_the_image_is_called_as_it_is():
    network = trained(Sizes()).double()
    small, large = drawn().double(), drawn(size=80).double()
    with torch.inference_mode():
        found = absorb_batch_norms(network, small, torch.float64)
        for images in (small, large, small):
            torch.testing.assert_close(found(images).logits, network(images).logits, rtol=1e-9, atol=1e-9)
    assert not found.convolutions


def predicted(networks, images, precision):
    batch = {"image": images, "id": ["a", "b"], "index": [0, 1], "size": [(64, 64)] * 2}
    options = {"labels": ROOF, "tta": TTAConfig(views="none"), "device": CPU, "precision": precision}
    return torch.stack([torch.from_numpy(one.probability) for one in predict_batches(networks, [batch], **options)])


def test_a_prediction_in_bf16_is_rounded_no_worse(monkeypatch):
    images = drawn().to(torch.uint8)
    networks = [trained(build_model(ModelConfig(encoder=name, encoder_weights=None), classes=1)) for name in
                ("resnet18", "mobilenet_v2")]  # fmt: skip
    exact, ours = predicted(networks, images, None), predicted(networks, images, torch.bfloat16)
    monkeypatch.setattr("maskfold.inference.predict.absorb_batch_norms", lambda model, *_: model)
    plain = predicted(networks, images, torch.bfloat16)
    assert not torch.equal(ours, plain)
    assert 0 < (ours - exact).abs().mean() < 1.1 * (plain - exact).abs().mean()


def test_in_float32_every_bit_is_as_before(monkeypatch):
    network = trained(smp.Unet("resnet18", encoder_weights=None))
    images = drawn()
    network.forward = lambda images, forward=network.forward: Outputs(forward(images.float()), {})
    monkeypatch.setattr("maskfold.inference.predict.absorb_batch_norms", lambda *_: pytest.fail("absorbed"))
    with torch.inference_mode():
        expected = copy.deepcopy(network)(images).logits.sigmoid()
    assert torch.equal(predicted([network], images, None), expected)
