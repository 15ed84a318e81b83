import logging
import os
import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from segmentation_models_pytorch.encoders import get_encoder
from timm.models import adapt_input_conv

from maskfold.config import ModelConfig
from maskfold.errors import ModelError
from maskfold.images import ImageSpec
from maskfold.models import SegmentationModel, build_model, load_encoder_weights, load_weights


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
    with pytest.raises(ModelError, match=r"0 of the encoder's 260 tensors.*model\.encoder names"):
        load_encoder_weights(build(), tmp_path / "w.safetensors")


def test_fewer_than_nine_tenths_of_the_tensors_are_refused_and_change_nothing(tmp_path):
    model = build("resnet18")
    state = {name: value for name, value in random_state(model.net.encoder).items() if "num_batches" not in name}
    names = sorted(state)
    assert len(names) == 100
    save_file({name: state[name] for name in names[:89]}, tmp_path / "few.safetensors")
    save_file({name: state[name] for name in names[:90]}, tmp_path / "enough.safetensors")
    before = {name: value.clone() for name, value in model.net.encoder.state_dict().items()}
    with pytest.raises(ModelError, match=r"89 of the encoder's 100 .*model\.partial_weights to true"):
        load_encoder_weights(model, tmp_path / "few.safetensors")
    assert_equal_states(model.net.encoder.state_dict(), before)
    report = load_encoder_weights(model, tmp_path / "enough.safetensors")
    assert (len(report.matched), report.wanted, report.enough, report.whole) == (90, 100, True, False)


def test_partial_weights_are_taken_with_a_warning_where_they_are_meant(tmp_path, caplog):
    source = random_state(build("resnet18").net.encoder)
    save_file({name: value for name, value in source.items() if name.startswith("layer1.")}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"model\.partial_weights"):
        build("resnet18", weights=str(tmp_path / "w.safetensors"))
    model = build("resnet18", weights=str(tmp_path / "w.safetensors"), partial_weights=True)
    assert torch.equal(model.net.encoder.layer1[1].conv2.weight, source["layer1.1.conv2.weight"])
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "24 of the encoder's 104 tensors loaded; missing: conv1.weight" in warnings[0]
    save_file({"another.weight": torch.zeros(3)}, tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="0 of the encoder's"):
        build("resnet18", weights=str(tmp_path / "none.safetensors"), partial_weights=True)


def test_files_from_before_norms_counted_their_batches_are_whole(tmp_path):
    model = build("resnet18")
    state = {name: value for name, value in random_state(model.net.encoder).items() if "num_batches" not in name}
    save_file(state, tmp_path / "w.safetensors")
    report = load_encoder_weights(model, tmp_path / "w.safetensors")
    assert report.whole
    assert report.missing == ()
    assert "100 of the encoder's 100 tensors" in str(report)


def test_the_old_names_of_torchvisions_densenets(tmp_path):
    model = build("densenet121")
    state = random_state(model.net.encoder)
    old = {re.sub(r"(denselayer\d+\.(norm|conv))([12])", r"\1.\3", name): value for name, value in state.items()}
    assert "features.denseblock1.denselayer2.norm.1.weight" in old
    torch.save(old, tmp_path / "w.pth")
    assert load_encoder_weights(model, tmp_path / "w.pth").whole
    assert_equal_states(model.net.encoder.state_dict(), state)


def test_names_that_only_timm_can_convert(tmp_path):
    """ConvNeXt as its authors' files have it, and a position table of another image size."""
    torch.manual_seed(2)
    whole = timm.create_model("test_convnext")
    names = {
        r"^stem\.": "downsample_layers.0.",
        r"^stages\.(\d)\.downsample\.": r"downsample_layers.\1.",
        r"^stages\.(\d)\.blocks\.": r"stages.\1.",
        r"\.conv_dw\.": ".dwconv.",
        r"\.mlp\.fc([12])\.": r".pwconv\1.",
    }
    theirs = {}
    for name, value in whole.state_dict().items():
        if not name.startswith("head."):
            for ours, authors in names.items():
                name = re.sub(ours, authors, name)
            theirs[name] = value
    theirs |= {"norm.weight": torch.ones(64), "norm.bias": torch.zeros(64)}
    torch.save({"model": theirs}, tmp_path / "w.pth")
    model = build("tu-test_convnext")
    assert load_encoder_weights(model, tmp_path / "w.pth").whole
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        expected = whole.eval().stages(whole.stem(images))
        torch.testing.assert_close(model.net.encoder.eval()(images)[-1], expected)
    larger = timm.create_model("test_vit", img_size=224)
    torch.save(larger.state_dict(), tmp_path / "vit.pth")
    model = build("tu-test_vit", architecture="upernet")
    report = load_encoder_weights(model, tmp_path / "vit.pth")
    assert report.whole
    assert not report.mismatched


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
@pytest.mark.parametrize(
    ("encoder", "file", "count", "mean"),
    [
        ("mobilenet_v2", "mobilenet_v2", 312, 0.485),
        ("timm-tf_efficientnet_lite0", "tf_efficientnet_lite0", 245, 0.5),
        ("timm-tf_efficientnet_lite2", "tf_efficientnet_lite2", 320, 0.5),
        ("tu-tf_efficientnet_lite0", "tf_efficientnet_lite0", 240, 0.5),
        ("tu-tf_efficientnet_lite2", "tf_efficientnet_lite2", 315, 0.5),
    ],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_real_weights_match_every_tensor(encoder, file, count, mean, by_name, monkeypatch, caplog):
    root = os.environ.get("MASKFOLD_REAL_DATA")
    if not root:
        pytest.skip("MASKFOLD_REAL_DATA is not set")
    path = Path(root) / "weights" / f"{file}_imagenet.safetensors"
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(path.parent))
    with caplog.at_level(logging.INFO):
        model = build(encoder, weights="imagenet" if by_name else str(path))
    assert f"{path}: {count} of the encoder's {count} tensors loaded" in caplog.text
    assert "missing" not in caplog.text
    assert "mismatched" not in caplog.text
    assert (model.mean / 255).flatten()[0] == pytest.approx(mean)
    state = load_file(path)
    first = next(name for name in state if state[name].ndim == 4 and state[name].shape[1] == 3)
    assert any(torch.equal(value, state[first]) for value in model.net.encoder.state_dict().values())


def first_convolution(channels, source, tmp_path, rgb=()):
    """resnet18's, loaded for images of ``channels`` from a file whose own has as many as ``source``."""
    save_file(get_encoder("resnet18").state_dict() | {"conv1.weight": source}, tmp_path / "w.safetensors")
    net = torch.nn.Module()
    net.encoder = get_encoder("resnet18", in_channels=channels)
    model = SegmentationModel(net, mean=(0.0,) * channels, std=(1.0,) * channels, stride=32)
    report = load_encoder_weights(model, tmp_path / "w.safetensors", rgb=rgb)
    assert report.whole
    same = source.shape[1] == channels and rgb in ((), (0, 1, 2))
    assert report.adapted == (() if same else ("conv1.weight",))
    return model.net.encoder.conv1.weight.detach()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_a_file_for_rgb_serves_images_of_other_channels(channels, tmp_path):
    """As smp and timm adapt the weights that they download."""
    source = torch.rand(64, 3, 7, 7, generator=torch.Generator().manual_seed(channels))
    found = first_convolution(channels, source, tmp_path)
    smps = get_encoder("resnet18")
    smps.conv1.weight.data = source.clone()
    smps.set_in_channels(channels, pretrained=True)
    torch.testing.assert_close(found, smps.conv1.weight.detach())
    torch.testing.assert_close(found, adapt_input_conv(channels, source.clone()))


@pytest.mark.parametrize(
    ("rgb", "colours"),
    [((0, 1, 2), "rgb"), ((2, 1, 0), "bgr"), ((2, 1, 0), "bgrr"), ((4, 2, 1), "rbggrb"), ((3, 3, 0), "rgbr")],
    ids=str,
)
def test_channels_that_are_a_colour_have_its_filters(rgb, colours, tmp_path):
    """Where the profile says which are red, green and blue; the others have the three in turn."""
    source = torch.rand(64, 3, 7, 7, generator=torch.Generator().manual_seed(5))
    found = first_convolution(len(colours), source, tmp_path, rgb)
    for place, colour in enumerate(colours):
        torch.testing.assert_close(found[:, place], source[:, "rgb".index(colour)] * 3 / len(colours))
    if rgb == (0, 1, 2):
        assert torch.equal(found, source)


def test_channels_of_groups_are_no_colours(tmp_path):
    """DPN 92 has convolutions of 32 groups with three channels each."""

    def dpn_like():
        net = torch.nn.Module()
        net.encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.Conv2d(6, 4, 3, groups=2))
        return SegmentationModel(net, mean=(0.0,) * 3, std=(1.0,) * 3, stride=1)

    model, state = dpn_like(), random_state(dpn_like().net.encoder)
    save_file(state, tmp_path / "w.safetensors")
    report = load_encoder_weights(model, tmp_path / "w.safetensors", rgb=(1, 2, 0))
    assert report.adapted == ("0.weight",)
    assert torch.equal(model.net.encoder[0].weight, state["0.weight"][:, [2, 0, 1]])
    assert torch.equal(model.net.encoder[1].weight, state["1.weight"])


def test_an_encoder_sees_the_same_in_images_whose_channels_stand_otherwise(tmp_path):
    encoder = get_encoder("resnet18").state_dict()
    save_file(encoder, tmp_path / "w.safetensors")
    config = ModelConfig(encoder="resnet18", encoder_weights=str(tmp_path / "w.safetensors"))
    usual = build_model(config, classes=1).eval()
    other = build_model(config, classes=1, images=ImageSpec(rgb=(1, 2, 0))).eval()
    image = torch.randint(0, 256, (1, 3, 40, 64), generator=torch.Generator().manual_seed(2))
    red, green, blue = image.unbind(1)
    with torch.no_grad():
        expected, found = (
            model.net.encoder(model.normalised(images))[-1]
            for model, images in ((usual, image), (other, torch.stack([blue, red, green], 1)))
        )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("theirs", "channels"), [(1, 1), (1, 3), (1, 4), (4, 1), (4, 4), (4, 3), (2, 5), (5, 2)])
def test_a_file_for_other_channels_serves_others(theirs, channels, tmp_path):
    source = torch.rand(64, theirs, 7, 7, generator=torch.Generator().manual_seed(10 * theirs + channels))
    found = first_convolution(channels, source, tmp_path)
    for place in range(channels):
        if channels == 1:
            expected = sum(source[:, other] for other in range(theirs))
        else:
            expected = source[:, place % theirs] * theirs / channels
        torch.testing.assert_close(found[:, place], expected)
    if channels % theirs == 0 or channels == 1:  # an image that is grey in all channels looks the same as before
        torch.testing.assert_close(found.sum(1), source.sum(1), rtol=1e-4, atol=1e-4)


def test_a_length_that_looks_like_a_sign_is_a_length(tmp_path):
    """Safetensors begin with the header's length: 19,280 reads as "PK", 15,392 as " <", 60 as "<"."""
    model = build()
    path = tmp_path / "w.safetensors"
    save_file({"stem": torch.ones(2)}, path)
    own = path.read_bytes()
    length = int.from_bytes(own[:8], "little")
    header = own[8 : 8 + length].rstrip()
    for longer in (0x4B50, 0x3C20, 0x3C):
        path.write_bytes(longer.to_bytes(8, "little") + header.ljust(longer) + own[8 + length :])
        with pytest.raises(ModelError, match=r"0 of the encoder's 260 tensors loaded.*unexpected: stem"):
            load_encoder_weights(model, path)
