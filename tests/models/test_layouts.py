"""Files of torchvision, timm and smp serve every family of smp's encoders: the features are those of their networks."""

import pytest
import timm
import torch
import torchvision
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from maskfold.models import SegmentationModel, load_encoder_weights

IMAGES = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(3)) - 0.3


HEAVY = {"dpn68", "densenet121", "inceptionresnetv2", "inceptionv4", "mobileone_s0", "mobileone_s4", "resnext50_32x4d"}
HEAVY |= {"se_resnet50", "timm-skresnet18", "vgg11", "xception"}


def cases(rows):
    return [pytest.param(*row, marks=pytest.mark.slow if row[0] in HEAVY else ()) for row in rows]


class Around(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = nn.Conv2d(2, 2, 1)


def drawn(make, *arguments, **options):
    """A network with random weights and norms; made without memory first, since no one needs its own random start."""
    with torch.device("meta"):
        network = make(*arguments, **options)
    if isinstance(network, torchvision.models.VGG | timm.models.VGG):
        for name in ("classifier", "pre_logits", "head"):  # half a gigabyte that no encoder has
            setattr(network, name, nn.Flatten())
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.ndim > 1:
                value.normal_(std=(2 / value[0].numel()) ** 0.5, generator=generator)
            elif value.is_floating_point():
                low = 0.8 if name.endswith(("weight", "var", "gamma")) else -0.1
                value.uniform_(low, low + 0.3, generator=generator)
            else:
                value.fill_(7)
    return network.eval()


def caught(network, module, images=IMAGES):
    """What comes out of ``module`` when ``network`` sees the images."""
    found = []
    handle = network.get_submodule(module).register_forward_hook(lambda *arguments: found.append(arguments[2].clone()))
    with torch.inference_mode():
        network(images)
    handle.remove()
    return found[0]


def empty(encoder):
    """smp's encoder with zeros in all tensors."""
    if encoder.startswith("mit"):
        return get_encoder(encoder)
    with torch.device("meta"):
        made = get_encoder(encoder)
    made.to_empty(device="cpu").load_state_dict({name: torch.zeros_like(v) for name, v in made.state_dict().items()})
    return made


def check(encoder, network, reference, path):
    """The smp encoder, loaded from ``network``'s file, gives the features ``reference``."""
    torch.save(network.state_dict(), path)
    model = SegmentationModel(Around(empty(encoder)), mean=(0.0,) * 3, std=(1.0,) * 3, stride=32).eval()
    report = load_encoder_weights(model, path)
    assert len(report.matched) == len(model.net.encoder.state_dict()), str(report)
    assert report.missing == report.mismatched == report.adapted == ()
    with torch.inference_mode():
        found = model.net.encoder(IMAGES)[-1]
    scale = reference.abs().max()
    assert reference.std() > 0.01 * scale
    torch.testing.assert_close(found / scale, reference / scale, rtol=1e-3, atol=1e-4)
    return report


TORCHVISION = [
    ("resnet18", "resnet18", "layer4"),
    ("resnext50_32x4d", "resnext50_32x4d", "layer4"),
    ("vgg11", "vgg11", "features"),
    ("vgg11_bn", "vgg11_bn", "features"),
    ("densenet121", "densenet121", "features"),
    ("mobilenet_v2", "mobilenet_v2", "features"),
    ("timm-efficientnet-b0", "efficientnet_b0", "features.7"),
]


@pytest.mark.parametrize(("encoder", "name", "module"), cases(TORCHVISION))
def test_torchvision(encoder, name, module, tmp_path):
    network = drawn(torchvision.models.get_model, name, weights=None)
    report = check(encoder, network, caught(network, module), tmp_path / "w.pth")
    assert all(key.startswith(("fc.", "classifier.")) for key in report.unexpected)


TIMM = [
    ("resnet18", "resnet18", "layer4"),
    ("dpn68", "dpn68", "features.conv5_bn_ac"),
    ("vgg11_bn", "vgg11_bn", "features"),
    ("se_resnet50", "legacy_seresnet50", "layer4"),
    ("densenet121", "densenet121", "features.denseblock4"),
    ("inceptionresnetv2", "inception_resnet_v2", "conv2d_7b"),
    ("inceptionv4", "inception_v4", "features"),
    ("efficientnet-b0", "tf_efficientnet_b0", "blocks"),
    ("timm-efficientnet-b0", "efficientnet_b0", "blocks"),
    ("timm-tf_efficientnet_lite0", "efficientnet_lite0", "blocks"),
    ("mobilenet_v2", "mobilenetv2_100", "bn2"),
    ("xception", "legacy_xception", "bn4"),
    ("timm-skresnet18", "skresnet18", "layer4"),
    ("mobileone_s0", "mobileone_s0", "stages"),
    ("mobileone_s4", "mobileone_s4", "stages"),
]


@pytest.mark.parametrize(("encoder", "name", "module"), cases(TIMM))
def test_timm(encoder, name, module, tmp_path):
    network = drawn(timm.create_model, name, **MADE_AS_SMP.get(name, {}))
    pad_as_smp_does(network, encoder)
    reference = caught(network, module)
    if encoder == "densenet121":  # timm's last norm has its activation inside
        with torch.inference_mode():
            reference = nn.functional.batch_norm(reference, **norm_of(network.features.norm5))
    check(encoder, network, reference, tmp_path / "w.pth")


# smp's is of another width than the one that timm publishes.
MADE_AS_SMP = {"skresnet18": {"block_args": {"sk_kwargs": {"rd_ratio": 1 / 8, "split_input": True}}}}


def pad_as_smp_does(network, encoder):
    """smp pads where the published networks let the image shrink, so that sizes are halved exactly."""
    for name, module in network.named_modules():
        if encoder.startswith("inception"):
            if isinstance(module, nn.MaxPool2d) or (isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)):
                module.padding = (1, 1)
        elif encoder == "xception" and name in ("conv1", "conv2"):
            module.padding = (1, 1)


def norm_of(norm):
    values = {"running_mean": norm.running_mean, "running_var": norm.running_var, "eps": norm.eps}
    return {**values, "weight": norm.weight, "bias": norm.bias}


SMP = [
    *("resnet18", "dpn68", "vgg11_bn", "se_resnet50", "densenet121", "inceptionresnetv2", "inceptionv4"),
    *("efficientnet-b0", "timm-efficientnet-b0", "timm-tf_efficientnet_lite0", "mobilenet_v2", "xception"),
    *("timm-skresnet18", "mit_b0", "mobileone_s0"),
]


@pytest.mark.parametrize("encoder", cases((name,) for name in SMP))
def test_smp(encoder, tmp_path):
    network = get_encoder(encoder).eval() if encoder.startswith("mit") else drawn(get_encoder, encoder)
    with torch.inference_mode():
        reference = network(IMAGES)[-1]
    check(encoder, Around(network), reference, tmp_path / "w.pth")
