"""How fast this device trains and predicts with a network, and what memory it takes: measured on noise."""

import statistics
import time
from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from maskfold.config import ModelConfig
from maskfold.device import choose_device, choose_precision, device_name, give_back_memory, steady_shapes, wait_for
from maskfold.images import ImageSpec
from maskfold.labels import LabelSpec
from maskfold.models import SegmentationModel, build_model
from maskfold.planning.networks import Cost, Network
from maskfold.training.memory import free_memory, reserve

STEPS = 3  # of which the median counts, after one that warms up
LONGEST = 6.0  # seconds of a network's training steps
# Images and their side, about a batch that is trained on: of a smaller one the optimiser and the calls take up to half.
COUNT, SIDE = 8, 256


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

    def cost(self, network: Network) -> Cost:
        """What a network costs."""
        ...


class MeasuredSpeed:
    """This device."""

    def __init__(
        self,
        labels: LabelSpec,
        images: ImageSpec,
        device: torch.device | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """See the class.

        Args:
            labels, images: of the competition.
            device: None: the accelerator that is there, else the CPU.
            clock: of what the work takes.
        """
        self.labels, self.images, self.device = labels, images, device or choose_device()
        self.gpu = self.device.type == "cuda"
        self.name = f"{torch.get_num_threads()} CPU threads" if self.device.type == "cpu" else device_name(self.device)
        self.host = max(0, free_memory() - reserve())
        self.free = torch.cuda.mem_get_info(self.device)[0] if self.gpu else self.host
        self._clock = clock

    def cost(self, network: Network) -> Cost:
        """See `Speed`; measured at every call, with memory kept between steps as a training keeps it."""
        with steady_shapes():
            found = self._measure(network)
        give_back_memory()
        return found

    def _measure(self, row: Network) -> Cost:
        network = self.build(row)
        images = torch.randint(0, 255, (COUNT, self.images.channels, SIDE, SIDE), device=self.device).float()
        millions = COUNT * SIDE**2 / 1e6
        optimizer = torch.optim.AdamW(network.parameters())
        if self.gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        train = self._median(lambda: self._train(network, images, optimizer))
        memory = torch.cuda.max_memory_allocated(self.device) / millions if self.gpu else None
        network.eval()
        return Cost(train / millions, self._median(lambda: self._predict(network, images)) / millions, memory)

    def build(self, row: Network) -> SegmentationModel:
        """The network of a row of the table on this device, with random weights."""
        decoder = row.decoder
        options = {"architecture": decoder.architecture, "options": dict(decoder.options)}
        model = ModelConfig(encoder=row.encoder.name, encoder_weights=None, **options)
        network = build_model(model, classes=self.labels.channels, images=self.images, pretrained=False)
        return network.to(self.device).to(memory_format=torch.channels_last)

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

    def _median(self, work: Callable[[], None]) -> float:
        started = self._clock()
        self._time(work)
        found = []
        while len(found) < STEPS and (not found or self._clock() - started < LONGEST):
            found.append(self._time(work))
        return statistics.median(found)

    def _time(self, work: Callable[[], None]) -> float:
        started = self._clock()
        work()
        wait_for(self.device)
        return self._clock() - started
