"""Parameter groups and the course of the learning rate."""

import math

import pytest
import torch
from torch import nn

from maskfold.config import OptimConfig
from maskfold.errors import TrainingError
from maskfold.schedule import cycle_ends, lr_schedule
from maskfold.training.optim import build_optimizer, set_learning_rate


class Network(nn.Module):
    """An encoder and a decoder of known parameters."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.decoder = nn.Conv2d(4, 1, 1)

    def encoder_parameters(self):
        return list(self.encoder.parameters())

    def other_parameters(self):
        return list(self.decoder.parameters())


def test_groups_have_their_rates_and_decay():
    network = Network()
    config = OptimConfig(name="adamw", lr=0.2, weight_decay=0.03, encoder_lr_factor=0.1)
    optimizer = build_optimizer(network, config)
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    wanted = {
        network.encoder[0].weight: (pytest.approx(0.02), 0.03),
        network.encoder[0].bias: (pytest.approx(0.02), 0.0),
        network.encoder[1].weight: (pytest.approx(0.02), 0.0),
        network.decoder.weight: (0.2, 0.03),
        network.decoder.bias: (0.2, 0.0),
    }
    assert {id(p): v for p, v in wanted.items()} == {key: found[key] for key in map(id, wanted)}
    assert len(found) == len(list(network.parameters()))
    set_learning_rate(optimizer, 0.5)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([0.01, 0.1])


@pytest.mark.parametrize("name", ["sgd", "adamw", "lookahead_adamw", "radam"])
def test_optimisers_by_name_step(name):
    network = Network()
    optimizer = build_optimizer(network, OptimConfig(name=name, lr=0.1))
    before = network.decoder.weight.detach().clone()
    for _ in range(7):
        network.decoder(network.encoder(torch.ones(2, 3, 4, 4))).square().mean().backward()
        optimizer.step()
    assert not torch.equal(network.decoder.weight, before)


def test_lookahead_pulls_back_to_the_slow_weights():
    network = Network()
    optimizer = build_optimizer(
        network, OptimConfig(name="lookahead_momentum", lr=1.0, weight_decay=0, options={"momentum": 0})
    )
    weight = network.decoder.weight
    start = weight.detach().clone()
    # k = 6, alpha = 0.5. timm's slow weights begin at the first sixth step; the next one goes half of the way back.
    for _ in range(12):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    assert torch.allclose(weight, start - 9)


@pytest.mark.parametrize(
    "values",
    [
        {"name": "adamm"},
        {"name": "my_adamw"},  # of which timm looks at the last word alone
        {"name": "adamw", "options": {"momentun": 0.9}},
        # These timm drops in silence.
        {"name": "lookahead_adamw", "options": {"momentum": 0.9}},
        {"name": "SGD", "options": {"betas": [0.9, 0.99]}},
        {"name": "lion", "options": {"eps": 1e-6}},
        {"name": "adamw", "options": {"layer_decay": 0.75}},
        {"name": "adamw", "options": {"filter_bias_and_bn": False}},
    ],
)
def test_unknown_names_and_options_are_refused(values):
    with pytest.raises(TrainingError, match=r"optim\.name .* cannot be built"):
        build_optimizer(Network(), OptimConfig(**values))


@pytest.mark.parametrize("name", ["adahessian", "lookahead_adahessian", "AdaHessian"])
def test_second_derivatives_are_refused(name):
    with pytest.raises(TrainingError, match=f"optim.name is {name}, which needs second derivatives"):
        build_optimizer(Network(), OptimConfig(name=name))


def test_one_cycle_rises_to_the_peak_and_falls_to_the_end():
    factor = lr_schedule("one_cycle", warmup=0.25, final_factor=0.01, ends=[101])
    rates = [factor(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[25] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.01)
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    # Half-way down, half a cosine is at its mean.
    assert factor(25 + 75 / 2) == pytest.approx((1 + 0.01) / 2)


def test_cosine_against_its_formula():
    factor = lr_schedule("cosine", warmup=0, final_factor=0, ends=[11])
    assert [factor(step) for step in range(11)] == pytest.approx(
        [(1 + math.cos(math.pi * t / 10)) / 2 for t in range(11)]
    )


def test_snapshot_restarts_after_every_cycle():
    assert cycle_ends(10, 3) == [3, 7, 10]
    factor = lr_schedule("snapshot", warmup=0, final_factor=0.1, ends=[30, 70, 100])
    assert [factor(step) for step in (0, 29, 30, 69, 70, 99)] == pytest.approx([1, 0.1, 1, 0.1, 1, 0.1])


def test_constant_only_warms_up():
    factor = lr_schedule("constant", warmup=0.5, final_factor=0, ends=[11])
    assert [factor(step) for step in (0, 1, 5, 7, 10)] == pytest.approx([0, 0.2, 1, 1, 1])


def test_steps_past_the_end_stay_at_the_end():
    factor = lr_schedule("one_cycle", warmup=0.1, final_factor=0.2, ends=[10])
    assert factor(25) == pytest.approx(0.2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("name", "fused"), [("adamw", True), ("sgd", True), ("nadamw", None)])
def test_a_gpu_updates_all_parameters_in_one_kernel_where_the_optimiser_can(name, fused):
    network = Network().cuda()
    assert build_optimizer(network, OptimConfig(name=name)).defaults.get("fused") is fused
