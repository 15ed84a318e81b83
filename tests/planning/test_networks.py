"""The table of networks, what it says of quality and cost, and how this device scales it."""

import math

import pytest
from tests.planning.kinds import ALL, CPU, LITE, Device, kind

from benchmarks.network_table import DOCUMENT, kept, sections
from maskfold.planning import plan as plan_module
from maskfold.planning.choice import Budget
from maskfold.planning.costs import Split
from maskfold.planning.decoders import DECODERS
from maskfold.planning.decoders import REFERENCE as NARROW
from maskfold.planning.encoders import ENCODERS, REFERENCE
from maskfold.planning.estimates import Estimates
from maskfold.planning.networks import Cost, Gain, Network, of_encoders, table
from maskfold.planning.plan import choose
from maskfold.planning.rules import network as rule


def test_every_encoder_was_measured_in_the_reference_decoder():
    rows = table()
    assert {row.encoder.name for row in rows if row.decoder == NARROW} == set(ENCODERS)
    assert {row.decoder.name for row in rows if row.encoder == REFERENCE} == set(DECODERS)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert 0 < row.cost.predict < row.cost.train, row.name
        assert row.parameters > 0.5
        assert row.cost.memory > 1e8


def test_the_document_has_the_tables_figures():
    text = DOCUMENT.read_text(encoding="utf-8")
    made = sections(table(), "")
    for name in ("Encoders", "Decoders"):
        assert made[name] in text, "python benchmarks/bench_networks.py writes it again"


def row(encoder, decoder, gain=None, *, train=1.0):
    return Network(ENCODERS[encoder], DECODERS[decoder], 1.0, Cost(train, train / 4, 1e9), gain)


NAN = math.nan


@pytest.fixture
def measured(monkeypatch):
    """``measured(rows)``: rows in the place of the table."""
    return lambda *rows: monkeypatch.setattr(rule, "table", lambda: rows)


def test_encoders_are_as_good_as_the_line_through_those_that_were_measured(measured):
    # 71.88, 74.83 and 77.46 %: -2.95 and +2.63 from the reference; the line through it that is nearest to both.
    measured(
        row("mobilenet_v2", "narrow U-Net", Gain(-0.06, NAN, NAN)),
        row("tu-tf_efficientnet_lite0", "narrow U-Net"),
        row("tu-tf_efficientnet_lite2", "narrow U-Net", Gain(0.02, NAN, NAN)),
        row("resnet50", "FPN", Gain(9.0, NAN, NAN)),
    )
    slope = (2.95 * 0.06 + 2.63 * 0.02) / (2.95**2 + 2.63**2)
    assert rule.slope() == pytest.approx(slope)
    assert rule.encoder_gain(ENCODERS["tu-convnext_small"]) == pytest.approx(slope * (85.33 - 74.83))
    assert rule.encoder_gain(REFERENCE) == 0


def test_a_decoder_counts_at_the_low_end_of_its_interval(measured):
    lite0 = "tu-tf_efficientnet_lite0"
    measured(
        row(lite0, "narrow U-Net"),
        row("mobilenet_v2", "narrow U-Net", Gain(-0.0295, NAN, NAN)),
        row(lite0, "FPN", Gain(0.03, 0.01, 0.05)),
        row(lite0, "wide U-Net", Gain(0.02, -0.001, 0.04)),
        row(lite0, "SegFormer", Gain(-0.04, -0.09, 0.02)),
        row("mobilenet_v2", "DeepLabV3+", Gain(0.5, 0.4, 0.6)),
    )
    gains = {name: rule.decoder_gain(decoder) for name, decoder in DECODERS.items()}
    wanted = {"FPN": 0.01, "SegFormer": -0.09, "wide U-Net": -0.001, "narrow U-Net": 0, "DeepLabV3+": 0}
    assert gains == wanted
    # An encoder and a decoder gain by themselves: 0.01 for each percent, and what the decoder gains.
    assert rule.quality(row("tu-resnet34d", "FPN")) == pytest.approx(0.0361 + 0.01)


def test_what_was_measured_scales_the_table():
    speed = Device("x", 3.0)
    probe, other = row("resnet18", "FPN", train=2.0), row("resnet34", "FPN", train=5.0)
    estimates = Estimates(speed, probe)
    assert estimates.cost(probe) == Cost(6.0, 1.5, None)
    assert estimates.cost(other).train == pytest.approx(15)
    speed.times = 12.0
    estimates.measure(other)
    third = row("resnet50", "FPN", train=1.0)
    assert estimates.cost(third).train == pytest.approx(6), "the geometric mean of 3 and 12"
    assert estimates.cost(third).predict == pytest.approx(1.5)
    assert estimates.cost(row("resnet34", "wide U-Net", train=7.0)).train == pytest.approx(84), "of its own encoder"


def test_memory_on_a_gpu_is_scaled_too():
    probe, other = (
        Network(ENCODERS[name], DECODERS["FPN"], 1.0, Cost(1.0, 0.5, kept))
        for name, kept in (("resnet18", 2e9), ("resnet34", 3e9))
    )
    # The device takes 2.5e9 bytes for the probe, of which the table has 2e9.
    assert Estimates(Device("a GPU", 1.0, gpu=True), probe).cost(other).memory == pytest.approx(3.75e9)
    assert Estimates(Device("two cores", 1.0), probe).cost(other).memory is None


class Counting(Device):
    """A device on which one encoder takes ten times what the table says."""

    def __init__(self, slow=""):
        super().__init__("x", 1.0)
        self.slow, self.asked = slow, []

    def cost(self, network):
        self.asked.append(network.name)
        found = super().cost(network)
        return Cost(found.train * 10, found.predict * 10) if network.encoder.name == self.slow else found


def budget(speed, seconds=3600):
    return Budget(kind(512, 512), speed, seconds, [1], views=["flips"], split=Split(640, 160))


def test_only_what_may_be_best_is_measured():
    speed = Counting()
    best, estimates = choose(budget(speed), ALL)
    assert best[0].network.name == speed.asked[-1]
    assert list(estimates.measured) == speed.asked
    assert len(speed.asked) <= 3
    assert len(best) == len(ALL)


def test_what_is_slow_on_this_device_is_not_taken():
    name = choose(budget(CPU), LITE)[0][0].network.encoder.name
    speed = Counting(name)
    assert choose(budget(speed), LITE)[0][0].network.encoder.name != name
    assert any(asked.startswith(name) for asked in speed.asked)


def test_without_time_the_choice_is_among_what_was_measured(monkeypatch):
    monkeypatch.setattr(plan_module, "MEASURING", -1.0)
    speed = Counting()
    best, _ = choose(budget(speed), ALL)
    assert [option.network.name for option in best] == speed.asked
    assert speed.asked == [min(ALL, key=lambda network: network.cost.train).name]


def test_memory_is_what_autograd_keeps():
    import torch

    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Conv2d(3, 8, 1, bias=False), torch.nn.Conv2d(8, 1, 1, bias=False)

        def forward(self, images):
            logits = self.second(torch.sigmoid(self.first(images)))
            return type("Outputs", (), {"logits": logits})

    # Of each pixel in bf16: three channels, what sigmoid gives (8, which the second convolution takes, too); the
    # logit in float32 for its square. Copies of the weights in bf16 are a few bytes.
    assert kept(One()) == pytest.approx(1e6 * (3 * 2 + 8 * 2 + 4), rel=0.01)


def test_networks_of_encoders_have_all_their_decoders():
    found = of_encoders([REFERENCE])
    assert [network.decoder.name for network in found] == list(DECODERS)
