"""Whole plans: ten kinds of competitions against files that were looked through, and what must hold of any plan."""

import os
from pathlib import Path

import pytest
import yaml
from tests.planning.kinds import ALL, CPU, GPU, KINDS, LITE, RESNET10, SCRATCH, Device, kind

from maskfold.config import Config, load_config
from maskfold.errors import TrainingError
from maskfold.labels import LabelSpec
from maskfold.metrics import build_metric
from maskfold.planning import make_plan
from maskfold.planning import plan as plan_module
from maskfold.planning.encoders import ENCODERS
from maskfold.planning.encoders import SCRATCH as SCRATCH_ENCODER
from maskfold.planning.rules import input
from maskfold.planning.write import plan_yaml

GOLDEN = Path(__file__).parent / "golden"
BASE = Config(name="drawn", competition={"profile": "png-masks"})


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch):
    monkeypatch.setattr(input.os, "cpu_count", lambda: 16)


@pytest.mark.parametrize("name", KINDS)
def test_the_kinds_are_what_their_metrics_say(name):
    drawn, *_ = KINDS[name]
    names = {"binary": ("object",), "multiclass": ("ground", "road"), "multilabel": ("a", "b")}
    assert build_metric(drawn.metric, LabelSpec(drawn.task, names[drawn.task])).costs == drawn.error_costs


def networks_of(name, speed):
    return RESNET10 if name in SCRATCH else ALL if speed.gpu else LITE


def planned(name):
    data, speed, hours = KINDS[name]
    return make_plan(BASE, data, speed, hours=hours, networks=networks_of(name, speed))


@pytest.mark.parametrize("name", KINDS)
def test_a_plan_is_the_one_that_was_looked_through(name):
    """MASKFOLD_GOLDEN=1 writes the files again, to be looked through again."""
    path, text = GOLDEN / f"{name}.yaml", plan_yaml(planned(name), BASE)
    if os.environ.get("MASKFOLD_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", KINDS)
def test_a_plan_is_a_config_whose_values_have_reasons(name, tmp_path):
    plan = planned(name)
    path = tmp_path / "drawn.yaml"
    path.write_text(plan_yaml(plan, BASE))
    config = load_config(path)
    assert config == plan.config(BASE)
    assert all(reason.why for reason in plan.values.values())
    for line, before in zip(lines := path.read_text().splitlines(), ["", *lines], strict=False):
        key = line.strip().partition(":")[0]
        if f".{key}" in str([f".{name.rpartition('.')[2]}" for name in plan.values]) and line.startswith("  "):
            assert before.strip().startswith("#"), line
    assert all(len(line) <= 120 for line in lines if "#" in line)


@pytest.mark.parametrize("name", KINDS)
def test_a_plan_fits_its_hours(name):
    plan, (_, _, hours) = planned(name), KINDS[name]
    assert plan.seconds <= 0.9 * hours * 3600 * 1.001
    assert plan.values["train.epochs"].value >= 1


def test_more_hours_are_worth_more():
    data = kind(512, 512, groups=45)
    plans = [make_plan(BASE, data, CPU, hours=hours, networks=LITE) for hours in (0.2, 1, 9, 100)]
    values = [plan.option.value for plan in plans]
    assert values == sorted(values)
    assert [plan.option.folds for plan in plans] == sorted(plan.option.folds for plan in plans)
    assert plans[0].option.folds == 1
    assert plans[-1].option.folds == 5
    assert [plan.enough for plan in plans] == [False, False, False, True]
    assert plans[0].option.scale <= plans[-1].option.scale
    assert "more gain nothing" in plans[-1].values["train.epochs"].why


def test_a_plan_tells_the_seconds_of_all_folds_and_what_learning_costs():
    plan = make_plan(BASE, kind(256, 256), CPU, hours=9, networks=LITE)
    train = plan.config(BASE).train
    images = train.epochs * (train.epoch_images or 640)
    assert (plan.option.folds, plan.seconds) == (5, pytest.approx(plan.option.costs.total(images, 5)))
    assert plan.costs == pytest.approx({network.name: network.cost.train for network in LITE})


@pytest.mark.parametrize(("names", "chosen"), [([], SCRATCH_ENCODER.name), (["mobilenet_v2"], "mobilenet_v2")])
def test_networks_without_weights_are_for_those_who_have_none(names, chosen, monkeypatch):
    monkeypatch.setattr(plan_module, "at_hand", lambda: [ENCODERS[name] for name in names])
    plan = make_plan(BASE, kind(256, 256), CPU, hours=1)
    assert {name.partition(" ")[0] for name in plan.costs} == {chosen}
    assert plan.config(BASE).model.encoder_weights == ("imagenet" if names else None)


def test_a_slower_device_trains_on_fewer_pixels():
    data = kind(512, 512)
    fast, slow = (make_plan(BASE, data, Device("x", s), hours=0.5, networks=LITE) for s in (0.5, 20))
    assert slow.option.scale < fast.option.scale or slow.option.images < fast.option.images


def test_hours_without_room_are_refused_with_those_that_have():
    data = kind(512, 512, test=100_000)
    with pytest.raises(TrainingError, match=r"0\.1 hours have no room for a training: .* take \S+ hours on two cores"):
        make_plan(BASE, data, CPU, hours=0.1, networks=LITE)


def test_not_one_training_is_no_plan_unless_the_shortest_is_asked_for():
    data = kind(256, 256, train=500_000)
    with pytest.raises(TrainingError, match=r"20000 of the 500000 training images once, .* (\S+) hours on") as refused:
        make_plan(BASE, data, CPU, hours=1, networks=LITE)
    hours = float(str(refused.value).split(" take ")[1].split()[0])
    with pytest.raises(TrainingError):
        make_plan(BASE, data, CPU, hours=0.9 * hours, networks=LITE)
    found = make_plan(BASE, data, CPU, hours=hours, networks=LITE)
    assert found.seconds <= 0.9 * hours * 3600
    short = make_plan(BASE, data, CPU, hours=1, networks=LITE, shortest=True)
    epochs, drawn = (short.values[f"train.{key}"] for key in ("epochs", "epoch_images"))
    assert epochs.why == "1 hours have no room for it: the shortest training there is"
    assert epochs.value >= 4
    assert epochs.value * drawn.value == pytest.approx(20_000, rel=0.01)
    assert (short.option.folds, short.enough, short.seconds > 3600) == (1, False, True)


def test_many_images_are_trained_on_in_parts():
    """192,000 images on a GPU: an epoch of all is hours, after which alone a training is stored and could end."""
    ships = kind(768, 768, train=192_000, test=15_000, metric="airbus_f2", error_costs=None, object_side=18.0)
    plan = make_plan(BASE, ships, GPU, hours=9, networks=ALL)
    config = plan.config(BASE)
    assert config.train.epochs >= 8
    images = min(plan.option.images, 200_000)  # twice what is worth it
    assert config.train.epochs * config.train.epoch_images == pytest.approx(images, rel=0.01)
    assert config.train.save_minutes is None, "an epoch takes minutes"
    hours = make_plan(BASE, ships, Device("slow", 0.05, gpu=True, free=80e9, host=64e9), hours=60, networks=ALL)
    assert hours.config(BASE).train.save_minutes == 10
    assert plan.seconds <= 0.9 * 9 * 3600 * 1.001


@pytest.mark.parametrize("times", [0.0005, 0.01, 0.04])
@pytest.mark.parametrize("hours", [0.03, 0.1, 1])
def test_of_very_many_images_those_are_trained_on_for_which_there_is_time(times, hours):
    data = kind(256, 256, train=300_000, test=100, given=0.001)
    device = Device("a GPU", times, gpu=True, free=80e9, host=64e9)
    plan = make_plan(BASE, data, device, hours=hours, networks=ALL)
    train = plan.config(BASE).train
    assert plan.seconds <= 0.9 * hours * 3600 * 1.001
    assert train.epochs * (train.epoch_images or 299_700) == pytest.approx(min(plan.option.images, 200_000), rel=0.01)


@pytest.mark.parametrize("side", [8, 28, 100])
def test_tiny_images_grow_no_further_than_a_config_allows(side):
    plan = make_plan(BASE, kind(side, side, train=1000, object_side=5.0), CPU, hours=100, networks=LITE)
    assert plan.config(BASE).data.scale <= 8


def test_more_folds_than_usual_are_trained_where_there_is_time():
    base = Config(name="drawn", folds={"count": 10})
    plan = make_plan(base, kind(256, 256), CPU, hours=1000, networks=LITE)
    assert (plan.option.folds, plan.values["folds.trained"].value) == (10, None)


def test_photographs_that_no_gpu_holds_are_predicted_in_windows():
    small = Device("a small GPU", 0.02, gpu=True, free=4e9, host=16e9)
    for channels in (1, 8):
        data = kind(4000, 6000, train=300, object_side=8.0, channels=channels)
        config = make_plan(BASE, data, small, hours=9, networks=LITE).config(BASE)
        assert config.tta.window == config.data.crop
        assert config.inference.batch_size * config.tta.window**2 / 1e6 * 2.5e9 <= 4e9
        whole = 4 * 6 * channels * 24e6 * config.data.scale**2
        assert config.inference.batch_size == 1 or config.inference.batch_size * whole <= 0.4 * 4e9


def test_the_largest_image_decides_how_many_are_predicted_together():
    """Test images of three times the side, 2.36 million pixels: 5.9 GB each in training, of 12 that are used."""
    small = Device("a GPU of 15 GB", 0.02, gpu=True, free=15e9, host=30e9)
    data = kind(512, 512, object_side=6.0, test_pixels=9.0, largest=1536**2)
    plan = make_plan(BASE, data, small, hours=9, networks=LITE)
    config = plan.config(BASE)
    assert (config.data.scale, config.tta.window) == (1.0, None)
    assert config.inference.batch_size == 2
    on_cpu = make_plan(BASE, data, CPU, hours=9, networks=LITE)
    assert on_cpu.values["inference.batch_size"] == (1, "each of up to 2359296 pixels after scale")


def test_windows_of_test_images_are_counted_by_the_size_of_these():
    """Training images fit a window; of a test image of 14 times their side every pixel is in nearly two of them."""
    data = kind(512, 512, object_side=6.0, test_pixels=196.0, largest=(14 * 512) ** 2)
    plan = make_plan(BASE, data, Device("a GPU of 15 GB", 0.02, gpu=True, free=15e9), hours=9, networks=LITE)
    costs = plan.option.costs
    assert (plan.option.scale, plan.values["tta.window"].value) == (1.0, 512)
    assert (costs.windows, costs.test_windows) == (1.0, pytest.approx((19 / 14) ** 2))


@pytest.mark.parametrize(("free", "window", "counted"), [(200e9, None, 1.7), (15e9, 512, (19 / 14) ** 2)])
def test_windows_of_rasters_are_counted_once(free, window, counted):
    data = kind(512, 512, object_side=6.0, test_pixels=196.0, test_windows=1.7, largest=(14 * 512) ** 2)
    plan = make_plan(BASE, data, Device("a GPU", 0.02, gpu=True, free=free), hours=9, networks=LITE)
    assert (plan.option.scale, plan.values["tta.window"].value) == (1.0, window)
    assert plan.option.costs.test_windows == pytest.approx(counted)


def test_a_cache_is_in_the_machines_memory_not_its_gpus():
    data = kind(2048, 2048, train=4000)  # 50 GB
    plans = [
        make_plan(BASE, data, Device("a GPU", 1e-4, gpu=True, free=80e9, host=host), hours=9, networks=LITE)
        for host in (300e9, 100e9)
    ]
    assert [plan.values["data.cache"].value for plan in plans] == ["memory", "none"]


def test_how_folds_are_made_is_kept():
    own = {"count": 4, "trained": 2, "bins": 3, "copies": "together", "seed": 7}
    base = Config(name="drawn", folds=own)
    plan = make_plan(base, kind(256, 256), CPU, hours=9, networks=LITE)
    text = yaml.safe_load(plan_yaml(plan, base))["folds"]
    assert {key: text[key] for key in own} == own
    assert plan.config(base).folds.model_dump().items() >= own.items()


def test_groups_of_the_base_stay():
    base = Config(name="drawn", folds={"kind": "grouped", "group": {"file": "g.csv"}, "seed": 7})
    text = plan_yaml(make_plan(base, kind(256, 256, groups=3), CPU, hours=1, networks=LITE), base)
    folds = yaml.safe_load(text)["folds"]
    assert folds["kind"] == "grouped"
    assert (folds["group"]["file"], folds["seed"], folds["count"]) == ("g.csv", 7, 3)
