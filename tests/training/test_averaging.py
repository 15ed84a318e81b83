"""Averages of weights against hand-made ones."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from maskfold.config import AveragingConfig
from maskfold.models import SegmentationModel
from maskfold.training.averaging import WeightAverages, recompute_batch_norm


def walk(steps):
    """A network whose one weight takes the given values."""
    network = nn.Linear(1, 1, bias=False)
    for value in steps:
        nn.init.constant_(network.weight, value)
        yield network


def test_ema_follows_its_recursion():
    averages = None
    expected = 1.0
    for step, network in enumerate(walk([1.0, 5.0, -2.0, 7.0])):
        averages = averages or WeightAverages(network, AveragingConfig(ema=0.9))
        averages.after_step(network)
        if step:
            decay = min(0.9, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * network.weight.item()
    assert averages.begun()["ema"].module.weight.item() == pytest.approx(expected)


def test_ema_neither_asks_the_device_nor_waits_for_it():
    """The meta device has no values to ask for."""

    class Noted(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            called.add(func.overloadpacket)
            return func(*args, **(kwargs or {}))

    called = set()
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).to("meta")
    averages = WeightAverages(network, AveragingConfig(ema=0.9))
    with Noted():
        for _ in range(3):
            averages.after_step(network)
    assert torch.ops.aten._foreach_lerp_ in called
    assert torch.ops.aten._to_copy not in called
    assert averages.models["ema"].n_averaged == 3


def test_swa_is_the_mean_of_the_late_epochs():
    averages = None
    values = [100.0, 50.0, 3.0, 4.0, 8.0]
    for epoch, network in enumerate(walk(values), start=1):
        averages = averages or WeightAverages(network, AveragingConfig(swa_start=0.4))
        averages.after_epoch(network, epoch / 5)
    assert averages.begun()["swa"].module.weight.item() == pytest.approx(5.0)


def test_nothing_is_averaged_before_its_time():
    averages = WeightAverages(nn.Linear(1, 1), AveragingConfig(ema=0.9, swa_start=0.5))
    averages.after_epoch(nn.Linear(1, 1), 0.5)
    assert averages.begun() == {}


def test_state_goes_on_where_it_stopped():
    network = nn.Linear(2, 3)
    config = AveragingConfig(ema=0.5, swa_start=0.1)
    first = WeightAverages(network, config)
    first.after_step(network)
    second = WeightAverages(copy.deepcopy(network), config)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    nn.init.ones_(network.weight)
    for averages in (first, second):
        averages.after_step(network)
        averages.after_epoch(network, 0.7)
    for name, model in first.begun().items():
        assert all(
            torch.equal(a, b)
            for a, b in zip(model.state_dict().values(), second.begun()[name].state_dict().values(), strict=True)
        )


def test_averages_do_not_follow_live_weights():
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 2.0)
    averages = WeightAverages(network, AveragingConfig(swa_start=0.1))
    averages.after_epoch(network, 1.0)
    nn.init.constant_(network.weight, 9.0)
    assert averages.begun()["swa"].module.weight.item() == 2.0


def test_batch_norm_is_that_of_the_given_images():
    images = [torch.randn(6, 3, 4, 4) * 3 + 5, torch.randn(6, 3, 4, 4) - 2]
    network = nn.BatchNorm2d(3, momentum=0.1)
    network.running_mean.fill_(99.0)
    network.eval()
    recompute_batch_norm(network, images, torch.device("cpu"))
    expected = torch.stack([batch.mean((0, 2, 3)) for batch in images]).mean(0)
    assert torch.allclose(network.running_mean, expected, atol=1e-5)
    assert network.momentum == 0.1
    assert not network.training


def test_a_frozen_encoder_keeps_its_statistics():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.BatchNorm2d(3)
            self.decoder = nn.Sequential(nn.BatchNorm2d(3))

        def forward(self, images):
            return self.decoder(self.encoder(images))

    network = SegmentationModel(Net(), mean=(0.0,) * 3, std=(1 / 255,) * 3, stride=1).eval()
    network.net.encoder.running_mean.fill_(4.0)
    images = [torch.rand(6, 3, 4, 4) * 3 + 5, torch.rand(6, 3, 4, 4) + 2]
    recompute_batch_norm(network, images, torch.device("cpu"), frozen_encoder=True)
    assert network.net.encoder.running_mean.tolist() == [4, 4, 4]
    expected = torch.stack([(batch - 4).mean((0, 2, 3)) for batch in images]).mean(0)
    assert torch.allclose(network.net.decoder[0].running_mean, expected, atol=1e-4)
    assert not network.training
