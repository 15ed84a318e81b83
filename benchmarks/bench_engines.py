"""Seconds per image of one network's logits on the CPU: torch against onnxruntime.

    python benchmarks/bench_engines.py [--size N] [--threads N] [--repeats N]

Random weights (speed does not depend on them), float32, batches of one image, candidates take turns. Before timing, the
probabilities of both are compared.
"""

import argparse

import torch

from maskfold.config import ModelConfig
from maskfold.models import build_model
from maskfold.models.onnx import Named, OnnxNetwork, onnx_bytes
from timing import interleave, machine

ENCODERS = ("resnet18", "resnet34")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels; default 512")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: as many as torch takes")
    parser.add_argument("--repeats", type=int, default=9, help="calls of each; default 9")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{machine('torch', 'onnxruntime')}; {arguments.threads} threads, {arguments.size} x {arguments.size}")
    print("| U-Net with encoder | torch, s | torch channels_last, s | onnxruntime, s | largest difference |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for encoder in ENCODERS:
        print(row(encoder, arguments.size, arguments.repeats), flush=True)


def row(encoder: str, size: int, repeats: int) -> str:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
    plain = network(encoder)
    twin = OnnxNetwork(onnx_bytes(Named(plain, ["mask"]).eval(), images.float(), ["mask"]), encoder)
    last = network(encoder).to(memory_format=torch.channels_last)
    last.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        difference = (plain(images).logits.sigmoid() - twin(images).logits.sigmoid()).abs().max()
        candidates = {"plain": plain, "last": last, "onnx": twin}
        seconds = interleave({name: lambda net=net: net(images) for name, net in candidates.items()}, repeats)
    times = " | ".join(f"{seconds[name]:.3f}" for name in candidates)
    return f"| {encoder} | {times} | {difference:.1g} |"


def network(encoder: str) -> torch.nn.Module:
    return build_model(ModelConfig(encoder=encoder, encoder_weights=None), classes=1).eval()


if __name__ == "__main__":
    main()
