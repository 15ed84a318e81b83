"""Encoders of the last years: any image size and channels, two steps of training, weights of timm by name."""

import pytest
import timm
import torch
from segmentation_models_pytorch.encoders import encoders as smp_encoders
from torch import nn

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.images import ImageSpec
from maskfold.models import build_model
from maskfold.models.vit import PyramidVit

# The smallest of each family, and what image sizes must be multiples of.
SMALL = [
    ("unet", "tu-test_convnext", 32),
    ("unet", "tu-test_maxvit", 160),
    ("upernet", "tu-test_vit", 32),
    ("segformer", "tu-test_vit", 32),
    ("dpt", "tu-test_vit", 32),
]
# DPT's decoder has 38 million parameters.
SMALLER = {"dpt": {"decoder_intermediate_channels": [8, 12, 16, 20], "decoder_fusion_channels": 8}}
LARGE = [
    ("unet", "tu-convnext_atto", 32),
    ("fpn", "tu-maxvit_rmlp_pico_rw_256", 256),
    ("unet", "tu-tf_efficientnetv2_b0", 32),
    ("upernet", "tu-pvt_v2_b0", 32),
    ("segformer", "mit_b0", 32),
    ("dpt", "tu-vit_small_patch16_dinov3", 32),
    ("upernet", "tu-vit_small_patch16_dinov3", 32),
    ("unet", "tu-vit_small_patch14_dinov2", 224),
]


def timms_file(encoder, path):
    """Weights of a network that timm has freshly built, under a name that MASKFOLD_WEIGHTS finds."""
    torch.manual_seed(8)
    made = smp_encoders[encoder]["encoder"](**smp_encoders[encoder]["params"]) if encoder == "mit_b0" else None
    network = made or timm.create_model(encoder.removeprefix("tu-"))
    torch.save(network.state_dict(), path / f"{encoder.removeprefix('tu-')}.pth")
    return network.state_dict()


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    ("architecture", "encoder", "multiple"),
    [*SMALL, *(pytest.param(*each, marks=pytest.mark.slow) for each in LARGE)],
)
def test_families(architecture, encoder, multiple, channels, tmp_path, monkeypatch, caplog):
    state = timms_file(encoder, tmp_path)
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(tmp_path))
    options = SMALLER.get(architecture, {})
    config = ModelConfig(architecture=architecture, encoder=encoder, encoder_weights="imagenet", options=options)
    with caplog.at_level("INFO"):
        model = build_model(config, classes=2, images=ImageSpec(channels=channels))
    assert "missing" not in caplog.text
    assert "mismatched" not in caplog.text
    wanted = {name.removeprefix("model.").replace("_", ".") for name in model.net.encoder.state_dict()}
    assert wanted <= {name.replace("_", ".") for name in state}
    assert model.stride == multiple
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.randint(0, 256, (2, channels, 101, 77), dtype=torch.uint8)
    for _ in range(2):
        logits = model.train()(images).logits
        assert logits.shape == (2, 2, 101, 77)
        loss = (logits - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        optimizer.step()
    changed = sum(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert changed > 0.8 * len(before)
    with torch.inference_mode():
        assert torch.isfinite(model.eval()(images[:1, :, :33, :40]).logits).all()


@pytest.fixture
def vit():
    torch.manual_seed(3)
    return PyramidVit("test_vit", dynamic_img_size=True).eval()


def test_the_pyramid_of_a_plain_transformer(vit):
    """The maps are timm's own, normed and resized; six blocks give four maps: of the blocks 1, 3, 4 and 6."""
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        found = vit(images)
        timms = vit.model.get_intermediate_layers(images, n=[0, 2, 3, 5], norm=True, reshape=True)
    assert len(vit.model.blocks) == 6
    assert torch.equal(found[0], images)
    assert found[1].shape == (2, 0, 32, 48)
    assert [tuple(map_.shape[1:]) for map_ in found[2:]] == [(64, 16, 24), (64, 8, 12), (64, 4, 6), (64, 2, 3)]
    assert vit.out_channels == [3, 0, 64, 64, 64, 64]
    assert vit.output_stride == 32
    torch.testing.assert_close(found[4], timms[2])
    torch.testing.assert_close(found[5], nn.functional.avg_pool2d(timms[3], 2))
    for place, factor in ((2, 4), (3, 2)):
        larger = nn.functional.interpolate(timms[place - 2], scale_factor=factor, mode="bilinear")
        torch.testing.assert_close(found[place], larger)


def test_a_shallower_pyramid_has_fewer_maps():
    vit = PyramidVit("test_vit", depth=4, dynamic_img_size=True)
    assert vit.out_channels == [3, 0, 64, 64, 64]
    assert vit.output_stride == 16
    assert vit.taken[-1] == 5
    with pytest.raises(ModelError, match="encoder_depth is 6"):
        PyramidVit("test_vit", depth=6)


def test_every_parameter_of_the_pyramid_is_timms(vit):
    """So that a frozen encoder holds nothing that was never trained."""
    timms = timm.create_model("test_vit", num_classes=0).state_dict()
    assert {name.removeprefix("model.") for name in vit.state_dict()} == set(timms)


def test_options_reach_decoder_and_transformer():
    options = {"decoder_channels": 24, "drop_path_rate": 0.3}
    config = ModelConfig(architecture="upernet", encoder="tu-test_vit", encoder_weights=None, options=options)
    model = build_model(config, classes=1)
    assert model.net.segmentation_head[0].in_channels == 24
    assert model.net.encoder.model.blocks[-1].drop_path1.drop_prob == pytest.approx(0.3)
    assert not any(name.startswith("pyramid") for name in smp_encoders)
    with pytest.raises(ModelError, match="unexpected keyword argument 'drop_pth'"):
        build_model(config.model_copy(update={"options": {"drop_pth": 0.3}}), classes=1)


def test_architectures_that_dilate_their_encoder_refuse_a_plain_transformer():
    with pytest.raises(ModelError, match=r"deeplabv3plus .*upernet"):
        build_model(ModelConfig(architecture="deeplabv3plus", encoder="tu-test_vit", encoder_weights=None), classes=1)
