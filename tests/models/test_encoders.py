import pytest
import timm
from segmentation_models_pytorch.encoders import encoders as smp_encoders

from maskfold.models.encoders import channel_statistics, encoder_statistics
from maskfold.models.published import pretrained_names


@pytest.mark.parametrize(
    ("encoder", "twin"),
    [
        ("resnet34", "resnet34.tv_in1k"),
        ("mobilenet_v2", "mobilenetv2_100.ra_in1k"),
        ("efficientnet-b4", "tf_efficientnet_b4.aa_in1k"),
        ("timm-tf_efficientnet_lite0", "tf_efficientnet_lite0.in1k"),
        ("dpn98", "dpn98.mx_in1k"),
        ("inceptionv4", "inception_v4.tf_in1k"),
        ("inceptionresnetv2", "inception_resnet_v2.tf_in1k"),
        ("xception", "legacy_xception.tf_in1k"),
        ("mobileone_s2", "mobileone_s2.apple_in1k"),
        ("timm-skresnet18", "skresnet18.ra_in1k"),
        ("tu-convnext_tiny.in12k_ft_in1k", "convnext_tiny.in12k_ft_in1k"),
        ("tu-vit_tiny_patch16_224", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    ],
)
def test_statistics_are_those_that_timm_publishes_for_the_same_weights(encoder, twin):
    config = timm.models.get_pretrained_cfg(twin)
    mean, std = encoder_statistics(encoder, "imagenet")
    assert mean == pytest.approx(config.mean, abs=1e-4)
    assert std == pytest.approx(config.std, abs=1e-4)


def test_adversarial_weights_have_their_own_statistics():
    assert encoder_statistics("efficientnet-b0", "advprop") == ((0.5,) * 3, (0.5,) * 3)
    assert encoder_statistics("efficientnet-b0", "imagenet") != encoder_statistics("efficientnet-b0", "advprop")


@pytest.mark.parametrize("encoder", list(smp_encoders))
def test_every_published_weight_has_statistics(encoder):
    for weights in pretrained_names(encoder):
        mean, std = encoder_statistics(encoder, weights)
        assert len(mean) == len(std) == 3
        assert min(std) > 0.2


def test_statistics_go_with_what_becomes_of_the_first_convolution():
    rgb = ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    assert channel_statistics(rgb, 3) == rgb
    assert channel_statistics(rgb, 5) == ((0.4, 0.5, 0.6, 0.4, 0.5), (0.1, 0.2, 0.3, 0.1, 0.2))
    mean, std = channel_statistics(rgb, 1)
    assert (mean, std) == ((pytest.approx(0.5),), (pytest.approx(0.2),))


@pytest.mark.parametrize(
    ("channels", "rgb", "mean"),
    [
        (3, (0, 1, 2), (0.4, 0.5, 0.6)),
        (3, (2, 1, 0), (0.6, 0.5, 0.4)),
        (4, (3, 1, 0), (0.6, 0.5, 0.4, 0.4)),  # blue, green, infrared as red, red
        (6, (4, 2, 1), (0.4, 0.6, 0.5, 0.5, 0.4, 0.6)),
        (6, (0, 1, 2), (0.4, 0.5, 0.6, 0.4, 0.5, 0.6)),
        (4, (3, 3, 0), (0.4, 0.5, 0.6, 0.4)),  # a picture for people, no colours
        (2, (0, 1, 1), (0.4, 0.5)),
        (1, (0, 0, 0), (0.5,)),
    ],
)
def test_channels_that_are_a_colour_have_its_statistics(channels, rgb, mean):
    found, spread = channel_statistics(((0.4, 0.5, 0.6), (0.14, 0.15, 0.16)), channels, rgb)
    assert found == pytest.approx(mean)
    assert spread == pytest.approx([value / 10 + 0.1 for value in mean])


def test_a_tag_of_timm_brings_its_own_statistics():
    assert encoder_statistics("tu-resnetv2_50x1_bit", "goog_in21k") == ((0.5,) * 3, (0.5,) * 3)
    assert encoder_statistics("tu-resnet18", "tv_in1k") == encoder_statistics("tu-resnet18", "imagenet")
    assert encoder_statistics("tu-vit_small_patch16_224", "dino") != encoder_statistics("tu-vit_small_patch16_224")
