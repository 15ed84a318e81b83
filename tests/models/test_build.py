import warnings

import pytest
import segmentation_models_pytorch as smp
import torch

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.images import ImageSpec
from maskfold.models import ARCHITECTURES, build_model
from maskfold.models.wrapper import reflect_pad

CONVOLUTIONAL = sorted(set(smp.MODEL_ARCHITECTURES_MAPPING) - {"dpt"})


def build(architecture="unet", encoder="resnet18", classes=1, **more):
    config = ModelConfig(architecture=architecture, encoder=encoder, **{"encoder_weights": None, **more})
    return build_model(config, classes=classes)


def check_any_size(model, sizes):
    with torch.inference_mode():
        for size in sizes:
            logits = model.eval()(torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)).logits
            assert logits.shape == (1, 3, *size)
            assert torch.isfinite(logits).all()
            assert size == (1, 3) or logits.std() > 0


def check_training(model, size):
    logits = model.train()(torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)).logits
    assert logits.shape == (2, 3, *size)
    logits.square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.net.segmentation_head.parameters())


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_every_architecture_takes_images_of_any_size(architecture):
    model = build(architecture, "resnet18", classes=3)
    check_any_size(model, [(33, 57), (101, 101), (1, 3)])
    check_training(model, (64, 64))


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_every_architecture_takes_a_second_encoder(architecture):
    check_any_size(build(architecture, "mobilenet_v2", classes=3), [(33, 57)])


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("dpt", "tu-vit_tiny_patch16_224"),
        ("pspnet", "mit_b0"),
        ("deeplabv3plus", "mit_b0"),
        ("unet", "tu-swin_tiny_patch4_window7_224"),
        ("fpn", "tu-convnext_atto"),
    ],
)
def test_transformers_take_images_of_any_size(architecture, encoder):
    model = build(architecture, encoder, classes=3)
    check_any_size(model, [(33, 57), (1, 3)])
    check_training(model, (24, 40))


@pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus", "pan", "upernet"])
def test_architectures_that_pool_to_one_pixel_refuse_to_train_on_one_image(name):
    with pytest.raises(ModelError, match=r"train\.batch_size to 2"):
        build(name).train()(torch.zeros(1, 3, 128, 128))


@pytest.mark.parametrize("name", sorted(set(CONVOLUTIONAL) - {"deeplabv3", "deeplabv3plus", "pan", "upernet"}))
def test_the_others_train_on_one_image(name):
    assert build(name).train()(torch.zeros(1, 3, 64, 64)).logits.shape == (1, 1, 64, 64)


@pytest.mark.parametrize("name", ["U-Net++", "UnetPlusPlus", "unet_plus_plus"])
def test_architectures_may_be_spelt_as_people_do(name):
    assert type(build(name).net) is ARCHITECTURES["unetplusplus"]


def test_options_reach_the_network():
    model = build(options={"decoder_channels": [32, 16, 8], "encoder_depth": 3})
    assert model.stride == 8
    assert model.net.segmentation_head[0].in_channels == 8
    assert model(torch.zeros(1, 3, 70, 41)).logits.shape == (1, 1, 70, 41)


@pytest.mark.parametrize(
    ("architecture", "options", "there"),
    [
        ("fpn", {"upsampling": 8}, "128x256"),
        ("segformer", {"upsampling": 8}, "128x256"),
        ("pspnet", {"encoder_depth": 2, "upsampling": 8}, "128x256"),
    ],
)
def test_options_that_make_maps_of_another_size_are_refused(architecture, options, there):
    with pytest.raises(ModelError, match=f"maps of {there} for images of 64x128"):
        build(architecture, options=options).eval()(torch.zeros(1, 3, 64, 128))


@pytest.mark.parametrize(("name", "depth"), [("fpn", 3), ("fpn", 4), ("pspnet", 2), ("pspnet", 4), ("pspnet", 5)])
def test_of_any_depth_maps_have_the_images_size(name, depth):
    model = build(name, options={"encoder_depth": depth}).eval()
    assert model(torch.zeros(1, 3, 60, 97)).logits.shape == (1, 1, 60, 97)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "unett"}, "no architecture unett: did you mean unet?"),
        ({"encoder": "resnet43"}, "no encoder resnet43: did you mean resnet34?"),
        ({"encoder": "tu-convnext_tinny"}, "did you mean tu-convnext_tiny?"),
        ({"encoder": "tu-resnet18.nonsense"}, "no encoder tu-resnet18.nonsense"),
        (
            {"encoder_weights": "imagenette"},
            "no weights imagenette for encoder resnet18: neither a file",
        ),
        ({"encoder": "resnext101_32x16d", "encoder_weights": "imagenet"}, "published are: instagram, ssl, swsl"),
        ({"encoder": "tu-test_resnet", "options": {"foo": 1}}, "unexpected keyword argument 'foo'"),
        ({"encoder": "tu-test_resnet", "options": {"output_stride": 64}}, "and these options: AssertionError"),
        ({"options": {"decoder_use_norm": "instancenorm"}}, "unet cannot be built with encoder resnet18"),
        ({"options": {"decoder_chanels": [1]}}, "options.decoder_chanels of unet: did you mean decoder_channels?"),
        ({"architecture": "segnet", "options": {"depth": 3}}, "model.options.depth of segnet: there are none"),
        ({"options": {"activation": "sigmoid"}}, "cannot hold activation: the losses"),
        ({"architecture": "unetplusplus", "encoder": "mit_b0"}, "unetplusplus cannot be built with encoder mit_b0"),
        ({"architecture": "dpt"}, "encoder name must start with 'tu-'"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_sentence(change, message):
    with pytest.raises(ModelError) as caught:
        build(**change)
    assert message.lower() in str(caught.value).lower()


def test_weights_that_come_later_need_no_download():
    config = ModelConfig(encoder="resnet18", encoder_weights="imagenet")
    logits = build_model(config, classes=2, pretrained=False).eval()(torch.zeros(1, 3, 9, 9)).logits
    assert logits.shape == (1, 2, 9, 9)


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(encoder="tu-resnet18")


def test_a_seed_decides_the_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in build(encoder="tu-test_resnet").parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("dtype", "tensor"), [("uint8", torch.uint8), ("uint16", torch.int32), ("float32", torch.float32)]
)
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_other_channels_and_values(channels, dtype, tensor):
    images = ImageSpec(channels=channels, dtype=dtype)
    model = build_model(ModelConfig(encoder="resnet18", encoder_weights=None), classes=1, images=images).eval()
    assert model.net.encoder.conv1.in_channels == channels
    assert model.mean.shape == (channels, 1, 1)
    torch.manual_seed(0)
    values = torch.rand(1, channels, 37, 50) * images.scale
    with torch.inference_mode():
        logits = model(values.to(tensor)).logits
        expected = model.net(reflect_pad((values.to(tensor) / images.scale - model.mean / images.scale)
                                         / (model.std / images.scale), 64, 64))[..., :37, :50]  # fmt: skip
        assert torch.allclose(logits, expected, atol=1e-3)
        with pytest.raises(ModelError, match=rf"it takes images \(N, {channels}, H, W\)"):
            model(torch.zeros(1, channels + 1, 9, 9))


def test_the_values_of_rgb_images_are_normalised_as_ever():
    model = build()
    assert torch.equal(model.mean.flatten(), 255 * torch.tensor([0.485, 0.456, 0.406]))
    assert torch.equal(model.std.flatten(), 255 * torch.tensor([0.229, 0.224, 0.225]))
