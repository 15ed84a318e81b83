"""Images per second in training: ours beside the loop that one writes first.

python benchmarks/bench_train.py [--size 512] [--batch N] [--encoder resnet34] [--steps N] [--repeats N] [--workers N]
                                 [--set train.channels_last=false]
python benchmarks/bench_train.py --gpu     # and precision, layout and compilation one by one, on a CUDA device

A U-Net from random weights (speed does not depend on them) with BCE + Dice on drawn tiles. The plain loop is
segmentation-models-pytorch's network and losses with AdamW in float32 and a ``loss.item()`` at every step; on a CPU it
runs in a process of its own, since ours also sets how memory is kept. ``resident`` trains on one batch that is on the
device already, ``files`` through the data loader, jpg and run lengths to batches. What is outside of forward, backward
and optimiser is the difference from the bare steps of the same network, precision and batch; the averages of weights
that the config asks for are part of ours. Candidates take turns.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import chdir, nullcontext, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

import maskfold
from maskfold.demo import make_demo
from maskfold.device import choose_device, steady_shapes, wait_for
from maskfold.runs import Run
from maskfold.training.memory import peak_memory
from maskfold.training.session import Session, open_session
from maskfold.yaml_text import load_yaml
from timing import clock_of, convolutions, interleave, machine

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Dense half-precision operations per second by the data sheets.
MATRIX_PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "T4": 65e12}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--size", type=int, default=512, help="side of the tiles and crops in pixels (512)")
    add("--batch", type=int, help="images per step (CPU: 4, GPU: 32)")
    add("--encoder", default="resnet34", help="smp's name (resnet34)")
    add("--steps", type=int, help="steps per measurement (CPU: 2, GPU: 20)")
    add("--repeats", type=int, default=3, help="rounds, in which the candidates take turns (3)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="data workers (all cores)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change our config, as on the command line")
    add("--tiles", type=int, default=0, help="drawn tiles (as many as the steps need)")
    add("--gpu", action="store_true", help="also the parts of the gain, on a CUDA device")
    add("--compiled", action=argparse.BooleanOptionalAction, default=True, help="also with train.compile (yes)")
    add("--busy", action="store_true", help="count processor time: on a machine that others use as well")
    options = parser.parse_args()
    device = choose_device()
    options.batch = options.batch or (4 if device.type == "cpu" else 32)
    options.steps = options.steps or (2 if device.type == "cpu" else 20)
    print(machine("torch", "segmentation-models-pytorch", "albumentations"))
    print(torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability())
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        tiles = options.tiles or min(options.batch * options.steps, 640) * 5 // 4
        make_demo(Path("data/demo"), train_tiles=max(tiles, 8), test_tiles=1, tile=options.size)
        compare(options, device)
        if options.gpu:
            parts(options, device)


def compare(options: argparse.Namespace, device: torch.device) -> None:
    """The plain loop, ours on a resident batch, its bare steps, and ours from files."""
    session = begin(options)
    batch = next(iter(session.data.train))
    count = options.batch * options.steps
    apart = device.type == "cpu"
    steady = (lambda call: call) if apart else steady_shapes()  # what a GPU's plain loop has not
    plain = elsewhere(plain_steps, options, device) if apart else plain_steps(options, device)
    candidates: dict[str, Callable[[], object]] = {
        "plain float32 loop": plain,
        "ours, resident": steady(partial(through, session, [batch] * options.steps)),
        "its bare steps": steady(bare_steps(session, batch, options.steps)),
    }
    if options.compiled:
        compiled = begin(options, compiled=True)
        candidates["ours, compiled"] = steady(partial(through, compiled, [batch] * options.steps))
    candidates["ours, files"] = steady(lambda: through(session, islice(endless(session), options.steps)))
    with steady_shapes() if apart else nullcontext():  # as `maskfold.training.loop` has around an epoch
        seconds = interleave(
            {name: settled(call, device) for name, call in candidates.items()},
            options.repeats,
            clock=clock_of(options.busy),
        )
    print(f"\nU-Net {options.encoder}, {options.batch} x 3 x {options.size} x {options.size}, {session.precision}")
    print("| way | images/s | against plain |\n| --- | ---: | ---: |")
    for name, each in seconds.items():
        print(f"| {name} | {count / each:.2f} | {seconds['plain float32 loop'] / each:.2f}x |")
    outside = 1 - seconds["its bare steps"] / seconds["ours, resident"]
    waiting = 1 - seconds["ours, resident"] / seconds["ours, files"]
    print(f"outside of forward, backward and optimiser: {outside:.1%}; waiting for files: {waiting:.1%}")
    if apart:
        print(f"convolutions: {convolutions(candidates['its bare steps']):.0%} of the bare steps")
    print(f"peak memory: {peak(device)}", flush=True)


def parts(options: argparse.Namespace, device: torch.device) -> None:
    """Training steps and predictions of the bare network by precision, layout and compilation."""
    print(
        "\n| precision, layout | timed kernels | compiled | training, images/s | of the peak | prediction, images/s |"
    )
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for precision, layout, timed, compiled in (
        (None, torch.contiguous_format, False, False),
        (None, torch.contiguous_format, True, False),
        (torch.float16, torch.channels_last, True, False),
        (torch.bfloat16, torch.contiguous_format, True, False),
        (torch.bfloat16, torch.channels_last, False, False),
        (torch.bfloat16, torch.channels_last, True, False),
        (torch.bfloat16, torch.channels_last, True, True),
    ):
        torch.backends.cudnn.benchmark = timed
        train, predict = bare_pair(options, device, precision, layout, compiled=compiled)
        calls: dict[str, Callable[[], object]] = {"train": settled(train, device), "predict": settled(predict, device)}
        seconds = interleave(calls, options.repeats)
        count = options.batch * options.steps
        trained, predicted = count / seconds["train"], count / seconds["predict"]
        share = trained * 3 * 2 * flops(options) / matrix_peak()
        name = f"{precision or 'TF32 convolutions'}, {str(layout).removeprefix('torch.')}"
        print(f"| {name} | {timed} | {compiled} | {trained:.0f} | {share:.0%} | {predicted:.0f} |", flush=True)


def begin(options: argparse.Namespace, *, compiled: bool = False) -> Session:
    """Our training, up to its first step."""
    crop = {"data.scale": 1.0, "data.crop": options.size, "data.augment": "d4_color", "data.workers": options.workers}
    network = {"model.encoder": options.encoder, "model.encoder_weights": None, "model.options": {}}
    length = {"train.batch_size": options.batch, "train.epochs": 1000, "train.trackers": (), "train.compile": compiled}
    asked = {key: load_yaml(value) for key, _, value in (each.partition("=") for each in options.set)}
    config = maskfold.load_config("demo", {**crop, **network, **length, **asked})
    run = Run(Path(f"runs/compiled_{compiled}"))
    run.adopt(config)
    return open_session(run, 0)


def endless(session: Session) -> Iterable[dict]:
    """Batches of the loader, of further epochs where one has too few."""
    while True:
        session.data.sampler.epoch += 1
        yield from session.data.train


def through(session: Session, batches: Iterable[dict]) -> None:
    """What `maskfold.training.loop` does with batches."""
    session.train_step.begin_epoch(1)
    for batch in batches:
        session.train_step(batch)


def bare_steps(session: Session, batch: dict, steps: int) -> Callable[[], None]:
    """Forward, loss, backward and optimiser alone, of the session's own network and loss."""
    step: Any = session.train_step
    placed = step._on_device(batch)
    optimizer = next(iter(step.optimizers.values())).optimizer

    def run() -> None:
        for _ in range(steps):
            outputs = step.wrapped["network"](placed["image"])
            loss, _ = step.loss(outputs.named(), placed["targets"], placed["valid"])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def elsewhere(make: Callable[..., Callable[[], None]], *arguments: object) -> Callable[[], None]:
    """Calls of what ``make`` makes, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_serve, args=(there, make, *arguments), daemon=True).start()

    def call() -> None:
        here.send(True)
        here.recv()

    return call


def _serve(pipe: Any, make: Callable[..., Callable[[], None]], *arguments: object) -> None:
    call = make(*arguments)
    with suppress(EOFError):  # the other end has gone
        while pipe.recv():
            call()
            pipe.send(True)


def plain_steps(options: argparse.Namespace, device: torch.device) -> Callable[[], None]:
    """The loop that one writes first, on tensors that are ready: its files would cost more."""
    net = smp.Unet(options.encoder, encoder_weights=None).to(device)
    optimizer = torch.optim.AdamW(net.parameters())
    bce, dice = nn.BCEWithLogitsLoss(), smp.losses.DiceLoss("binary")
    images = normalised(torch.randint(0, 256, (options.batch, 3, options.size, options.size)))
    masks = drawn_masks(options)

    def run() -> None:
        net.train()
        for _ in range(options.steps):
            logits = net(images.to(device))
            target = masks.to(device)
            loss = bce(logits, target) + dice(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return run


def bare_pair(
    options: argparse.Namespace,
    device: torch.device,
    precision: torch.dtype | None,
    layout: torch.memory_format,
    *,
    compiled: bool,
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Training steps and predictions of a network alone."""
    net = smp.Unet(options.encoder, encoder_weights=None).to(device).to(memory_format=layout)
    optimizer = torch.optim.AdamW(net.parameters(), fused=device.type == "cuda")
    images = normalised(torch.randint(0, 256, (options.batch, 3, options.size, options.size)))
    images, target = images.to(device, memory_format=layout), drawn_masks(options).to(device)
    call: Any = torch.compile(net) if compiled else net
    autocast = partial(torch.autocast, device.type, dtype=precision, enabled=precision is not None)

    def train() -> None:
        net.train()
        for _ in range(options.steps):
            with autocast():
                logits = call(images)
            nn.functional.binary_cross_entropy_with_logits(logits.float(), target).backward()
            optimizer.step()
            optimizer.zero_grad()

    def predict() -> None:
        net.eval()
        with torch.inference_mode(), autocast():
            for _ in range(options.steps):
                call(images).float().sigmoid()

    return train, predict


def normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    return (images / 255 - mean) / std


def drawn_masks(options: argparse.Namespace) -> Tensor:
    return (torch.rand(options.batch, 1, options.size, options.size) < 0.2).float()


def flops(options: argparse.Namespace) -> float:
    """Multiply-adds of one image's forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        smp.Unet(options.encoder, encoder_weights=None)(torch.zeros(1, 3, options.size, options.size))
    return counter.get_total_flops() / 2


def matrix_peak() -> float:
    """Of this GPU; NaN of others."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((peak for part, peak in MATRIX_PEAK.items() if part in name), float("nan"))


def settled(call: Callable[[], object], device: torch.device) -> Callable[[], None]:
    def run() -> None:
        call()
        wait_for(device)

    return run


def peak(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB on the GPU, of all candidates"
    return f"{peak_memory() / 2**30:.1f} GiB, of all of ours"


if __name__ == "__main__":
    cv2.setNumThreads(1)
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s in all")
