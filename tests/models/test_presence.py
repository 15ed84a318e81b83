"""The presence head: what it sees, that the encoder runs once, and that the mask does not notice."""

import copy

import pytest
import torch
from torch import nn

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.models import build_model

SMALL = {"encoder_depth": 3, "decoder_channels": [16, 12, 8]}


def build(classes=3, presence=True, **changes):
    config = {"encoder": "mobilenet_v2", "encoder_weights": None, "presence": presence, "options": SMALL}
    torch.manual_seed(0)
    model = build_model(ModelConfig(**{**config, **changes}), classes=classes)
    if model.presence is not None:  # it starts at 0
        assert not any(parameter.any() for parameter in model.presence.parameters())
        for parameter in model.presence.parameters():
            nn.init.normal_(parameter)
    return model


@pytest.fixture
def images():
    return torch.randint(0, 256, (2, 3, 45, 70), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


NETWORKS = {
    "unet": {},
    "deep": {"deep_supervision": 2, "hypercolumns": True},
    "unet_original": {"architecture": "unet_original", "encoder": "own", "options": {}},
    "segnet": {"architecture": "segnet", "encoder": "vgg11_bn", "options": {}},
    "fpn": {"architecture": "fpn", "options": {}},
    "deeplabv3plus": {"architecture": "deeplabv3plus", "options": {}},
    "timm": {"architecture": "linknet", "encoder": "tu-test_resnet", "options": {}},
    "dpt": {"architecture": "dpt", "encoder": "tu-test_vit", "options": {}},
    "one map": {"architecture": "tests.models.test_presence:OneMap", "options": {}},
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("training", [True, False])
def test_the_logits_are_linear_in_the_normalised_maxima_of_the_encoders_last_map(name, training, images):
    model = build(**NETWORKS[name]).train(training)
    seen = []
    model.net.encoder.register_forward_hook(lambda module, inputs, found: seen.append(found))
    outputs = model(images)
    assert len(seen) == 1, "one pass of the encoder"
    last = seen[0]
    while not isinstance(last, torch.Tensor):
        last = last[0] if isinstance(last[0], list) else last[-1]
    assert last.shape[0] == 2
    assert last.ndim == 4
    maxima = last.flatten(2).max(2).values
    scaled = (maxima - maxima.mean(1, keepdim=True)) / (maxima.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    wanted = model.presence.linear.bias + scaled @ model.presence.linear.weight.T
    found = outputs.aux["presence"]
    assert found.shape == (2, 3)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-4)
    assert outputs.logits.shape == (2, 3, 45, 70)
    assert (found[0] != found[1]).all()


def test_it_stands_beside_the_other_outputs(images):
    model = build(deep_supervision=2).train()
    assert model.aux_names == ["deep_1", "deep_2", "presence"]
    assert list(model(images).named()) == ["mask", "deep_1", "deep_2", "presence"]
    assert list(model.eval()(images).named()) == ["mask", "presence"]
    assert build(presence=False).aux_names == []


@pytest.mark.parametrize("further", [{}, {"deep_supervision": 1, "hypercolumns": True}])
def test_the_mask_and_its_start_are_those_of_the_plain_network(further, images):
    model, plain = build(**further).eval(), build(presence=False, **further).eval()
    own = model.state_dict()
    assert set(own) - set(plain.state_dict()) == {"presence.linear.weight", "presence.linear.bias"}
    assert all(torch.equal(own[name], value) for name, value in plain.state_dict().items())
    with torch.no_grad():
        assert torch.equal(model(images).logits, plain(images).logits)


def test_gradients_reach_head_and_encoder_and_the_head_is_no_part_of_the_encoder(images):
    model = build().train()
    model(images).aux["presence"].square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.presence.parameters())
    assert sum(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.encoder_parameters()) > 20
    assert all(parameter.grad is None for parameter in model.net.segmentation_head.parameters())
    others = {id(parameter) for parameter in model.other_parameters()}
    assert {id(parameter) for parameter in model.presence.parameters()} <= others


def test_a_copy_has_a_head_of_its_own(images):
    """As averages of weights copy the network, also after it was used."""
    model = build().eval()
    model(images)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(0.5)
        assert not torch.allclose(twin(images).aux["presence"], model(images).aux["presence"])


@pytest.mark.slow
def test_it_can_be_exported(images):
    model = build().eval()
    with torch.no_grad():
        wanted = model(images)
        found = torch.export.export(model, (images,), strict=False).module()(images)
    torch.testing.assert_close(found.logits, wanted.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.aux["presence"], wanted.aux["presence"], rtol=1e-4, atol=1e-4)


class OneMap(nn.Module):
    """A network from outside the package, whose encoder returns one map."""

    def __init__(self, encoder_name, encoder_weights, in_channels, classes):
        super().__init__()
        self.encoder = nn.Conv2d(in_channels, 5, 3, padding=1)
        self.encoder.output_stride = 1
        self.head = nn.Conv2d(5, classes, 1)

    def forward(self, images):
        return self.head(self.encoder(images))


class Unsized(OneMap):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.encoder = nn.Sequential(self.encoder)
        self.encoder.output_stride = 1


class Aside(OneMap):
    def forward(self, images):
        return self.head(self.encoder.forward(images))


def test_an_encoder_that_cannot_carry_the_head_is_named(images):
    with pytest.raises(ModelError, match=r"encoder has no out_channels .*give it this attribute"):
        build(architecture="tests.models.test_presence:Unsized", options={})
    aside = build(architecture="tests.models.test_presence:Aside", options={})
    with pytest.raises(ModelError, match=r"Aside does not call self\.encoder as a whole.*model\.presence to false"):
        aside(images)
    with pytest.raises(ModelError, match=r"model\.options cannot hold aux_params: set model\.presence"):
        build(options={"aux_params": {"classes": 2}})
