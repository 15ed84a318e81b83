"""Deep supervision: the outputs, their gradients, and that prediction does not notice."""

import copy

import pytest
import torch
import torch.nn.functional as F

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.models import build_model
from maskfold.models.stages import STAGES


def build(deep, channels=(16, 12, 8), classes=3, **changes):
    options = {"encoder_depth": len(channels), "decoder_channels": list(channels)}
    config = {"encoder": "mobilenet_v2", "encoder_weights": None, "deep_supervision": deep, "options": options}
    torch.manual_seed(0)
    return build_model(ModelConfig(**{**config, **changes}), classes=classes)


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
    with pytest.raises(ModelError, match=r"needs a decoder with stages, and pspnet has none: .* unet, unetplusplus,"):
        build(1, architecture="pspnet", options={})
    with pytest.raises(ModelError, match=r"needs a decoder with stages, and tests.models.test_deep:Tiny has none"):
        build(1, architecture="tests.models.test_deep:Tiny", options={})
    with pytest.raises(ModelError, match=r"model\.options\.decoder_chanels"):
        build(1, options={"decoder_chanels": [1]})


# What a stage of each architecture is coarser than the image by, deep_1 first, and how many channels it has. ResNet-18
# has 64 at 1/2 and 1/4, and 128 at 1/8; the figures of the decoders without options are smp's defaults.
SMALL = {"encoder_depth": 3, "decoder_channels": [20, 12, 8]}
OPTIONS = {"unet": SMALL, "unetplusplus": SMALL, "manet": SMALL, "linknet": {"encoder_depth": 4}}
WANTED = {
    "unet": [(2, 12), (4, 20)],
    "unetplusplus": [(2, 12), (4, 20)],
    "manet": [(2, 12), (4, 20)],
    "linknet": [(2, 64), (4, 64), (8, 128)],
    "fpn": [(8, 256), (16, 256), (32, 256)],
    "pan": [(8, 32), (16, 32), (16, 32)],
    "upernet": [(8, 256), (16, 256), (32, 256)],
    "segformer": [(8, 256), (16, 256), (32, 256)],
    "dpt": [(4, 256), (8, 256), (16, 256)],
}


@pytest.mark.parametrize("architecture", STAGES)
def test_every_decoder_with_stages(architecture):
    """Sizes of what the heads get, gradients from each head to its own stage, nothing left behind in a copy."""
    wanted = WANTED[architecture]
    encoder = "tu-vit_tiny_patch16_224" if architecture == "dpt" else "resnet18"
    options = OPTIONS.get(architecture, {})
    model = build(len(wanted), classes=2, architecture=architecture, encoder=encoder, options=options).train()
    copied = copy.deepcopy(model)
    seen = {}
    for number, head in enumerate(copied.net.deep_heads):
        head.register_forward_hook(lambda module, inputs, found, number=number: seen.update({number: inputs[0]}))
    # PAN pools to an eighth of its last map: no image is padded to less than 256.
    side = 256 if architecture == "pan" else 64
    images = torch.randint(0, 256, (2, 3, side - 5, side + 29), dtype=torch.uint8)
    outputs = copied(images)
    shapes = [tuple(seen[number].shape[1:]) for number in range(len(wanted))]
    assert shapes == [(width, side // stride, (side + 32) // stride) for stride, width in wanted]
    assert all(found.shape == (2, 2, *images.shape[-2:]) for found in outputs.named().values())
    loss = sum(found.square().mean() for found in outputs.aux.values())
    loss.backward()
    for head in copied.net.deep_heads:
        assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in head.parameters())
    assert all(p.grad is None for p in model.parameters()), "the copy has stages of its own"
    assert all(p.grad is None for p in copied.net.segmentation_head.parameters())
    hooks = [hook for hook in copied.net._forward_hooks.values() if hasattr(hook, "stages")]
    assert [hook.stages.found for hook in hooks] == [[]], "activations are released"


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
