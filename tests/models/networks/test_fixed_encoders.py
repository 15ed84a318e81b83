"""Networks that cannot have any encoder say which they can have."""

import pytest
import torch
import torchvision

from maskfold.errors import ModelError
from maskfold.models.encoders import encoder_statistics
from maskfold.models.weights import load_encoder_weights

VGG = ["fcn32s", "fcn16s", "fcn8s", "segnet", "deeplabv1"]


@pytest.mark.parametrize("name", VGG)
@pytest.mark.parametrize("encoder", ["resnet34", "own"])
def test_a_network_on_vgg_names_the_encoders_to_set(build, name, encoder):
    with pytest.raises(ModelError) as caught:
        build(name, encoder)
    first = "vgg16_bn" if name == "segnet" else "vgg16"
    message = str(caught.value)
    assert message.startswith(f"{name} cannot have the encoder {encoder}: set model.encoder to {first} (or ")
    assert "vgg19_bn" in message


def test_a_network_with_its_own_encoder(build):
    with pytest.raises(ModelError, match=r"unet_original cannot have the encoder resnet34: set model.encoder to own$"):
        build("unet_original", "resnet34")
    with pytest.raises(ModelError, match=r"no weights imagenet for encoder own: .*\(published are: none\)"):
        build("unet_original", "own", weights="imagenet")
    with pytest.raises(ModelError, match=r"unet has no encoder of its own: set model.encoder to resnet34 or another"):
        build("unet", "own")
    with pytest.raises(ModelError, match=r"deeplabv2 has no encoder of its own: set model.encoder"):
        build("deeplabv2", "own")


@pytest.mark.parametrize(
    ("name", "encoder", "option", "nearest"),
    [
        ("fcn8s", "vgg11", "widht", "width"),
        ("segnet", "vgg11", "width", None),
        ("unet_original", "own", "depth", None),
        ("deeplabv1", "vgg11", "dilatation", "dilation"),
        ("deeplabv2", "resnet18", "rate", "rates"),
        ("refinenet", "resnet18", "drop_out", "dropout"),
        ("fcn_resnet50", "resnet50", "width", None),
    ],
)
def test_unknown_options_are_errors(build, name, encoder, option, nearest):
    with pytest.raises(ModelError, match=rf"unknown key model\.options\.{option} of {name}") as caught:
        build(name, encoder, **{option: 1})
    assert nearest is None or f"did you mean {nearest}?" in str(caught.value)


def test_unknown_options_of_a_timm_encoder_are_errors(build):
    with pytest.raises(ModelError, match="unexpected keyword argument 'widht'"):
        build("refinenet", "tu-test_resnet", widht=1)


@pytest.mark.parametrize(("encoder", "layers"), [("vgg11", "A"), ("vgg16_bn", "D"), ("vgg16", "D")])
@pytest.mark.parametrize("channels", [3, 1])
def test_torchvisions_vgg_files_fit(build, encoder, layers, channels, tmp_path):
    source = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs[layers], batch_norm="bn" in encoder)
    state = {f"features.{name}": value for name, value in source.state_dict().items()}
    torch.save({**state, "classifier.0.bias": torch.zeros(4096)}, tmp_path / "vgg.pth")
    model = build("deeplabv1", encoder, channels=channels, width=4)
    report = load_encoder_weights(model, tmp_path / "vgg.pth")
    assert len(report.matched) == len(source.state_dict())
    assert report.missing == report.mismatched == ()
    assert report.unexpected == ("classifier.0.bias",)
    found = model.net.encoder.state_dict()
    assert all(torch.equal(found[name], value) for name, value in list(state.items())[1:])
    first = state["features.0.weight"]
    assert torch.equal(found["features.0.weight"], first if channels == 3 else first.sum(1, keepdim=True))


def test_a_vggs_images_are_normalised_as_torchvisions():
    assert encoder_statistics("vgg16", "imagenet") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_network_from_outside_may_have_its_own_encoder(build):
    assert build("tests.models.test_deep:Tiny", "own", width=3)(torch.zeros(1, 3, 5, 7)).logits.shape == (1, 1, 5, 7)
