"""Ours is torchvision's, weight by weight and number by number."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from tests.models.networks.conftest import count

from maskfold.errors import ModelError
from maskfold.models.weights import load_encoder_weights


@pytest.mark.parametrize("classes", [1, 21])
def test_it_is_torchvisions(build, images, classes):
    theirs = torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=classes)
    model = build("fcn_resnet50", "resnet50", classes=classes)
    assert count(model) == count(theirs) == 32_946_240 + 513 * classes
    state = {
        name.replace("encoder.", "backbone.").replace("segmentation_head.", "classifier."): value
        for name, value in model.net.state_dict().items()
    }
    theirs.load_state_dict(state)
    with torch.no_grad():
        found = model.net.eval()(images[:1])
        assert found.std() > 0
        assert torch.equal(found, theirs.eval()(images[:1])["out"])


@pytest.mark.parametrize("channels", [3, 4])
def test_torchvisions_resnet50_file_fits(build, channels, tmp_path):
    source = torchvision.models.resnet50(weights=None)
    torch.save(source.state_dict(), tmp_path / "resnet50.pth")
    model = build("fcn_resnet50", "resnet50", channels=channels)
    report = load_encoder_weights(model, tmp_path / "resnet50.pth")
    assert report.missing == report.mismatched == ()
    assert report.unexpected == ("fc.bias", "fc.weight")
    state = source.state_dict()
    assert torch.equal(model.net.encoder.layer4[2].conv3.weight, state["layer4.2.conv3.weight"])
    assert model.net.encoder.conv1.weight.shape[1] == channels


def test_published_weights_of_the_encoder_are_used(build, monkeypatch, tmp_path):
    source = torchvision.models.resnet50(weights=None)
    state = {name: value for name, value in source.state_dict().items() if not name.startswith("fc.")}
    save_file(state, tmp_path / "resnet50_imagenet.safetensors")
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(tmp_path))
    model = build("fcn_resnet50", "resnet50", weights="imagenet")
    assert torch.equal(model.net.encoder.layer3[1].conv2.weight, state["layer3.1.conv2.weight"])


def test_another_encoder_is_refused(build):
    with pytest.raises(ModelError, match=r"cannot have the encoder resnet34: set model\.encoder to resnet50$"):
        build("fcn_resnet50", "resnet34")
