"""Hypercolumns, and dropout before the mask's head."""

import pytest
import torch
import torch.nn.functional as F

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.models import build_model
from maskfold.models.deep import U_NETS


def build(architecture="unet", classes=3, encoder="resnet18", **changes):
    small = {"encoder_depth": 3, "decoder_channels": [24, 12, 8]} if architecture in U_NETS else {}
    small = {"encoder_depth": 3} if architecture == "linknet" else small
    config = {"architecture": architecture, "encoder": encoder, "encoder_weights": None, "options": small, **changes}
    torch.manual_seed(0)
    return build_model(ModelConfig(**config), classes=classes)


def images(height=45, width=70):
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", U_NETS)
def test_the_head_sees_every_stage(architecture):
    """Channel by channel, against maps up-sampled by hand: a head that passes one channel on shows it."""
    model = build(architecture, classes=1, hypercolumns=True).eval()
    names = [f"x_0_{at}" for at in range(3)] if architecture == "unetplusplus" else range(3)
    stages = []
    for name in names:
        model.net.decoder.blocks[name].register_forward_hook(lambda module, inputs, found: stages.append(found))
    head = model.net.segmentation_head[0]
    assert head.in_channels == {"linknet": 32 + 64 + 64}.get(architecture, 8 + 12 + 24)
    middle = head.kernel_size[0] // 2
    torch.nn.init.zeros_(head.bias)
    with torch.no_grad():
        model(images())
        last, *coarse = reversed(stages)
        columns = torch.cat([last, *(F.interpolate(found, last.shape[-2:], mode="bilinear") for found in coarse)], 1)
        for channel in (0, last.shape[1], last.shape[1] + coarse[0].shape[1] + 1, head.in_channels - 1):
            torch.nn.init.zeros_(head.weight)
            head.weight[:, channel, middle, middle] = 1
            found = model(images()).logits
            assert found.shape == (2, 1, 45, 70)
            torch.testing.assert_close(found, columns[:, channel : channel + 1, :45, :70], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", U_NETS)
def test_together_with_deep_supervision(architecture):
    model = build(architecture, hypercolumns=True, deep_supervision=2).train()
    outputs = model(images(37, 53)).named()
    shapes = {name: tuple(found.shape) for name, found in outputs.items()}
    assert shapes == dict.fromkeys(("mask", "deep_1", "deep_2"), (2, 3, 37, 53))
    sum(found.square().mean() for found in outputs.values()).backward()
    for part in (model.net.segmentation_head, *model.net.deep_heads, model.net.decoder):
        assert all(p.grad.isfinite().all() for p in part.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.net.segmentation_head.parameters())


def test_only_the_head_is_another():
    plain, more = build(classes=2), build(classes=2, hypercolumns=True)
    assert more.state_dict().keys() == plain.state_dict().keys()
    other = {name for name, value in plain.state_dict().items() if value.shape != more.state_dict()[name].shape}
    assert other == {"net.segmentation_head.0.weight"}
    same = plain.state_dict().keys() - other - {"net.segmentation_head.0.bias"}
    assert all(torch.equal(plain.state_dict()[name], more.state_dict()[name]) for name in same)


def test_one_stage_alone_makes_the_plain_network():
    options = {"encoder_depth": 1, "decoder_channels": [8]}
    plain, more = build(options=options).eval(), build(options=options, hypercolumns=True).eval()
    more.load_state_dict(plain.state_dict())
    with torch.no_grad():
        assert torch.equal(plain(images()).logits, more(images()).logits)


def test_the_weights_of_a_run_are_saved_and_loaded():
    model = build(hypercolumns=True, deep_supervision=1, dropout=0.4)
    other = build(hypercolumns=True, deep_supervision=1, dropout=0.4)
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(images()).logits, other.eval()(images()).logits)


def test_hypercolumns_are_for_u_nets():
    with pytest.raises(ModelError, match=r"is for unet, unetplusplus, manet, linknet, not for fpn"):
        build("fpn", hypercolumns=True)


@pytest.mark.parametrize("architecture", ["unet", "fpn", "deeplabv3plus", "dpt"])
def test_dropout_drops_whole_channels_before_the_head_in_training_only(architecture):
    encoder = "tu-vit_tiny_patch16_224" if architecture == "dpt" else "resnet18"
    plain = build(architecture, encoder=encoder)
    model = build(architecture, encoder=encoder, dropout=0.25)
    assert model.state_dict().keys() == plain.state_dict().keys()
    inputs, outputs = [], []
    model.net.decoder.register_forward_hook(lambda module, given, found: inputs.append(found.detach()))
    conv = next(part for part in model.net.segmentation_head.modules() if isinstance(part, torch.nn.Conv2d))
    conv.register_forward_hook(lambda module, given, found: outputs.append(given[0].detach()))
    with torch.no_grad():
        assert torch.equal(plain.eval()(images(32, 32)).logits, model.eval()(images(32, 32)).logits)
        model.train()(images(32, 32))
    features, dropped = inputs[-1], outputs[-1]
    gone = (dropped == 0).flatten(2).all(2) & (features != 0).flatten(2).any(2)
    assert 0 < gone.float().mean() < 0.6
    kept = torch.where(gone[..., None, None], 0, features / 0.75)
    torch.testing.assert_close(dropped, kept)


def test_dropout_after_hypercolumns():
    model = build(hypercolumns=True, dropout=0.5).train()
    seen = []
    model.net.segmentation_head[0].register_forward_hook(lambda module, given, found: seen.append(given[0]))
    model(images())
    assert (seen[0][:, 8:] == 0).flatten(2).all(2).float().mean() > 0.3


class Headless(torch.nn.Module):
    """A network from outside the package without smp's parts."""

    def __init__(self, encoder_name, encoder_weights, in_channels, classes):
        super().__init__()
        self.encoder = torch.nn.Conv2d(in_channels, classes, 1)
        self.encoder.output_stride = 1

    def forward(self, images):
        return self.encoder(images)


def test_dropout_needs_a_head():
    with pytest.raises(ModelError, match=r"model\.dropout comes before the segmentation_head, and .* has none"):
        build("tests.models.test_hypercolumns:Headless", dropout=0.1)
