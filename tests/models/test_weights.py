import logging
import os
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.images import ImageSpec
from maskfold.models import build_model, load_encoder_weights, load_weights


def build(encoder="mobilenet_v2", classes=1, weights=None, **more):
    config = ModelConfig(encoder=encoder, encoder_weights=weights, **more)
    return build_model(config, classes=classes)


def random_state(module, seed=0):
    """The module's tensors with other values, so that loading them shows."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(value.shape, generator=generator).to(value.dtype)
        for name, value in module.state_dict().items()
    }


def assert_equal_states(state, expected):
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize("prefix", ["", "module.", "encoder.", "module.encoder.", "net.encoder.", "backbone."])
def test_an_encoder_is_found_under_any_prefix(prefix, tmp_path):
    model = build()
    state = random_state(model.net.encoder)
    others = {"decoder.weight": torch.zeros(3), "module.classifier.1.bias": torch.zeros(1000)}
    torch.save({"epoch": 3, "state_dict": {**{prefix + k: v for k, v in state.items()}, **others}}, tmp_path / "w.pth")
    report = load_encoder_weights(model, tmp_path / "w.pth")
    assert_equal_states(model.net.encoder.state_dict(), state)
    assert set(report.matched) == set(state)
    assert set(report.unexpected) == set(others)
    assert not report.missing
    assert not report.mismatched
    assert str(report) == (
        f"{tmp_path / 'w.pth'}: 312 of the encoder's 312 tensors loaded; "
        "unexpected: decoder.weight, module.classifier.1.bias"
    )


def test_a_file_without_the_wrapping_name_of_smp_fits(tmp_path):
    model = build()
    state = random_state(model.net.encoder)
    save_file({name.removeprefix("features."): value for name, value in state.items()}, tmp_path / "w.safetensors")
    assert len(load_encoder_weights(model, tmp_path / "w.safetensors").matched) == 312
    assert_equal_states(model.net.encoder.state_dict(), state)


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
def test_a_file_of_timm_fits_the_timm_encoder(name, tmp_path):
    whole = timm.create_model(name, pretrained=False)
    state = random_state(whole)
    save_file(state, tmp_path / "w.safetensors")
    model = build(f"tu-{name}")
    report = load_encoder_weights(model, tmp_path / "w.safetensors")
    assert not report.missing
    assert not report.mismatched
    assert all(key.startswith(("fc.", "head.")) for key in report.unexpected)
    # timm's own network gives the same features, so each tensor reached its place.
    whole.load_state_dict(state)
    images = torch.rand(1, 3, 64, 64)
    features = model.net.encoder.eval()(images)[-1]
    torch.testing.assert_close(features, whole.eval().forward_features(images), equal_nan=True)


def test_gaps_and_other_shapes_are_reported_and_left_alone(tmp_path):
    model = build("resnet18")
    before = {name: value.clone() for name, value in model.net.encoder.state_dict().items()}
    state = random_state(model.net.encoder)
    del state["bn1.bias"]
    state["conv1.weight"] = torch.zeros(64, 3, 5, 5)
    save_file(state, tmp_path / "w.safetensors")
    report = load_encoder_weights(model, tmp_path / "w.safetensors")
    assert report.missing == ("bn1.bias",)
    assert report.mismatched == ("conv1.weight",)
    assert len(report.matched) == len(before) - 2
    after = model.net.encoder.state_dict()
    assert torch.equal(after["conv1.weight"], before["conv1.weight"])
    assert torch.equal(after["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])


def test_another_networks_file_is_refused(tmp_path):
    save_file(random_state(build("resnet18").net.encoder), tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"0 of the encoder's 312 tensors.*model\.encoder names"):
        load_encoder_weights(build(), tmp_path / "w.safetensors")


def test_fewer_than_half_of_the_tensors_are_refused_and_change_nothing(tmp_path):
    model = build("resnet18")
    state = random_state(model.net.encoder)
    names = sorted(state)
    save_file({name: state[name] for name in names[: len(names) // 2 - 1]}, tmp_path / "few.safetensors")
    save_file({name: state[name] for name in names[: (len(names) + 1) // 2]}, tmp_path / "half.safetensors")
    before = {name: value.clone() for name, value in model.net.encoder.state_dict().items()}
    with pytest.raises(ModelError):
        load_encoder_weights(model, tmp_path / "few.safetensors")
    assert_equal_states(model.net.encoder.state_dict(), before)
    load_encoder_weights(model, tmp_path / "half.safetensors")


class Opened:
    def __reduce__(self):
        return (os.mkdir, ("must-not-exist",))


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Opened()}, "evil.pth")
    with pytest.raises(ModelError, match="save its state_dict only"):
        load_encoder_weights(build("resnet18"), Path("evil.pth"))
    assert not Path("must-not-exist").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_unreadable_files_are_one_sentence(name, tmp_path):
    model = build("resnet18")
    with pytest.raises(ModelError, match="there is no weights file"):
        load_encoder_weights(model, tmp_path / name)
    (tmp_path / name).write_bytes(b"PK\x03\x04 not weights at all")
    with pytest.raises(ModelError, match="damaged"):
        load_encoder_weights(model, tmp_path / name)
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="holds a list"):
        load_encoder_weights(model, tmp_path / "list.pth")


def test_build_loads_a_local_file_and_logs_what_matched(tmp_path, caplog):
    state = random_state(build("resnet18").net.encoder)
    torch.save(state, tmp_path / "w.pth")
    with caplog.at_level(logging.INFO):
        model = build("resnet18", weights=str(tmp_path / "w.pth"))
    assert_equal_states(model.net.encoder.state_dict(), state)
    assert "120 of the encoder's 120 tensors loaded" in caplog.text


def test_a_checkpoint_comes_back_exactly(tmp_path):
    torch.manual_seed(5)
    saved = build("resnet18", 3)
    save_file(saved.state_dict(), tmp_path / "best.safetensors")
    model = build("resnet18", 3)
    load_weights(model, load_file(tmp_path / "best.safetensors"), "best")
    assert_equal_states(model.state_dict(), saved.state_dict())


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    save_file(build("resnet18", 11).state_dict(), tmp_path / "best.safetensors")
    with pytest.raises(ModelError, match=r"2 of another shape: net\.segmentation_head.*\(11, .*instead of \(1, "):
        load_weights(build("resnet18", 1), load_file(tmp_path / "best.safetensors"), "best")
    with pytest.raises(ModelError, match=r"missing: net\.encoder\..* unexpected: net\.encoder"):
        load_weights(build("mobilenet_v2", 11), load_file(tmp_path / "best.safetensors"), "best")


@pytest.mark.real_data
def test_real_weights_match_every_tensor():
    root = os.environ.get("MASKFOLD_REAL_DATA")
    if not root:
        pytest.skip("MASKFOLD_REAL_DATA is not set")
    report = load_encoder_weights(build(), Path(root) / "weights/mobilenet_v2_imagenet.safetensors")
    assert len(report.matched) == 312
    assert report.missing == report.unexpected == report.mismatched == ()


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_a_file_for_rgb_serves_images_of_other_channels(channels, tmp_path):
    """As smp adapts the weights that it downloads."""
    config = ModelConfig(encoder="resnet18", encoder_weights=None)
    source = build_model(config, classes=1)
    save_file(source.net.encoder.state_dict(), tmp_path / "rgb.safetensors")
    model = build_model(config, classes=1, images=ImageSpec(channels=channels))
    report = load_encoder_weights(model, tmp_path / "rgb.safetensors")
    assert not report.mismatched
    source.net.encoder.set_in_channels(channels, pretrained=True)
    assert torch.allclose(model.net.encoder.conv1.weight, source.net.encoder.conv1.weight)
    assert model.net.encoder.conv1.weight.shape[1] == channels
