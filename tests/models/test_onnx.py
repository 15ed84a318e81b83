"""Networks as ONNX graphs: any batch and size, the same numbers, and what is refused."""

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from timm.layers import padding
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.pool2d_same import MaxPool2dSame
from torch import nn

from maskfold.config import ModelConfig
from maskfold.errors import ExportError
from maskfold.models import Outputs, SegmentationModel, build_model, onnx
from maskfold.models.onnx import Named, OnnxNetwork, onnx_bytes
from maskfold.models.presence import PresenceHead

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
SIZES = [(3, 5, 11), (1, 64, 48), (2, 16, 16), (1, 1, 7), (1, 33, 20)]


class Pyramid(nn.Module):
    """Strided convolutions, pooling to 3 x 2 and to 1, an output beside the mask: what exporters stumble over."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(4, 6, 3, stride=4, padding=1)
        self.pools = nn.ModuleList([nn.AdaptiveAvgPool2d((3, 2)), nn.AdaptiveAvgPool2d(1)])
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, images):
        features = self.encoder(images)
        pooled = [nn.functional.interpolate(pool(features), size=features.shape[-2:]) for pool in self.pools]
        found = self.head(features + pooled[0] - pooled[1])
        logits = nn.functional.interpolate(found, scale_factor=4.0, mode="bilinear")
        return Outputs(logits, {"coarse": logits.sigmoid()})


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    spread = {"mean": (0.1, 0.2, 0.3, 0.4), "std": (0.5, 0.25, 2.0, 0.7)}
    net = Pyramid()
    head = PresenceHead(net, classes=2)
    nn.init.normal_(head.linear.weight)
    return SegmentationModel(net, **spread, stride=8, minimum=16, presence=head).eval()


@pytest.fixture(scope="module")
def content(model):
    names = ["mask", "coarse", "presence"]
    return onnx_bytes(Named(model, names), torch.zeros(1, 4, 9, 9), names, {"a": "b", "c": [1]})


def test_a_graph_is_the_network_for_any_batch_and_size(model, content):
    twin = OnnxNetwork(content, "x.onnx")
    for number, height, width in SIZES:
        images = torch.randint(0, 256, (number, 4, height, width), dtype=torch.uint8)
        with torch.inference_mode():
            wanted, found = model(images), twin(images)
        assert found.logits.shape == (number, 2, height, width)
        assert found.logits.dtype == torch.float32
        torch.testing.assert_close(found.logits, wanted.logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.aux["coarse"], wanted.aux["coarse"], rtol=0, atol=1e-4)
        assert found.aux["presence"].shape == (number, 2)
        torch.testing.assert_close(found.aux["presence"], wanted.aux["presence"], rtol=1e-4, atol=1e-4)


def test_a_graph_says_how_it_was_made(content):
    import onnx as package

    proto = package.load_from_string(content)
    facts = {each.key: each.value for each in proto.metadata_props}
    assert facts["a"] == "b"
    assert json.loads(facts["c"]) == [1]
    assert [each.name for each in proto.graph.input] == ["images"]


def test_padding_by_size_and_what_works_in_place_are_written_as_they_compute():
    """As TensorFlow's EfficientNets have them, which the exporter would trace for longer than anybody waits."""
    before = padding.get_same_padding
    encoder = nn.Sequential(
        Conv2dSame(4, 6, 5, stride=2), nn.ReLU6(inplace=True), Conv2dSame(6, 6, 3, stride=2), MaxPool2dSame(3, 2)
    )
    net = nn.Sequential(OrderedDict(encoder=encoder, up=nn.Upsample(scale_factor=8, mode="bilinear")))
    model = SegmentationModel(net, mean=(10.0,) * 4, std=(9.0,) * 4, stride=8, minimum=16).eval()
    twin = OnnxNetwork(onnx_bytes(Named(model, ["mask"]), torch.zeros(1, 4, 9, 9), ["mask"]), "x.onnx")
    assert padding.get_same_padding is before
    assert encoder[1].inplace
    for number, height, width in SIZES:
        images = torch.randint(0, 256, (number, 4, height, width), dtype=torch.uint8)
        with torch.inference_mode():
            torch.testing.assert_close(twin(images).logits, model(images).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_an_efficientnet_lite_is_written():
    torch.manual_seed(1)
    options = {"encoder_depth": 3, "decoder_channels": [16, 8, 8]}
    config = ModelConfig(encoder="tu-tf_efficientnet_lite0", encoder_weights=None, options=options)
    model = build_model(config, classes=2).eval()
    twin = OnnxNetwork(onnx_bytes(Named(model, ["mask"]), torch.zeros(1, 3, 9, 9), ["mask"]), "x.onnx")
    images = torch.randint(0, 256, (2, 3, 70, 45), dtype=torch.uint8)
    with torch.inference_mode():
        wanted = model(images).logits
        torch.testing.assert_close(twin(images).logits, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


@pytest.mark.parametrize("parts", [(1, 1), (6, 4)])
def test_adaptive_pooling_is_the_mean_over_torchs_parts(parts):
    """By hand: part i of n is the mean over floor(i s / n) .. ceil((i + 1) s / n)."""
    graph = OnnxNetwork(onnx_bytes(nn.AdaptiveAvgPool2d(parts).eval(), torch.zeros(1, 3, 4, 4), ["mask"]), "pool")
    for height, width in ((7, 12), (6, 5), (2, 9)):
        images = torch.rand(2, 3, height, width)
        expected = np.empty((2, 3, *parts), np.float32)
        for i in range(parts[0]):
            for j in range(parts[1]):
                rows = slice(i * height // parts[0], -(-(i + 1) * height // parts[0]))
                columns = slice(j * width // parts[1], -(-(j + 1) * width // parts[1]))
                expected[..., i, j] = images.numpy()[..., rows, columns].mean((2, 3))
        np.testing.assert_allclose(graph(images).logits.numpy(), expected, rtol=1e-5)


def test_adaptive_pooling_to_a_size_that_depends_on_the_images():
    """As a plain transformer's pyramid has it."""

    class Shrinks(nn.Module):
        def forward(self, images):
            height, width = images.shape[-2:]
            return nn.functional.adaptive_avg_pool2d(images, (height // 4, width // 3))

    graph = OnnxNetwork(onnx_bytes(Shrinks(), torch.zeros(1, 3, 4, 4), ["mask"]), "pool")
    for height, width in ((7, 12), (30, 5), (16, 16)):
        images = torch.rand(2, 3, height, width)
        torch.testing.assert_close(graph(images).logits, Shrinks()(images), rtol=1e-5, atol=1e-6)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(onnx, "find_spec", lambda name: None if name.startswith("onnxr") else name)
    with pytest.raises(
        ExportError, match=r"ONNX needs onnxruntime, which is not installed: pip install 'maskfold\[exp"
    ):
        onnx_bytes(nn.Identity(), torch.zeros(1, 3, 8, 8), ["mask"])
    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match="needs onnx and onnxscript and onnxruntime, which are not"):
        OnnxNetwork(b"", "x.onnx")(torch.zeros(1, 3, 8, 8))


def test_what_cannot_be_a_graph_is_one_message(monkeypatch):
    class Counts(nn.Module):
        def forward(self, images):
            return images * (1 if images.sum() > 0 else 2)

    with pytest.raises(ExportError, match=r"torch\.onnx\.export cannot write this network \(.*--engine torch"):
        onnx_bytes(Counts().eval(), torch.zeros(1, 3, 8, 8), ["mask"])
    with pytest.raises(ExportError, match=r"onnxruntime cannot read x\.onnx .* remove it, and export again"):
        OnnxNetwork(b"no graph", "x.onnx")(torch.zeros(1, 3, 8, 8))
    monkeypatch.setattr(onnx, "LARGEST", 400)
    with pytest.raises(ExportError, match="one ONNX file at most 2 GB: export fewer folds"):
        onnx_bytes(nn.Conv2d(3, 4, 3).eval(), torch.zeros(1, 3, 8, 8), ["mask"])
