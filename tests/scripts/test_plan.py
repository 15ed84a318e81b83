"""plan.py and --dry-run: what they write and print, and what they refuse."""

import pytest
import yaml
from tests.scripts.conftest import call

from maskfold.config import load_config
from maskfold.training.forecast import Pace
from maskfold.training.trial import Trial


def words(drawn):
    return ["--competition.profile", "tianchi-buildings", "--competition.root", str(drawn)]


def test_a_plan_is_a_config_with_reasons(capsys, here, drawn):
    done = call(capsys, "plan", "--hours", "0.5", *words(drawn), "--name", "mine")
    assert done.code == 0, done.err
    path = here / "configs/mine_plan.yaml"
    assert done.out.splitlines()[-1] == "Next: python src/train_all.py --config configs/mine_plan.yaml"
    config = load_config(path)
    assert config.competition.root == drawn
    assert config.train.epochs >= 1
    assert path.read_text().startswith("# A plan for 0.5 hours on ")
    assert yaml.safe_load(path.read_text())["loss"]
    again = call(capsys, "plan", "--hours", "0.5", *words(drawn), "--name", "mine")
    assert (again.code, again.err) == (
        1,
        "error: configs/mine_plan.yaml exists: choose another --out, or replace it with --overwrite\n",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--train.epochs", "3"], "--train.epochs: a plan decides that; give options of competition and folds only"),
        (["--device", "cuda:7"], "--device cuda:7 cannot be used"),
        (["--device", "abacus"], "--device abacus cannot be used"),
    ],
)
def test_what_a_plan_refuses(capsys, here, drawn, options, message):
    done = call(capsys, "plan", "--hours", "1", *words(drawn), *options)
    assert done.code == 1
    assert message in done.err
    assert list(here.glob("configs/*")) == []


def test_a_dry_run_trains_nothing(capsys, here, drawn, monkeypatch):
    from maskfold.training import capacity

    monkeypatch.setattr(capacity, "_on_cpu", capacity._by_time)  # memory is another test's
    monkeypatch.setattr(Trial, "training_pace", lambda self: Pace(batch=2.0))
    monkeypatch.setattr(Trial, "prediction_pace", lambda self: Pace(image=8.0, plain=1.0))
    small = [
        "--folds.count",
        "3",
        "--data.workers",
        "0",
        "--train.batch_size",
        "4",
        "--data.crop",
        "32",
        "--model.encoder",
        "resnet18",
    ]
    done = call(capsys, "train_all", *words(drawn), *small, "--train.epochs", "2", "--dry-run")
    assert done.code == 0, done.err
    said = [" ".join(line.split()) for line in done.out.splitlines()]
    # Three batches of 2 s, six validation images and all twelve training images of 1 s. The validation images with
    # views and without, two epochs, the statistics of the average, the scores of two networks and their maps of 8 s an
    # image: 54 + 48 + 2 + 12 + 96 s.
    assert "an epoch 24 s with its validation" in said
    assert "a fold 4 min 2 epochs, scores, out-of-fold maps" in said
    assert "all folds 11 min 3 folds" in said
    assert done.out.splitlines()[-1].startswith("Next: python src/train_all.py --competition.profile")
    assert not (here / "runs").exists()
