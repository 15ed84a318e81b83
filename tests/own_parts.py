"""Parts of a config that tests of several processes name: a plain network, and what ends a process, once each."""

import os
import signal
import sys
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from maskfold.inference import Step
from maskfold.losses import BCEWithLogitsLoss


class Plain(nn.Module):
    """Without batch norm, whose statistics would be each process's own."""

    def __init__(self, encoder_name, encoder_weights, in_channels, classes):
        super().__init__()
        self.encoder = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.encoder.output_stride = 1
        self.head = nn.Conv2d(8, classes, 5, padding=2)

    def forward(self, images):
        return self.head(self.encoder(images).relu())


class DeadlyLoss(BCEWithLogitsLoss):
    """Kills the second of several processes in its fifth step, the first time that it gets there."""

    calls = 0

    def forward(self, *given, **more):
        DeadlyLoss.calls += self.training and torch.is_grad_enabled()  # validation computes it too
        if DeadlyLoss.calls == 5 and os.environ.get("RANK") == "1":
            die_once("killed_rank")
        return super().forward(*given, **more)


class DeadlyStep(Step):
    """Kills the first process of a Ray cluster that decodes an image."""

    stage = "mask"
    tried: ClassVar[dict] = {}

    def __call__(self, layers, image):
        ray = sys.modules.get("ray")
        if ray is not None and ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
            die_once("killed_shard")
        return layers


def die_once(name):
    """Kill this process, unless the file is there already."""
    try:
        Path(name).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
