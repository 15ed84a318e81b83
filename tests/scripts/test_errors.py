"""What a user reads when something is wrong: one message, no traceback, exit code 1 (2 for the command line)."""

import shutil

import cv2
import numpy as np
import pytest
from tests.conftest import write_tianchi
from tests.scripts.conftest import write_config

CONFIG = ("--config", "tiny.yaml")


def message(result, code=1):
    assert result.code == code, result.out + result.err
    return result.err


def test_no_data(here, script):
    shutil.rmtree(here / "data")
    assert "there is no competition below data" in message(script("train_fold", *CONFIG, "--fold", 0))


def test_several_competitions(here, script):
    write_tianchi(here / "data" / "other", train=4, test=2)
    text = message(script("check_data"))
    assert "several competitions are under data: data/mine (tianchi-buildings), data/other (tianchi-buildings)" in text


def test_the_one_competition_is_found(here, script):
    done = script("check_data")
    assert done.code == 0
    assert done.out.startswith("Competition: data/mine (tianchi-buildings), config tianchi_buildings\n")


def test_wrong_profile(here, script):
    text = message(
        script("check_data", *CONFIG, "--competition.profile", "tgs-salt", "--competition.root", "data/mine")
    )
    assert "does not fit the profile tgs-salt: it lacks train.csv" in text
    assert "tianchi-buildings" in text


def test_missing_image(here, script):
    (here / "data/mine/train/T003.jpg").unlink()
    assert "T003.jpg" in message(script("train_fold", *CONFIG, "--fold", 0))


def test_mask_of_another_size(here, script):
    cv2.imwrite(str(here / "data/mine/train/T002.jpg"), np.zeros((9, 8, 3), np.uint8))
    text = message(script("train_fold", *CONFIG, "--fold", 0))
    assert "T002.jpg" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--train.epoch", "3"), "unknown key train.epoch: did you mean train.epochs?"),
        (("--train.epochs", "many"), "train.epochs is 'many'"),
        (("--optim.lr", "-3"), "optim.lr is -3"),
    ],
)
def test_config_mistakes(here, script, words, text):
    assert text in message(script("train_fold", *CONFIG, "--fold", 0, *words))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--epochs", "3"), "unknown option --epochs"),
        (("--train.epochs",), "--train.epochs needs a value"),
        (("3",), "unexpected argument 3"),
        (("--fold", "x"), "'x' is neither a fold number nor 'all'"),
    ],
)
def test_usage_mistakes(here, script, words, text):
    assert text in message(script("train_fold", *CONFIG, "--fold", 0, *words), code=2)


def test_fold_out_of_range(here, script):
    text = message(script("train_fold", *CONFIG, "--fold", 3))
    assert "there is no fold 3: the folds are 0, 1, 2" in text


def test_folds_of_another_data_set(here, script):
    assert script("make_folds", *CONFIG).code == 0
    path = here / "runs/tiny/folds.csv"
    path.write_text(path.read_text().replace("T003.jpg", "Z999.jpg"))
    text = message(script("train_fold", *CONFIG, "--fold", 0))
    assert "folds.csv" in text
    assert "Z999.jpg" in text or "T003.jpg" in text


def test_changed_config_of_an_existing_run(here, script):
    assert script("train_fold", *CONFIG, "--fold", 0, "--train.epochs", 1).code == 0
    text = message(script("train_fold", *CONFIG, "--fold", 1, "--train.epochs", 2))
    assert "train.epochs: 1 -> 2" in text
    assert "--name" in text


def test_damaged_checkpoint(here, script):
    assert script("train_fold", *CONFIG, "--fold", 0, "--train.epochs", 1).code == 0
    fold = here / "runs/tiny/fold_0"
    (fold / "summary.json").unlink()
    for name in ("last.pt", "previous.pt"):
        (fold / name).write_bytes((fold / name).read_bytes()[:1000])
    text = message(script("train_fold", *CONFIG, "--fold", 0, "--train.epochs", 1))
    assert "previous.pt is damaged" in text


def test_a_submission_that_does_not_match(here, script):
    good = (here / "data/mine/test_a_truth.csv").read_text().splitlines()
    (here / "bad.csv").write_text("\n".join(good[1:]) + "\n")
    words = ("--submission", "bad.csv", "--truth", "data/mine/test_a_truth.csv")
    text = message(script("evaluate", *words))
    assert "lacks 1 images" in text


def test_a_submission_is_validated_without_truth(here, script):
    good = "data/mine/test_a_truth.csv"
    done = script("evaluate", "--submission", good)
    assert done.code == 0, done.err
    assert f"\nValid submission: {good}\nNext: " in done.out
    first, *rest = (here / good).read_text().splitlines()
    (here / "bad.csv").write_text("\n".join([*rest, rest[0]]) + "\n")
    done = script("evaluate", "--submission", "bad.csv")
    assert done.code == 1
    assert done.err.startswith("error: bad.csv is not a valid submission:\n  - ")
    assert first.partition("\t")[0] in done.err


def test_existing_output_is_not_replaced(here, script):
    assert script("train_fold", *CONFIG, "--fold", 0, "--train.epochs", 1).code == 0
    (here / "mine.csv").write_text("precious")
    assert "mine.csv exists" in message(script("predict", "--runs", "runs/tiny", "--out", "mine.csv"))
    assert (here / "mine.csv").read_text() == "precious"


def test_unknown_checkpoint_and_options_of_others(here, script):
    assert script("train_fold", *CONFIG, "--fold", 0, "--train.epochs", 1).code == 0
    text = message(script("predict", "--runs", "runs/tiny", "--inference.checkpoint", "swa"))
    assert "no checkpoint 'swa': it has best" in text
    text = message(script("predict", "--runs", "runs/tiny", "--train.epochs", "3"), code=2)
    assert "--train.epochs cannot be changed here" in text


def test_weights_without_internet_say_how_to_bring_the_file(here, script, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(here / "cache"))
    words = ("--model.encoder", "resnet18", "--model.encoder_weights", "imagenet")
    text = message(script("train_fold", *CONFIG, "--fold", 0, *words))
    assert "model.encoder_weights" in text


def test_a_wrong_loss_and_a_wrong_architecture(here, script):
    write_config(here / "tiny.yaml", loss=[{"name": "dise"}])
    assert "did you mean" in message(script("train_fold", *CONFIG, "--fold", 0))
    write_config(here / "tiny.yaml", model__architecture="unett")
    assert "unet" in message(script("train_fold", *CONFIG, "--fold", 0))
