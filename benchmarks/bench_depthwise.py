"""Training steps of U-Nets on a CPU in bf16: as autocast alone computes them, and with some convolutions in float32.

    python benchmarks/bench_depthwise.py [--size 256] [--batch 8] [--repeats N] [--threads N] [--encoders …] [--busy]

Both call the same network with the same weights on the same images, channels last: forward, loss, backward.
"""

import argparse

import torch

from maskfold.config import ModelConfig
from maskfold.device import choose_precision, steady_shapes
from maskfold.images import PLAIN
from maskfold.models import build_model
from timing import clock_of, interleave, machine, print_row

ENCODERS = (
    "mobilenet_v2",
    "tu-mobilenetv3_large_100",
    "tu-tf_efficientnet_lite0",
    "tu-tf_efficientnet_lite2",
    "efficientnet-b0",
    "tu-convnext_atto",
    "mit_b0",
)


def main() -> None:
    """Print a row for each encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels (256)")
    parser.add_argument("--batch", type=int, default=8, help="images per step (8)")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each way (5)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), help="smp's names (seven)")
    parser.add_argument("--busy", action="store_true", help="count processor time: on a machine that others use")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if choose_precision("auto", torch.device("cpu")) is None:
        raise SystemExit("this processor has no instructions for bf16: networks are trained in float32 here")
    print(f"{machine('torch', 'segmentation-models-pytorch', 'timm')}\n")
    print_row("encoder", "autocast alone, ms", "ours, ms", "ratio", head=True)
    for encoder in options.encoders:
        row(encoder, options)


def row(encoder: str, options: argparse.Namespace) -> None:
    """Print the milliseconds of a step in both ways."""
    model = build_model(
        ModelConfig(encoder=encoder, encoder_weights=None), classes=1, images=PLAIN, pretrained=False
    ).to(memory_format=torch.channels_last)
    size = options.batch, 3, options.size, options.size
    images = torch.randint(0, 256, size).float().to(memory_format=torch.channels_last)
    ways = {"alone": lambda: model.net(model.normalised(images)), "ours": lambda: model(images).logits}

    def step(way: str) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = ways[way]()
        logits.float().square().mean().backward()
        model.zero_grad()

    with steady_shapes():
        calls = {way: lambda way=way: step(way) for way in ways}
        seconds = interleave(calls, options.repeats, clock=clock_of(options.busy))
    times = [f"{seconds[way] * 1e3:.0f}" for way in ways]
    print_row(f"`{encoder}`", *times, f"{seconds['alone'] / seconds['ours']:.2f}")


if __name__ == "__main__":
    main()
