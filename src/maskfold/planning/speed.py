"""How fast this device trains and predicts with an encoder, and what memory it takes: measured on noise."""

import statistics
import time
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from maskfold.config import ModelConfig
from maskfold.device import choose_device, choose_precision, give_back_memory, wait_for
from maskfold.images import ImageSpec
from maskfold.labels import LabelSpec
from maskfold.models import build_model
from maskfold.planning.encoders import Encoder
from maskfold.training.memory import free_memory, reserve

STEPS = 3  # of which the median counts, after one that warms up
LONGEST = 6.0  # seconds of an encoder's training steps
BATCH = {"cuda": (8, 256)}  # images and their side; of other devices:
SMALL = (2, 192)


@dataclass(frozen=True)
class Cost:
    """Of a million pixels.

    Attributes:
        train: seconds of a training step.
        predict: seconds of prediction.
        memory: bytes that a training step takes on a GPU; None: not measured.
    """

    train: float
    predict: float
    memory: float | None = None


class Speed(Protocol):
    """A device, as a plan sees it.

    Attributes:
        name: in words.
        gpu: whether it is one: batches hide what the data workers do, and memory limits them.
        free: bytes of the device's memory for a training.
        host: bytes of the machine's own memory for it.
    """

    name: str
    gpu: bool
    free: int
    host: int

    def cost(self, encoder: Encoder) -> Cost:
        """What a U-Net of this encoder costs."""
        ...


class MeasuredSpeed:
    """This device; each encoder is measured once."""

    def __init__(self, labels: LabelSpec, images: ImageSpec, device: torch.device | None = None) -> None:
        self.labels, self.images, self.device = labels, images, device or choose_device()
        self.gpu = self.device.type == "cuda"
        self.name = _name(self.device)
        self.host = max(0, free_memory() - reserve())
        self.free = torch.cuda.mem_get_info(self.device)[0] if self.gpu else self.host
        self._known: dict[str, Cost] = {}

    def cost(self, encoder: Encoder) -> Cost:
        """See `Speed`."""
        if encoder.name not in self._known:
            self._known[encoder.name] = self._measure(encoder)
            give_back_memory()
        return self._known[encoder.name]

    def _measure(self, encoder: Encoder) -> Cost:
        options = {"decoder_channels": list(encoder.decoder)}
        model = ModelConfig(architecture="unet", encoder=encoder.name, encoder_weights=None, options=options)
        network = build_model(model, classes=self.labels.channels, images=self.images, pretrained=False)
        network = network.to(self.device).to(memory_format=torch.channels_last)
        count, side = BATCH.get(self.device.type, SMALL)
        images = torch.randint(0, 255, (count, self.images.channels, side, side), device=self.device).float()
        millions = count * side**2 / 1e6
        optimizer = torch.optim.AdamW(network.parameters())
        if self.gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        train = self._median(lambda: self._train(network, images, optimizer))
        memory = torch.cuda.max_memory_allocated(self.device) / millions if self.gpu else None
        network.eval()
        return Cost(train / millions, self._median(lambda: self._predict(network, images)) / millions, memory)

    def _train(self, network: nn.Module, images: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        with self._autocast():
            loss = network(images).logits.float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def _predict(self, network: nn.Module, images: torch.Tensor) -> None:
        with torch.inference_mode(), self._autocast():
            network(images)

    def _autocast(self) -> torch.autocast:
        precision = choose_precision("auto", self.device)
        return torch.autocast(self.device.type, precision or torch.bfloat16, enabled=precision is not None)

    def _median(self, work) -> float:  # noqa: ANN001
        started = time.monotonic()
        self._time(work)
        found = []
        while len(found) < STEPS and (not found or time.monotonic() - started < LONGEST):
            found.append(self._time(work))
        return statistics.median(found)

    def _time(self, work) -> float:  # noqa: ANN001
        started = time.monotonic()
        work()
        wait_for(self.device)
        return time.monotonic() - started


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads" if device.type == "cpu" else device.type.upper()
