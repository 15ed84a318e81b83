"""Every network of the table: any number of classes and channels, sizes that no stride divides, gradients."""

import pytest
import torch
from tests.models.networks.conftest import OneNumber

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.images import ImageSpec
from maskfold.models import ARCHITECTURES, build_model
from maskfold.models.build import _architecture

# The smallest encoder that a network can have, and a small width; all others have timm's smallest ResNet.
SMALL = {
    **dict.fromkeys(["fcn32s", "fcn16s", "fcn8s", "deeplabv1"], ("vgg11", {"width": 16})),
    "segnet": ("vgg11", {}),
    "fcn_resnet50": ("resnet50", {}),
    "unet_original": ("own", {"width": 8}),
    "refinenet": ("tu-test_resnet", {"width": 16}),
    "dpt": ("tu-vit_tiny_patch16_224", {}),
}
# Parameters without a gradient. DPT takes the maps of blocks, and neither the last norm nor the classifier behind it.
UNUSED = {"dpt": {f"net.encoder.model.{name}" for name in ("norm.weight", "norm.bias", "head.weight", "head.bias")}}
HEAVY = {"dpt", "fcn_resnet50", "fcn32s", "fcn16s", "fcn8s", "segnet", "deeplabv1", "upernet", "unetplusplus", "manet"}
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in HEAVY else ()) for name in ARCHITECTURES]


@pytest.fixture
def small(monkeypatch):
    def make(name, classes, channels):
        torch.manual_seed(0)
        encoder, options = SMALL.get(name, ("tu-test_resnet", {}))
        config = ModelConfig(architecture=name, encoder=encoder, encoder_weights=None, options=options)
        with monkeypatch.context() as patch:
            if encoder.startswith("vgg"):
                patch.setattr("torch.nn.Linear", OneNumber)  # of a classifier that smp drops
            return build_model(config, classes=classes, images=ImageSpec(channels=channels))

    return make


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("classes", [1, 11])
@pytest.mark.parametrize("name", NAMES)
def test_forward_and_backward(name, classes, channels, small):
    model = small(name, classes, channels).train()
    for size in ((96, 96), (101, 77)):
        model.zero_grad()
        logits = model(torch.randint(0, 256, (2, channels, *size), dtype=torch.uint8)).logits
        assert logits.shape == (2, classes, *size)
        assert torch.isfinite(logits).all()
        (logits * torch.randn_like(logits)).sum().backward()
        gradients = {parameter: tensor.grad for parameter, tensor in model.named_parameters()}
        assert {parameter for parameter, found in gradients.items() if found is None} == UNUSED.get(name, set())
        found = [gradient for gradient in gradients.values() if gradient is not None]
        assert all(torch.isfinite(gradient).all() for gradient in found)
        assert sum(bool(gradient.any()) for gradient in found) > len(found) / 2


@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_can_learn_more_slowly_or_not_at_all(name, small):
    model = small(name, 2, 3).train()
    encoder = {id(parameter) for parameter in model.encoder_parameters()}
    named = {parameter for parameter, tensor in model.named_parameters() if id(tensor) in encoder}
    assert named == {parameter for parameter, _ in model.named_parameters() if parameter.startswith("net.encoder.")}
    assert 0 < len(named) < len(list(model.parameters()))
    model.freeze_encoder(True)
    model(torch.randint(0, 256, (2, 3, 40, 33), dtype=torch.uint8)).logits.sum().backward()
    learning = {parameter for parameter, tensor in model.named_parameters() if tensor.grad is not None}
    assert learning == {parameter for parameter, _ in model.named_parameters()} - named


@pytest.mark.parametrize("name", NAMES)
def test_a_single_pixel_and_a_row(name, small):
    model = small(name, 2, 3).eval()
    with torch.inference_mode():
        for size in ((1, 1), (3, 50)):
            logits = model(torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)).logits
            assert logits.shape == (1, 2, *size)
            assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("FCN-8s", "fcn8s"),
        ("DeepLab_v2", "deeplabv2"),
        ("U-Net original", None),
        ("unet-original", "unet_original"),
        ("fcnresnet50", "fcn_resnet50"),
        ("RefineNet", "refinenet"),
    ],
)
def test_names_may_be_spelt_as_people_do(spelt, name):
    if name is None:
        with pytest.raises(ModelError, match=r"there is no architecture U-Net original: did you mean unet_original\?"):
            _architecture(spelt)
    else:
        assert _architecture(spelt) == name
