"""The training that one writes first, within given seconds: what `bench_plan.py` compares plans with.

The plain recipe of `plain_recipe.py` in a loop of torch, segmentation-models-pytorch and albumentations: float32,
images resized to 256 x 256, every file read and decoded anew in each epoch, a validation after each, the best epoch's
weights. Only run lengths are decoded by maskfold, which is faster than what is usual.
"""

import copy
import math
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import albumentations as A
import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from albumentations.pytorch import ToTensorV2
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from maskfold.competitions import Competition, Sample
from maskfold.models.resolve import resolve_local
from plain_recipe import SIDE, plain_recipe

RECIPE = plain_recipe(SIDE, exclusive=False)
ENCODER, BATCH, RATE = RECIPE["model.encoder"], RECIPE["train.batch_size"], RECIPE["optim.lr"]
WORKERS = 2
IGNORED = 255
TIMED = 12  # steps from which the epochs are counted that fit; the first quarter warms up
SPARE = 0.03  # of the seconds
VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


class Images(Dataset):
    """Everything at each access, in the worker, in floats."""

    def __init__(self, competition: Competition, samples: Sequence[Sample], *, flips: bool) -> None:
        self.competition, self.samples = competition, samples
        flipped = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)] if flips else []
        self.transforms = A.Compose([A.Resize(SIDE, SIDE), *flipped, A.Normalize(), ToTensorV2()])

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.samples[index]
        stored: Any = cv2.imread(str(self.competition.root / str(sample.image)))
        image = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)
        label = self.competition.label(sample.masks, image.shape[:2], id=sample.id)
        mask = np.where(label.valid, label.values, IGNORED).astype(np.uint8)
        made = self.transforms(image=image, mask=mask)
        return made["image"], made["mask"].long()


def usual_training(
    competition: Competition, train: Sequence[Sample], valid: Sequence[Sample], seconds: float
) -> list[np.ndarray]:
    """Train for as many epochs as fit, and predict the validation images: masks (H, W) of their own size."""
    started = time.monotonic()
    torch.manual_seed(0)
    network = build(competition)
    batches = DataLoader(
        Images(competition, train, flips=True), BATCH, shuffle=True, drop_last=True, num_workers=WORKERS
    )
    scored = DataLoader(Images(competition, valid, flips=False), BATCH, num_workers=WORKERS)
    epochs = fitting_epochs(network, batches, scored, seconds * (1 - SPARE), started)
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=epochs * len(batches), pct_start=RECIPE["schedule.warmup"]
    )
    best, kept = -math.inf, network.state_dict()
    for epoch in range(epochs):
        loss = statistics.fmean(train_steps(network, optimizer, batches, schedule))
        score = validate(network, scored)
        if score > best:
            best, kept = score, copy.deepcopy(network.state_dict())
        spent = time.monotonic() - started
        print(f"usual loop: epoch {epoch + 1}/{epochs}: loss {loss:.4f}, Dice {score:.4f}, {spent:.0f} s", flush=True)
    network.load_state_dict(kept)
    return predict(network, scored, [competition.size(sample.image) for sample in valid])


def build(competition: Competition) -> nn.Module:
    """The U-Net with the weights of ImageNet that are at hand."""
    weights = resolve_local("imagenet", ENCODER)
    assert weights is not None, "MASKFOLD_WEIGHTS must name the folder of mobilenet_v2_imagenet.safetensors"
    network = smp.Unet(ENCODER, encoder_weights=None, classes=competition.labels.channels)
    network.encoder.load_state_dict(load_file(weights))
    return network


def fitting_epochs(network: nn.Module, batches: DataLoader, scored: DataLoader, seconds: float, started: float) -> int:
    """How many epochs fit, timed on a copy: each trains and validates, and in the end there are four looks."""
    tried = copy.deepcopy(network)
    ends = [time.monotonic()]
    for _ in train_steps(tried, torch.optim.AdamW(tried.parameters(), RATE), islice(batches, TIMED)):
        ends.append(time.monotonic())
    pace = (ends[-1] - ends[TIMED // 4]) / (len(ends) - 1 - TIMED // 4)
    began = time.monotonic()
    validate(tried, scored)
    validation = time.monotonic() - began
    left = seconds - (time.monotonic() - started) - len(VIEWS) * validation
    return max(1, int(left / (len(batches) * pace + validation)))


def train_steps(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    schedule: torch.optim.lr_scheduler.OneCycleLR | None = None,
) -> Iterator[float]:
    """One pass; yields the losses."""
    network.train()
    for images, masks in batches:
        value = loss_of(network(images), masks)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        yield value.item()


def loss_of(logits: Tensor, masks: Tensor) -> Tensor:
    """BCE, or cross-entropy, and Dice."""
    if logits.shape[1] == 1:
        pixels = F.binary_cross_entropy_with_logits(logits[:, 0], masks.float())
        return 0.5 * pixels + 0.5 * smp.losses.DiceLoss("binary")(logits, masks[:, None])
    pixels = F.cross_entropy(logits, masks, ignore_index=IGNORED)
    return 0.5 * pixels + 0.5 * smp.losses.DiceLoss("multiclass", ignore_index=IGNORED)(logits, masks)


@torch.inference_mode()
def validate(network: nn.Module, scored: DataLoader) -> float:
    """Mean Dice of the images, as they were resized."""
    network.eval()
    found = []
    for images, masks in scored:
        logits = network(images)
        if logits.shape[1] == 1:
            counts = smp.metrics.get_stats((logits > 0).long(), masks[:, None], mode="binary")
        else:
            classes = logits.argmax(1)
            counts = smp.metrics.get_stats(
                classes, masks, mode="multiclass", num_classes=logits.shape[1], ignore_index=IGNORED
            )
        found.append(counts)
    gathered = [torch.cat(each) for each in zip(*found, strict=True)]
    return float(smp.metrics.f1_score(*gathered, reduction="macro-imagewise", zero_division=1.0))


@torch.inference_mode()
def predict(network: nn.Module, scored: DataLoader, sizes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """The masks of four views' mean."""
    network.eval()
    masks: list[np.ndarray] = []
    for images, _ in scored:
        looks = [activate(network(images.flip(flips))).flip(flips) for flips in VIEWS]
        for maps in torch.stack(looks).mean(0).numpy():
            height, width = sizes[len(masks)]
            grown = [cv2.resize(channel, (width, height), interpolation=cv2.INTER_LINEAR) for channel in maps]
            masks.append((grown[0] > 0.5).astype(np.uint8) if len(grown) == 1 else np.argmax(grown, 0).astype(np.uint8))
    return masks


def activate(logits: Tensor) -> Tensor:
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
