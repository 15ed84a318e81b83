"""Networks as TorchScript: bit for bit, for any batch and size."""

import json

import pytest
import torch
from torch import nn

from maskfold.config import ModelConfig
from maskfold.errors import ExportError
from maskfold.models import SegmentationModel, build_model
from maskfold.models.torchscript import FACTS, open_torchscript, scripted, torchscript_bytes
from maskfold.models.wrapper import padded_size


@pytest.fixture(scope="module")
def model():
    config = ModelConfig(
        encoder="resnet18", encoder_weights=None, options={"encoder_depth": 3, "decoder_channels": [8, 8, 8]}
    )
    torch.manual_seed(1)
    return build_model(config, classes=3).eval()


@pytest.mark.parametrize("shape", [(3, 3, 33, 50), (1, 3, 7, 101), (2, 3, 64, 32), (1, 3, 1, 1)])
def test_any_batch_and_size(model, shape):
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(scripted(model)(images), model(images).logits, rtol=0, atol=0)


@pytest.mark.parametrize(("stride", "minimum"), [(1, 1), (4, 8), (8, 32), (32, 64)])
def test_padding_is_the_networks_own(stride, minimum):
    net = nn.Sequential(nn.Conv2d(1, 1, 1))
    whole = SegmentationModel(net, mean=(0.5,), std=(0.5,), stride=stride, minimum=minimum)
    compiled = scripted(whole.eval())
    for size in (1, 3, 4, 5, 31, 32, 33, 100):
        assert compiled.padded(size) == padded_size(size, stride, minimum)
        assert padded_size(size, stride, minimum) == max(minimum, -(-size // stride) * stride)


def test_a_file_says_how_it_was_made_and_leaves_out_what_is_not_used(model, tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(torchscript_bytes(scripted(model), torch.zeros(2, 3, 32, 64), {"class_names": ["é"]}))
    extra = {FACTS: ""}
    torch.jit.load(str(path), _extra_files=extra)
    assert json.loads(extra[FACTS]) == {"class_names": ["é"]}
    size = sum(tensor.numel() * 4 for tensor in model.state_dict().values())
    assert path.stat().st_size < 0.5 * size  # the encoder's deeper half has no part in it
    images = torch.randint(0, 256, (1, 3, 45, 37), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(open_torchscript(path)(images), model(images).logits, rtol=0, atol=0)


def test_what_cannot_be_traced_is_one_message():
    class Refuses(nn.Module):
        def forward(self, images):
            raise RuntimeError("no\nnever")

    with pytest.raises(ExportError, match=r"torch\.jit cannot trace this network \(no\): try --format onnx"):
        scripted(SegmentationModel(Refuses(), mean=(0.5,), std=(0.5,), stride=4))
