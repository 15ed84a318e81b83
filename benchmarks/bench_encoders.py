"""Modern encoders: strides, parameters, statistics, memory of a training step, and which memory layout is faster.

python benchmarks/bench_encoders.py            # a Markdown table; the encoder alone, 2 x 3 x 256 x 256, CPU, one thread

Memory is the growth of a fresh process's largest resident size over one step with AdamW: parameters,
gradients, optimiser state, activations. The two layouts take turns; their ratio means more than either time on a busy
machine.
"""

import argparse
import subprocess
import sys

import psutil
import torch
from torch import Tensor

from maskfold.config import ModelConfig
from maskfold.models import SegmentationModel, build_model
from maskfold.training.memory import peak_memory
from timing import interleave, machine

ENCODERS = (
    "resnet34",
    "tu-convnext_atto",
    "tu-maxvit_rmlp_pico_rw_256",
    "tu-tf_efficientnetv2_b0",
    "tu-pvt_v2_b0",
    "mit_b0",
    "tu-vit_small_patch16_dinov3",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="rounds, in which the two layouts take turns (7)")
    parser.add_argument("--memory-of", metavar="ENCODER", help="print the MiB of one training step and end")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory_of:
        print(step_memory(options.memory_of))
        return
    print(machine("torch", "timm", "segmentation-models-pytorch"), end="\n\n")
    print("| encoder | strides | parameters | mean, std | sizes | step | channels_last : contiguous |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for encoder in ENCODERS:
        command = [sys.executable, __file__, "--memory-of", encoder]
        memory = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(row(encoder, memory, options.repeats), flush=True)


def row(encoder: str, memory: int, repeats: int) -> str:
    model = build(encoder)
    with torch.inference_mode():
        maps = model.net.encoder.eval()(torch.zeros(1, 3, 256, 256))
    strides = ", ".join(str(256 // map_.shape[-1]) for map_ in maps[1:] if map_.shape[1])
    millions = sum(parameter.numel() for parameter in model.net.encoder.parameters()) / 1e6
    mean, std = ("/".join(f"{value / 255:.3g}" for value in found.flatten()) for found in (model.mean, model.std))
    seconds = interleave({name: step_of(encoder, layout) for name, layout in LAYOUTS.items()}, repeats)
    ratio = seconds["channels_last"] / seconds["contiguous"]
    faster = "channels_last" if ratio < 0.95 else "contiguous" if ratio > 1.05 else "alike"
    facts = [f"`{encoder}`", strides, f"{millions:.1f} M", f"{mean}; {std}", f"multiples of {model.stride}"]
    return f"| {' | '.join([*facts, f'{memory} MiB', f'{ratio:.2f}, {faster}'])} |"


LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def build(encoder: str) -> SegmentationModel:
    return build_model(ModelConfig(architecture="upernet", encoder=encoder, encoder_weights=None), classes=1)


def step_of(encoder: str, layout: torch.memory_format):
    network = build(encoder).net.encoder.train().to(memory_format=layout)
    images = torch.rand(2, 3, 256, 256).to(memory_format=layout)

    def step() -> None:
        loss_of(network(images)).backward()
        network.zero_grad()

    return step


def loss_of(maps: list[Tensor]) -> Tensor:
    return sum((map_.square().mean() for map_ in maps[1:] if map_.shape[1]), torch.zeros(()))


def step_memory(encoder: str) -> int:
    before = psutil.Process().memory_info().rss
    network = build(encoder).net.encoder.train()
    optimizer = torch.optim.AdamW(network.parameters())
    loss_of(network(torch.rand(2, 3, 256, 256))).backward()
    optimizer.step()
    return round((peak_memory() - before) / 2**20)


if __name__ == "__main__":
    main()
