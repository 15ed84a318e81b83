"""Lovász hinge, forward + backward: ours, segmentation-models-pytorch's and a plain torch.sort per image.

python benchmarks/bench_losses.py              # 8 x 1 x 512 x 512 on two CPU threads; a GPU's, if there is one
python benchmarks/bench_losses.py --step       # and the share of BCE + Dice + Lovász in a U-Net's training step
"""

import argparse
from collections.abc import Callable
from functools import partial

import segmentation_models_pytorch as smp
import torch
from torch import Tensor

from maskfold.losses import build_loss
from maskfold.losses.lovasz import LovaszHingeLoss
from timing import interleave, machine

STATES = {"late (5 % of the errors positive)": 0.05, "usual (23 %)": 0.23, "early (all)": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="rounds, in which the candidates take turns (15)")
    parser.add_argument("--step", action="store_true", help="measure a training step too")
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(machine("torch", "numba", "segmentation-models-pytorch"))
    devices = [("cpu", 8, 1)]
    if torch.cuda.is_available():
        devices.append(("cuda", 16, 16))
        print(torch.cuda.get_device_name())
    for device, images, step_images in devices:
        compare_hinges(device, images, options.repeats)
        if options.step:
            measure_step(device, step_images, options.repeats)


def compare_hinges(device: str, images: int, repeats: int) -> None:
    candidates = {
        "maskfold": LovaszHingeLoss(),
        "smp": smp.losses.LovaszLoss(mode="binary", per_image=True),
        "torch.sort": sorted_per_image,
    }
    print(f"\nLovász hinge, {device}, {images} x 1 x 512 x 512, float32, forward + backward")
    for state, share in STATES.items():
        logits, target = scene(images, share, device)
        values = [loss(logits, target).item() for loss in candidates.values()]
        assert max(values) - min(values) <= 1e-4 * max(values), values
        calls = {name: partial(forward_backward, loss, logits, target) for name, loss in candidates.items()}
        seconds = interleave(calls, repeats)
        figures = ", ".join(f"{name} {1e3 * s:.1f} ms ({s / seconds['maskfold']:.1f}x)" for name, s in seconds.items())
        print(f"  {state:34} {figures}")


def scene(images: int, share: float, device: str) -> tuple[Tensor, Tensor]:
    """Logits whose hinge errors, 1 - logit * sign, are positive in a `share` of the pixels."""
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand(images, 1, 512, 512, generator=generator) < 0.3).float()
    errors = torch.randn(target.shape, generator=generator)
    errors -= errors.min() - 0.01 if share == 1 else torch.quantile(errors[0], 1 - share)
    return ((1 - errors) * (2 * target - 1)).to(device).requires_grad_(), target.to(device)


def sorted_per_image(logits: Tensor, target: Tensor) -> Tensor:
    """What one writes first: sort every image, differences of the Jaccard loss."""
    losses = []
    for x, y in zip(logits.flatten(1), target.flatten(1), strict=True):
        errors, order = torch.sort(1 - x * (2 * y - 1), descending=True)
        foreground = y[order]
        union = y.sum() + (1 - foreground).cumsum(0)
        jaccard = 1 - (y.sum() - foreground.cumsum(0)) / union
        losses.append(errors.relu() @ torch.cat([jaccard[:1], jaccard.diff()]))
    return torch.stack(losses).mean()


def forward_backward(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> None:
    logits.grad = None
    loss(logits, target).backward()
    if logits.is_cuda:
        torch.cuda.synchronize()


def measure_step(device: str, images: int, repeats: int) -> None:
    """A U-Net's step with the mixture, and the mixture's own forward + backward on the same logits."""
    torch.manual_seed(0)
    net = smp.Unet("resnet34", encoder_weights=None).to(device)
    optimizer = torch.optim.AdamW(net.parameters())
    mixture = build_loss([{"name": name} for name in ("bce", "dice", "lovasz_hinge")])
    pixels = torch.rand(images, 3, 512, 512, device=device)
    _, target = scene(images, 0.23, device)

    def mixed(logits: Tensor, target: Tensor) -> Tensor:
        return mixture({"mask": logits}, {"mask": target})[0]

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            logits = net(pixels)
        mixed(logits, target).backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    logits = net(pixels).detach().requires_grad_()
    seconds = interleave(
        {"step": step, "mixture": partial(forward_backward, mixed, logits, target)}, max(3, repeats // 3)
    )
    mixture_s, step_s = seconds["mixture"], seconds["step"]
    print(f"  BCE + Dice + Lovász: {1e3 * mixture_s:.1f} ms, {mixture_s / step_s:.1%} of a training step of")
    print(f"  U-Net resnet34 at {images} x 3 x 512 x 512, {1e3 * step_s:.0f} ms")


if __name__ == "__main__":
    main()
