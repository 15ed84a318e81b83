"""Every config that comes with maskfold loads, is built, and takes two optimiser steps on a twin of its competition."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from tests.conftest import draw_scene, reference_rle, write_tianchi

from maskfold.competitions import open_competition
from maskfold.config import load_config, override
from maskfold.labels import LabelSpec
from maskfold.losses import build_loss, default_loss
from maskfold.report import make_report
from maskfold.runs import Run
from maskfold.runs.pseudo_rules import Rules
from maskfold.steps.predict import predict
from maskfold.steps.pseudo import pseudo_label
from maskfold.steps.tune import tune
from maskfold.training import fit

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
CLASSES = [
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree",
    "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
]  # fmt: skip
# As small as the encoders' strides allow; what the configs differ in stays.
SMALL = {
    "model.encoder_weights": None,
    "data.crop": 64,
    "data.workers": 0,
    "train.batch_size": 2,
    "train.epochs": None,
    "train.iterations": 2,
    "train.trackers": [],
    "train.oof_checkpoints": 1,
    "train.precision": "fp32",
    "averaging.bn_batches": 1,
}


def tianchi_twin(root):
    write_tianchi(root, train=16, test=2)
    names = sorted(path.name for path in (root / "train").iterdir())
    rows = [f"{name},s{number // 2},{number // 2}" for number, name in enumerate(names)]
    (root / "groups.csv").write_text("\n".join(["name,scene,colour_group", *rows]) + "\n")
    truth = (root / "train_mask.csv").read_text().splitlines()
    for number in (1, 2, 3):  # annotators, each of whom marks nothing on every third image
        marked = [line.split("\t")[0] + "\t" if at % 3 == number - 1 else line for at, line in enumerate(truth)]
        (root / f"train_mask_{number}.csv").write_text("\n".join(marked) + "\n")


def tgs_twin(root):
    rng, rows = np.random.default_rng(1), ["id,rle_mask"]
    for part, count in (("train", 10), ("test", 2)):
        (root / part / "images").mkdir(parents=True)
        for number in range(count):
            image, mask = draw_scene(rng, 33, 33, buildings=number % 4)
            cv2.imwrite(str(root / part / "images" / f"{part}{number}.png"), image)
            rows += [f"train{number},{reference_rle(mask)}"] * (part == "train")
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    (root / "sample_submission.csv").write_text("id,rle_mask\ntest0,1 1\ntest1,1 1\n")


def file_list_twin(root):
    rng, names = np.random.default_rng(2), []
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(10):
        image, mask = draw_scene(rng, 40, 52, buildings=3)
        label = np.where(mask, (number + np.arange(52) // 9) % 11, 255 if number == 3 else 3).astype(np.uint8)
        name = f"{'Seq05VD_f' if number == 9 else '0001TP_'}{number}.png"  # as CamVid's images are called
        cv2.imwrite(str(root / "images" / name), image)
        cv2.imwrite(str(root / "labels" / name), label)
        names.append(f"images/{name} labels/{name}")
    (root / "train.txt").write_text("\n".join(names[:7]))
    (root / "val.txt").write_text("\n".join(names[7:9]))
    (root / "test.txt").write_text(names[9].split()[0] + "\n")
    (root / "labels.txt").write_text("\n".join(CLASSES))


def png_twin(root):
    rng = np.random.default_rng(3)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(11):
        image, mask = draw_scene(rng, 44, 38, buildings=number % 4)
        cv2.imwrite(str(root / "images" / f"{number}.jpg"), image)
        if number < 10:
            cv2.imwrite(str(root / "masks" / f"{number}.png"), mask * 255)


TWINS = {
    "tianchi-buildings": tianchi_twin,
    "tgs-salt": tgs_twin,
    "file-list": file_list_twin,
    "camvid": file_list_twin,
    "png-masks": png_twin,
}


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """profile -> a small competition of that form."""
    roots = {profile: tmp_path_factory.mktemp("twins") / profile for profile in TWINS}
    for profile, root in roots.items():
        TWINS[profile](root)
    return roots


def test_there_are_configs():
    assert len(CONFIGS) >= 8


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_loads_and_is_named_after_its_file(path):
    config = load_config(path)
    assert config.name == path.stem
    assert "name" not in yaml.safe_load(path.read_text()), "the file's name is the run's name"
    assert path.read_text().startswith("# "), "the first line says what it is for"
    # Terms that begin late are built and finite too.
    several = config.competition.profile in ("file-list", "camvid")
    labels = LabelSpec("multiclass", tuple("abcdefghijk")) if several else LabelSpec("binary", ("a",))
    loss = build_loss(config.loss or default_loss(labels), labels)
    loss.check_length(config.train.epochs)
    names = ["mask", *(f"deep_{number}" for number in range(1, config.model.deep_supervision + 1))]
    logits = torch.linspace(-3, 3, 2 * labels.channels * 30).reshape(2, labels.channels, 5, 6)
    target = (logits[:, 0] > 0).long() if several else (logits > 0.5).float()
    outputs = dict.fromkeys(names, logits)
    loss.set_epoch(config.train.epochs)
    assert torch.isfinite(loss(outputs, {"mask": target, **dict.fromkeys(loss.needs, logits)})[0])


def trained(config, lengths, root):
    """Folder of a run of a config, fold 0 trained for two steps."""
    run = Run.create(override(config, {**SMALL, **lengths}), root)
    fit(run, 0)
    return run.path


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_trains_two_steps(path, twins, tmp_path):
    given = load_config(path)
    # Two epochs of one step each, so that a schedule of several cycles has as many as it can, and late terms begin.
    lengths = {
        "competition.root": twins[given.competition.profile],
        "train.epoch_images": 2 * given.train.accumulate,
        "schedule.cycles": min(2, given.schedule.cycles),
        "train.validate_every": 1,
        "loss": given.loss and [{**term, **dict.fromkeys({"from_epoch"} & set(term), 2)} for term in given.loss],
    }
    if given.adversarial is not None:
        lengths |= {"adversarial.from_epoch": 2, "adversarial.ramp_epochs": 0}
    if given.targets.teacher is not None:
        paths = given.targets.teacher.runs
        lengths["targets.teacher.runs"] = [str(trained(load_config(path.name), lengths, tmp_path)) for path in paths]
    if given.data.extra:
        teacher = Run.open(trained(load_config("demo"), lengths, tmp_path))
        made = pseudo_label(teacher, tmp_path / "pseudo", rules=Rules(confidence=0.0))
        lengths["data.extra"] = [str(made)]
    config = override(given, {**SMALL, **lengths})
    competition = open_competition(config.competition)
    run = Run.create(config, tmp_path)
    summary = fit(run, 0)
    assert (summary["steps"], summary["epochs"]) == (2, 2)
    assert 0 <= summary["score"] <= 1
    assert summary["metric"] == competition.metric.name
    averages = {"ema": given.averaging.ema, "swa": given.averaging.swa_start}
    wanted = {"best", given.inference.checkpoint, *(name for name, asked in averages.items() if asked)}
    assert wanted <= set(summary["candidates"])
    assert all(value.isfinite().all() for value in run.fold(0).load_checkpoint("best").values())
    (checkpoint,) = summary["oof"]
    assert len(run.fold(0).oof(checkpoint).ids()) == summary["valid_images"] > 0


@pytest.mark.slow
def test_a_crf_predicts_is_tuned_and_reported(twins, tmp_path, monkeypatch):
    """Of untrained networks' maps it makes other masks than none; page and log do not mind that tuning may drop it."""
    monkeypatch.chdir(tmp_path)
    given = load_config("demo_crf")
    root = twins[given.competition.profile]
    tried = {"theta_beta": [4], "theta_alpha": [60], "w1": [4, 6], "w2": [3], "theta_gamma": [3]}
    small = {"competition.root": root, "tta.views": "none", "tune.tried": {"threshold": [0.4, 0.5], "crf": tried}}
    run = Run.create(override(given, {**SMALL, **small}), tmp_path / "runs")
    fit(run, 0)
    written = {}
    for name, crf in (("with", given.post.crf), ("without", None)):
        path = predict(run, Path(f"{name}.csv"), overrides={"post.crf": crf and crf.model_dump()})
        written[name] = path.read_text()
    assert written["with"] != written["without"]
    choice = tune(run)
    predict(run, Path("tuned.csv"))
    for post in (choice.post, given.post):
        page = Path("report.html")
        make_report([run], open_competition(run.config.competition), choice.model_copy(update={"post": post}), page)
        assert ("crf.w1 " in page.read_text()) == (post.crf is not None)
