"""Seconds per image of one network's logits on the CPU: torch against onnxruntime.

    python benchmarks/bench_engines.py [--size N] [--threads N] [--repeats N] [--busy]

Random weights (speed does not depend on them), batches of one image, candidates take turns; float32, and torch as
prediction runs it where ``train.precision`` is auto: channels last, and bf16 where the processor is fast at it. Before
timing, the probabilities of torch and onnxruntime in float32 are compared.
"""

import argparse
from collections.abc import Callable

import torch

from maskfold.config import ModelConfig
from maskfold.device import choose_precision
from maskfold.models import build_model
from maskfold.models.onnx import Named, OnnxNetwork, onnx_bytes
from timing import clock_of, interleave, machine

ENCODERS = ("resnet18", "resnet34")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels; default 512")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: as many as torch takes")
    parser.add_argument("--repeats", type=int, default=9, help="calls of each; default 9")
    parser.add_argument("--busy", action="store_true", help="count processor time: on a machine that others use")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{machine('torch', 'onnxruntime')}; {arguments.threads} threads, {arguments.size} x {arguments.size}")
    precision = choose_precision("auto", torch.device("cpu"))
    print(f"torch as it predicts: channels_last, {precision or 'float32'}")
    names = ("torch", "torch channels_last", "torch as it predicts", "onnxruntime")
    print(f"| U-Net with encoder | {', s | '.join(names)}, s | largest difference |")
    print(f"| --- | {'---: | ' * (len(names) + 1)}")
    for encoder in ENCODERS:
        print(row(encoder, arguments, precision), flush=True)


def row(encoder: str, arguments: argparse.Namespace, precision: torch.dtype | None) -> str:
    size = arguments.size
    torch.manual_seed(0)
    images = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
    plain = network(encoder)
    twin = OnnxNetwork(onnx_bytes(Named(plain, ["mask"]).eval(), images.float(), ["mask"]), encoder)
    last = network(encoder).to(memory_format=torch.channels_last)
    last.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        difference = (plain(images).logits.sigmoid() - twin(images).logits.sigmoid()).abs().max()
        candidates = {"plain": plain, "last": last, "predicting": autocast(last, precision), "onnx": twin}
        calls = {name: lambda net=net: net(images) for name, net in candidates.items()}
        seconds = interleave(calls, arguments.repeats, clock=clock_of(arguments.busy))
    times = " | ".join(f"{seconds[name]:.3f}" for name in candidates)
    return f"| {encoder} | {times} | {difference:.1g} |"


def autocast(network: torch.nn.Module, precision: torch.dtype | None) -> Callable[[torch.Tensor], object]:
    """The network as prediction calls it."""

    def call(images: torch.Tensor) -> object:
        with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
            return network(images)

    return call


def network(encoder: str) -> torch.nn.Module:
    return build_model(ModelConfig(encoder=encoder, encoder_weights=None), classes=1).eval()


if __name__ == "__main__":
    main()
