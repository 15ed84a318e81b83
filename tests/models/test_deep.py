"""Deep supervision of the U-Net: its outputs, their gradients, and that prediction does not notice."""

import pytest
import torch
import torch.nn.functional as F

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.models import build_model


def build(deep, channels=(16, 12, 8), classes=3, **changes):
    options = {"encoder_depth": len(channels), "decoder_channels": list(channels)}
    config = {"encoder": "mobilenet_v2", "encoder_weights": None, "deep_supervision": deep, "options": options}
    torch.manual_seed(0)
    return build_model(ModelConfig(**{**config, **changes}), num_classes=classes)


@pytest.fixture
def images():
    return torch.randint(0, 256, (2, 3, 45, 70), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_outputs_have_the_masks_size(images):
    model = build(2)
    assert model.aux_names == ["deep_1", "deep_2"]
    outputs = model.train()(images).named()
    assert {name: tuple(output.shape) for name, output in outputs.items()} == dict.fromkeys(
        ("mask", "deep_1", "deep_2"), (2, 3, 45, 70)
    )


def test_the_stages_are_those_of_smps_decoder(images):
    """Heads of ones and a bias: each output is the up-sampled sum over the stage's channels, found by hooks."""
    model = build(2, classes=1).train()
    for number, head in enumerate(model.net.deep_heads):
        torch.nn.init.zeros_(head.weight)
        with torch.no_grad():
            head.weight[:, :, 1, 1] = 1
            head.bias.fill_(number + 0.5)
    stages = []
    for block in model.net.decoder.blocks:
        block.register_forward_hook(lambda module, inputs, found: stages.append(found))
    padded = {}
    model.net.encoder.register_forward_pre_hook(lambda module, inputs: padded.update(images=inputs[0]))
    outputs = model(images)
    size = padded["images"].shape[-2:]
    assert [stage.shape[1] for stage in stages] == [16, 12, 8]
    for name, stage, bias in (("deep_1", stages[1], 0.5), ("deep_2", stages[0], 1.5)):
        wanted = F.interpolate(stage.sum(1, keepdim=True) + bias, size=size, mode="bilinear")[..., :45, :70]
        torch.testing.assert_close(outputs.aux[name], wanted)
    decoded = model.net.segmentation_head(model.net.decoder(model.net.encoder(padded["images"])))
    torch.testing.assert_close(outputs.logits, decoded[..., :45, :70], rtol=1e-4, atol=1e-4)


def test_gradients_reach_every_head(images):
    model = build(2).train()
    outputs = model(images)
    for name, head in zip(model.aux_names, model.net.deep_heads, strict=True):
        gradients = torch.autograd.grad(outputs.aux[name].square().mean(), head.parameters(), retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)
    heads = {id(parameter) for parameter in model.net.deep_heads.parameters()}
    assert heads <= {id(parameter) for parameter in model.other_parameters()}


def test_evaluation_computes_no_head_and_gives_the_plain_networks_logits(images):
    deep, plain = build(2).eval(), build(0).eval()
    missing = deep.load_state_dict(plain.state_dict(), strict=False)
    assert {name.split(".")[1] for name in missing.missing_keys} == {"deep_heads"}
    assert missing.unexpected_keys == []
    for head in deep.net.deep_heads:
        head.register_forward_hook(lambda *_: pytest.fail("a head was computed"))
    with torch.no_grad():
        found = deep(images)
        assert torch.equal(found.logits, plain(images).logits)
    assert found.aux == {}


def test_the_same_seed_starts_the_same_network():
    deep, plain = build(2).state_dict(), build(0).state_dict()
    assert all(torch.equal(deep[name], value) for name, value in plain.items())


def test_what_cannot_be_supervised_is_refused():
    with pytest.raises(ModelError, match=r"deep_supervision is 3: this decoder has 2 stages that are coarser"):
        build(3)
    with pytest.raises(ModelError, match=r"is for the architecture unet, not for unetplusplus: set it to 0"):
        build(1, architecture="unetplusplus")
    with pytest.raises(ModelError, match=r"model\.options\.decoder_chanels"):
        build(1, options={"decoder_chanels": [1]})


class Tiny(torch.nn.Module):
    """A network from outside the package, called as smp's are."""

    def __init__(self, encoder_name, encoder_weights, in_channels, classes, width=2):
        super().__init__()
        self.encoder = torch.nn.Conv2d(in_channels, width, 1)
        self.encoder.output_stride = 1
        self.head = torch.nn.Conv2d(width, classes, 1)

    def forward(self, images):
        return self.head(self.encoder(images))


def test_an_architecture_from_outside_the_package(images):
    model = build(0, architecture="tests.models.test_deep:Tiny", options={"width": 5})
    assert model(images).logits.shape == (2, 3, 45, 70)
    assert model.net.encoder.out_channels == 5
    with pytest.raises(ModelError, match=r"unknown key model\.options\.depth"):
        build(0, architecture="tests.models.test_deep:Tiny", options={"depth": 5})
