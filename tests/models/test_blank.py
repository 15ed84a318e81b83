"""Networks that are made blank, and then loaded, are those that were saved."""

import pytest
import timm
import torch
from torch.nn import init

from maskfold.config import ModelConfig
from maskfold.models import build_model
from maskfold.models.blank import Blank

ENCODERS = [
    "resnet18",
    "mobilenet_v2",
    "vgg11",
    "efficientnet-b0",
    "mit_b0",
    "tu-convnext_atto",
    "tu-tf_efficientnet_lite0",
]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_nothing_is_drawn_and_all_that_is_computed_is_there(encoder):
    config = ModelConfig(encoder=encoder, encoder_weights=None, presence=True)
    made = build_model(config, classes=2).eval()
    before = torch.get_rng_state()
    with Blank():
        blank = build_model(config, classes=2).eval()
    assert torch.equal(torch.get_rng_state(), before)
    blank.load_state_dict(made.state_dict())
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(blank(images).logits, made(images).logits)


DISTRIBUTIONS = [
    init.uniform_,
    init.normal_,
    init.trunc_normal_,
    init.xavier_uniform_,
    init.xavier_normal_,
    init.kaiming_uniform_,
    init.kaiming_normal_,
    timm.layers.trunc_normal_,
    timm.layers.lecun_normal_,
]


@pytest.mark.parametrize("draw", DISTRIBUTIONS, ids=lambda draw: f"{draw.__module__}.{draw.__name__}")
def test_no_distribution_is_drawn_inside(draw):
    before = torch.get_rng_state()
    tensor = torch.zeros(3, 5)
    with Blank():
        draw(tensor)
    assert torch.equal(torch.get_rng_state(), before)
    draw(tensor)
    assert not torch.equal(torch.get_rng_state(), before)
    assert tensor.std() > 0


def test_only_what_has_so_many_dimensions_is_left_out():
    before = torch.get_rng_state()
    with Blank(ndim=2):
        init.normal_(torch.zeros(4, 2))
        assert torch.equal(torch.get_rng_state(), before)
        kernel = init.normal_(torch.zeros(4, 2, 3, 3))
    assert kernel.std() > 0.5
