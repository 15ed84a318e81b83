"""Seconds per image of one network's logits on the CPU: torch against onnxruntime, and OpenVINO where it is installed.

    python benchmarks/bench_engines.py [--size N] [--batch N] [--threads N] [--repeats N] [--busy]

Random weights (speed does not depend on them), candidates take turns; float32, and torch as prediction runs it where
``train.precision`` is auto: channels last, and bf16 where the processor is fast at it, then with batch norms that
convolutions have absorbed, or apart. Before timing, the logits of all in float32 are compared, and the pixels that they
would decide otherwise around the median logit, where a network that was not trained is least sure. "Folded" are batch
norms in the convolutions before them.
"""

import argparse
from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from maskfold.config import ModelConfig
from maskfold.device import choose_precision
from maskfold.inference.absorbed import absorb_batch_norms
from maskfold.models import build_model
from maskfold.models.onnx import Named, OnnxNetwork, onnx_bytes
from timing import clock_of, convolutions, interleave, machine, print_row

ENCODERS = ("resnet18", "resnet34")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels; default 512")
    parser.add_argument("--batch", type=int, default=1, help="images a pass; default 1")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: as many as torch takes")
    parser.add_argument("--repeats", type=int, default=9, help="calls of each; default 9")
    parser.add_argument("--busy", action="store_true", help="count processor time: on a machine that others use")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{machine('torch', 'onnxruntime')}; {arguments.threads} threads, {arguments.size} x {arguments.size}")
    precision = choose_precision("auto", torch.device("cpu"))
    print(f"torch as it predicts: channels_last, {precision or 'float32'}; milliseconds an image\n")
    for number, encoder in enumerate(ENCODERS):
        row(encoder, arguments, precision, head=number == 0)


def row(encoder: str, arguments: argparse.Namespace, precision: torch.dtype | None, *, head: bool) -> None:
    size = arguments.size
    torch.manual_seed(0)
    images = torch.randint(0, 256, (arguments.batch, 3, size, size), dtype=torch.uint8)
    plain = network(encoder)
    graph = onnx_bytes(Named(plain, ["mask"]).eval(), images.float(), ["mask"])
    twin = OnnxNetwork(graph, encoder)
    last = network(encoder).to(memory_format=torch.channels_last)
    last.load_state_dict(plain.state_dict())
    folded = fold(last)
    calls: dict[str, Callable[[], object]] = {
        "torch": lambda: plain(images).logits,
        "torch channels_last": lambda: last(images).logits,
        "folded": lambda: folded(images).logits,
        "onnxruntime": lambda: twin(images).logits,
    }
    if find_spec("openvino"):
        calls["OpenVINO"] = openvino(graph, images, arguments.threads, "f32")
    with torch.inference_mode():
        found = {name: np.asarray(call()) for name, call in calls.items()}
        seconds = interleave(calls, arguments.repeats, clock=clock_of(arguments.busy))
        # Apart from onnxruntime, whose threads wait actively for some time after each call.
        narrow = {"torch as it predicts": predicting(last, images, precision)}
        share = convolutions(narrow["torch as it predicts"])
        if precision is not None:
            narrow["batch norms apart"] = predicting(last, images, precision, absorbed=False)
            if find_spec("openvino"):
                narrow["OpenVINO bf16"] = openvino(graph, images, arguments.threads, "bf16")
        seconds |= interleave(narrow, arguments.repeats, clock=clock_of(arguments.busy))
    if head:
        print_row("U-Net with encoder", *seconds, head=True)
    print_row(encoder, *(f"{each / arguments.batch * 1e3:.1f}" for each in seconds.values()))
    border = np.median(found["torch"])
    for name, logits in found.items():
        same = ((logits > border) == (found["torch"] > border)).mean()
        print(f"  {name}: logits apart by {np.abs(logits - found['torch']).max():.1g}, {same:.4%} decided alike")
    print(f"  convolutions: {share:.0%} of torch as it predicts", flush=True)


def openvino(graph: bytes, images: Tensor, threads: int, precision: str) -> Callable[[], np.ndarray]:
    """The graph's logits by OpenVINO."""
    import openvino as ov

    hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    core = ov.Core()
    compiled = core.compile_model(core.read_model(graph), "CPU", hints)
    pixels = images.float().numpy()
    return lambda: compiled(pixels)[0]


def fold(model: nn.Module) -> nn.Module:
    """A copy whose batch norms are part of the convolutions before them."""
    model = deepcopy(model)
    for parent in list(model.modules()):
        for (name, one), (after, other) in pairwise(parent.named_children()):
            if isinstance(one, nn.Conv2d) and isinstance(other, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(one, other))
                setattr(parent, after, nn.Identity())
    return model


def predicting(
    network: torch.nn.Module, images: Tensor, precision: torch.dtype | None, *, absorbed: bool = True
) -> Callable[[], object]:
    """The network as prediction calls it."""
    call = network if precision is None or not absorbed else absorb_batch_norms(network, images, precision)

    def predict() -> object:
        with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
            return call(images)

    return predict


def network(encoder: str) -> torch.nn.Module:
    return build_model(ModelConfig(encoder=encoder, encoder_weights=None), classes=1).eval()


if __name__ == "__main__":
    main()
