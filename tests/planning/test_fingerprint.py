"""What is measured: of drawn files, of masks whose figures are known, of this device."""

import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from tests.clouds import clouds_config, write_clouds
from tests.drawn_rasters import draw_scene, tile_config, write_tif
from tests.drawn_runs import truth_of
from tests.planning.kinds import RESNET10

from maskfold.competitions import Samples, open_competition
from maskfold.config import CompetitionConfig, FoldsConfig
from maskfold.errors import CompetitionError
from maskfold.images import PLAIN
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import build_metric
from maskfold.planning import MeasuredSpeed, take_fingerprint
from maskfold.planning import fingerprint as module
from maskfold.planning.ceiling import score_ceilings
from maskfold.planning.fingerprint import candidate_scales, class_frequencies
from maskfold.planning.networks import Cost, at_hand


def test_figures_of_drawn_files(tiny, drawn):
    data = take_fingerprint(open_competition(tiny.competition), tiny.folds)
    truth = truth_of(drawn)
    covered = [mask.mean() for mask in truth.values() if mask.any()]
    assert (data.task, data.metric, data.train, data.test, data.read) == ("binary", "dice", 18, 5, 18)
    assert data.coverage == pytest.approx(np.mean(covered))
    assert data.empty == pytest.approx(1 - len(covered) / 18)
    assert data.filled == len(covered)
    # Nine images of 48 x 40, nine of 40 x 56; three and two of the test split.
    assert (data.height, data.width) == (44, 48)
    assert data.test_pixels == pytest.approx((3 * 1920 + 2 * 2240) / 5 / 2080)
    assert data.test_windows == pytest.approx(1)
    assert data.largest == 40 * 56
    assert data.pixel_bytes == pytest.approx(3 + 2 / 8, abs=1 / 1000), "three channels, two bits of a label"
    assert (data.groups, data.copies, data.units, data.given, data.shift) == (0, 0, 18, 0, None)
    assert 6 < data.object_side < 20
    assert list(data.ceilings) == candidate_scales(44)
    assert 0 < data.reading < 1


@pytest.mark.parametrize(
    ("metric", "options", "of_sums", "costs"),
    [("f_beta", {"beta": 2}, False, (0.2, 0.8)), ("pooled_dice", {}, True, (0.5, 0.5)), ("airbus_f2", {}, False, None)],
)
def test_numbers_are_of_all_images_and_figures_of_those_that_are_read(
    tiny, monkeypatch, metric, options, of_sums, costs
):
    competition, seen = open_competition(tiny.competition), []
    competition.metric = build_metric(metric, competition.labels, options)
    monkeypatch.setattr(module, "MOST", {"train": 9, "test": 3})
    monkeypatch.setattr(module, "check_shift", lambda images, notes: SimpleNamespace(auc=0.9))
    monkeypatch.setattr(module, "is_upright", lambda thumbnails: seen.append(len(thumbnails)) or True)
    monkeypatch.setattr(module, "score_ceilings", lambda competition, train, scales: {1.0: len(train)})
    data = take_fingerprint(competition, tiny.folds)
    assert (data.train, data.test, data.read, seen, data.ceilings) == (18, 5, 9, [9], {1.0: 9})
    assert (data.shift, data.upright, data.of_sums, data.error_costs) == (0.9, True, of_sums, costs)


def test_classes_and_objects_as_networks_see_them(tmp_path):
    """Clouds, of which Gravel is the only class that the table has; networks see them at half their size."""
    write_clouds(tmp_path / "clouds", size=(20, 16))
    path = tmp_path / "clouds/profile.yaml"
    profile = path.read_text().replace("multilabel", "multiclass").replace("metric: dice", "metric: miou")
    path.write_text(profile.replace("[Fish, Flower, Gravel, Sugar]", "[none, Fish, Flower, Gravel, Sugar]"))
    table = (tmp_path / "clouds/train.csv").read_text().splitlines()
    (tmp_path / "clouds/train.csv").write_text("\n".join([table[0], *(row for row in table if "Gravel" in row)]) + "\n")
    config = clouds_config(tmp_path / "clouds")
    competition = open_competition(config.competition)
    competition.resampling = lambda sample: 0.5
    data = take_fingerprint(competition, config.folds)
    area = 40 // 3 * 48 // 2
    share = area / (40 * 48)
    assert data.frequencies == pytest.approx((1 - share, 0, 0, share, 0))
    assert data.object_side == pytest.approx(0.5 * area**0.5)


# As large as the first training image is, 203 pixels, two windows hold the large image.
@pytest.mark.parametrize(
    ("max_pixels", "largest", "seen"), [(31_000, 150 * 203, 2 * 203 * 200), (70_000, 300 * 200, 300 * 200)]
)
def test_images_that_are_predicted_by_windows_take_their_time_but_no_memory(
    kidneys, tmp_path, max_pixels, largest, seen
):
    folder = shutil.copytree(kidneys, tmp_path / "kidneys")
    write_tif(folder / "data/test/cc3.tif", draw_scene(np.random.default_rng(3), 300, 200, buildings=9)[0])
    config = CompetitionConfig(profile=str(folder / "profile.yaml"), root=folder / "data", max_pixels=max_pixels)
    found = take_fingerprint(open_competition(config), FoldsConfig())
    assert (found.test, found.largest) == (2, largest)
    assert found.test_pixels == pytest.approx((300 * 200 + 60 * 70) / (150 * 203 + 131 * 97))
    assert found.test_windows == pytest.approx((seen + 60 * 70) / (300 * 200 + 60 * 70))


def test_rasters_are_predicted_at_the_size_of_their_tiles(cut_kidneys):
    """Cut at half size in tiles of 32 pixels: windows overlap by 8 at least, three rows of four and one of two."""
    competition = open_competition(tile_config(cut_kidneys, "tiles").competition)
    found = take_fingerprint(competition, FoldsConfig())
    assert (found.pixels, found.largest) == (32**2, 32**2)
    assert found.test_pixels == pytest.approx((70 * 95 + 30 * 35) / 2 / 32**2)
    assert found.test_windows == pytest.approx((3 * 4 * 32**2 + 2 * 30 * 32) / (70 * 95 + 30 * 35))


def test_what_stays_together_and_what_the_own_split_validates(tiny, drawn, tmp_path, monkeypatch):
    root = tmp_path / "copied"
    shutil.copytree(drawn, root)
    ids = open_competition(tiny.competition).samples("train").ids
    own = pd.read_csv(root / "train_mask.csv", sep="\t", header=None, dtype=str)
    for copy in ids[4:6]:
        shutil.copy(root / "train" / ids[3], root / "train" / copy)
        own.loc[own[0] == copy, 1] = own.loc[own[0] == ids[3], 1].item()
    own.to_csv(root / "train_mask.csv", sep="\t", header=False, index=False)
    groups = pd.DataFrame({"name": ids, "place": [f"p{number // 4}" for number in range(18)]})
    groups.to_csv(root / "places.csv", index=False)
    competition = open_competition(tiny.competition.model_copy(update={"root": root}))
    found = take_fingerprint(competition, tiny.folds)
    assert (found.groups, found.copies, found.units) == (0, 2, 16)
    grouped = FoldsConfig(group={"file": "places.csv", "id": "name", "column": "place"})
    found = take_fingerprint(competition, grouped)
    assert (found.groups, found.copies, found.units) == (5, 2, 4), "images 3 and 4 are of two places"
    kept = {ids[place] for place in (8, 9, 17)}
    own.loc[~own[0].isin(kept), 1] = np.nan
    own.to_csv(root / "train_mask.csv", sep="\t", header=False, index=False)
    competition = open_competition(tiny.competition.model_copy(update={"root": root}))
    filled = [take_fingerprint(competition, config).filled for config in (tiny.folds, grouped)]
    assert filled == [3, 2], "two of the masks are of one place"
    samples = [
        replace(sample, split="valid" if place < 5 else "train")
        for place, sample in enumerate(competition.samples("train"))
    ]
    monkeypatch.setattr(type(competition), "samples", lambda self, split: Samples(samples))
    assert take_fingerprint(competition, tiny.folds).given == pytest.approx(5 / 18)


def test_frequencies_are_of_the_masks_that_have_a_class():
    counts = np.array([[6, 2, 0, 0], [9, 0, 1, 0], [4, 4, 2, 0]])
    # The second class is in 18 pixels of two masks, the third in 20 of two, the last in none.
    assert class_frequencies(counts) == pytest.approx((19 / 28, 6 / 18, 3 / 20, 0))


def test_larger_scales_are_for_small_images():
    assert candidate_scales(101)[-3:] == [1.2673, 1.901, 2.5347]
    assert candidate_scales(200)[-2:] == [1.0, 1.28]
    assert candidate_scales(256)[-1] == 1.0


def test_what_the_true_masks_score():
    """A square of 64 pixels that moves by d in both directions keeps (64 - d) squared of them."""
    labels = LabelSpec("binary", ("a",))
    values = np.zeros((160, 200), np.uint8)
    values[40:104, 56:120] = 1  # on the grid of eight pixels: shrinking alone changes nothing
    competition = SimpleNamespace(
        labels=labels,
        metric=build_metric("dice", labels),
        size=lambda image: values.shape,
        resampling=lambda sample: 1.0,
        coverage=lambda masks, size, id: float(id == "a"),
        label=lambda masks, size, id: Label.whole(values if id == "a" else 0 * values),
    )
    square, empty = (SimpleNamespace(id=name, image=name, masks=()) for name in "ab")
    found = score_ceilings(competition, [empty, square], [0.125, 0.25, 1.0])
    for scale in (0.125, 0.25):
        kept = (64 - 0.5 / scale) ** 2
        assert found[scale] == pytest.approx(kept / 64**2, abs=0.015)
    assert found[1.0] == pytest.approx(1, abs=0.02)
    competition.resampling = lambda sample: 0.5
    assert score_ceilings(competition, [square], [0.25]) == {0.25: found[0.125]}
    assert score_ceilings(competition, [empty], [0.25]) == {0.25: 1.0}
    competition.metric.score = lambda stats: math.nan
    assert score_ceilings(competition, [square], [0.25]) == {0.25: 1.0}, "nothing that counts"


def test_data_that_cannot_be_used_is_not_planned_for(tiny, drawn, tmp_path):
    root = tmp_path / "broken"
    shutil.copytree(drawn, root)
    (root / "train" / "T003.jpg").write_bytes(b"no image")
    config = tiny.competition.model_copy(update={"root": root})
    with pytest.raises(CompetitionError, match=r"the data has problems \(.*T003.*\): check_data\.py lists them all"):
        take_fingerprint(open_competition(config), tiny.folds)


def test_one_image_is_too_few(tiny, monkeypatch):
    competition = open_competition(tiny.competition)
    one = Samples(competition.samples("train")[:1])
    monkeypatch.setattr(type(competition), "samples", lambda self, split: one)
    with pytest.raises(CompetitionError, match="1 training images are too few for a plan"):
        take_fingerprint(competition, tiny.folds)


def test_weights_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKFOLD_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    (tmp_path / "mobilenet_v2_imagenet.safetensors").write_bytes(b"")
    (tmp_path / "tf_efficientnet_lite2_imagenet.safetensors").write_bytes(b"")
    found = [encoder.name for encoder in at_hand()]
    assert found == ["mobilenet_v2", "tu-tf_efficientnet_lite2"]


def test_costs_are_of_a_million_pixels_and_the_middle_of_the_steps(monkeypatch):
    """Steps of eight images of 256 pixels; the first, of each kind, warms up."""
    now, takes = [0.0], iter([9.0, 3.0, 1.0, 2.0, 5.0, 0.5, 0.125, 0.25])
    speed = MeasuredSpeed(LabelSpec("binary", ("a",)), PLAIN, torch.device("cpu"), clock=lambda: now[0])

    def step(*_):
        now[0] += next(takes) / 10

    monkeypatch.setattr(speed, "build", lambda row: torch.nn.Conv2d(1, 1, 1))
    monkeypatch.setattr(speed, "_train", step)
    monkeypatch.setattr(speed, "_predict", step)
    millions = 8 * 256**2 / 1e6
    assert speed.cost(RESNET10[0]) == Cost(pytest.approx(0.2 / millions), pytest.approx(0.025 / millions))


def test_slow_networks_are_measured_by_fewer_steps(monkeypatch):
    """6 s of steps at most, one at least after the one that warms up."""
    now, done = [0.0], []
    speed = MeasuredSpeed(LabelSpec("binary", ("a",)), PLAIN, torch.device("cpu"), clock=lambda: now[0])

    def step(*_):
        now[0] += 4.0
        done.append(now[0])

    assert speed._median(step) == 4.0
    assert len(done) == 2


def test_this_device_is_measured():
    speed = MeasuredSpeed(LabelSpec("multiclass", ("a", "b", "c")), PLAIN)
    cost = speed.cost(RESNET10[0])
    assert 0 < cost.predict < cost.train < math.inf
    assert cost.memory is None
