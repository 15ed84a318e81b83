"""What a fold starts from: another run's network or encoder, without a leak; statistics of its own images."""

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from maskfold.competitions.profile import SHIPPED
from maskfold.config import override
from maskfold.errors import ModelError, RunError, TrainingError
from maskfold.runs import Run
from maskfold.training import fit
from maskfold.training.session import open_session


@pytest.fixture
def first(tiny, tmp_path):
    """A run with its folds 0 and ``all`` trained."""
    run = Run.create(override(tiny, {"train.epochs": 1}), tmp_path)
    fit(run, 0)
    fit(run, "all")
    return run


def start(config, tmp_path, fold=0):
    return open_session(Run.create(config, tmp_path), fold).network.state_dict()


def parts(state, trained):
    """Whether the encoder, and the decoder, of ``state`` are those of a trained network."""
    equal = {name: torch.equal(value, trained[name]) for name, value in state.items() if name.endswith("weight")}
    return tuple(all(equal[name] for name in equal if (".encoder." in name) == encoder) for encoder in (True, False))


@pytest.mark.parametrize("place", ["", "/fold_0/best", "/fold_0/best.safetensors"])
@pytest.mark.parametrize(("key", "expected"), [("encoder_weights", (True, False)), ("init_from", (True, True))])
def test_a_run_or_its_checkpoint_is_the_start(key, expected, place, first, tiny, tmp_path):
    config = override(tiny, {"name": "second", f"model.{key}": f"{first.path}{place}"})
    assert parts(start(config, tmp_path), first.fold(0).load_checkpoint("best")) == expected


@pytest.mark.parametrize("key", ["encoder_weights", "init_from"])
@pytest.mark.parametrize(
    ("place", "fold", "changes"),
    [
        ("/fold_0/best", 1, {}),
        ("/fold_all/best", 0, {}),
        ("", 0, {"folds.seed": 5}),
        ("/fold_0/best.safetensors", 0, {"folds.seed": 5}),
    ],
)
def test_networks_that_have_seen_the_validation_images_are_refused(key, place, fold, changes, first, tiny, tmp_path):
    config = override(tiny, {"name": "second", f"model.{key}": f"{first.path}{place}", **changes})
    run = Run.create(config, tmp_path)
    folds = run.folds()
    valid = set(folds.query(f"fold == {fold} and split == 'valid'")["id"])
    theirs = first.folds()
    seen = set(theirs["id"]) if "all" in place else set(theirs.query("fold == 0 and split == 'train'")["id"])
    with pytest.raises(TrainingError, match=rf"trained on {len(seen & valid)} images .*would leak"):
        open_session(run, fold)


def test_the_network_of_everything_may_start_from_any(first, tiny, tmp_path):
    config = override(tiny, {"name": "second", "model.encoder_weights": f"{first.path}/fold_0/best"})
    assert parts(start(config, tmp_path, "all"), first.fold(0).load_checkpoint("best")) == (True, False)


def test_what_no_run_has_is_said(first, tiny, tmp_path):
    with pytest.raises(RunError, match=r"model\.init_from is runs/none: expected runs/NAME"):
        start(override(tiny, {"name": "second", "model.init_from": "runs/none"}), tmp_path)
    with pytest.raises(RunError, match="no checkpoint 'ema': it has best"):
        start(override(tiny, {"name": "second", "model.encoder_weights": f"{first.path}/fold_0/ema"}), tmp_path)
    with pytest.raises(RunError, match="no checkpoint 'best'"):
        start(override(tiny, {"name": "second", "model.encoder_weights": str(first.path)}), tmp_path, 2)
    with pytest.raises(ModelError, match="no weights runs/none for encoder mobilenet_v2"):
        start(override(tiny, {"name": "second", "model.encoder_weights": "runs/none"}), tmp_path)
    first.folds_path.unlink()
    with pytest.raises(TrainingError, match=r"there is no .*folds\.csv, so nobody knows"):
        start(override(tiny, {"name": "second", "model.encoder_weights": str(first.path)}), tmp_path)


def test_a_training_goes_on_without_the_files_it_started_from(first, tiny, tmp_path):
    path = tmp_path / "encoder.safetensors"
    path.write_bytes((first.path / "fold_0/best.safetensors").read_bytes())
    config = override(tiny, {"name": "second", "model.encoder_weights": str(path)})
    run = Run.create(config, tmp_path)

    class Stop(Exception): ...

    from maskfold.training import Callback

    class Kill(Callback):
        def on_epoch(self, session):
            if session.epoch == 1:
                raise Stop

    with pytest.raises(Stop):
        fit(run, 0, [Kill()])
    path.unlink()
    fit(Run.open(run.path), 0)
    path.write_bytes((first.path / "fold_0/best.safetensors").read_bytes())
    whole = Run.create(override(config, {"name": "whole"}), tmp_path)
    fit(whole, 0)
    resumed, straight = (r.fold(0).load_checkpoint("best") for r in (run, whole))
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


@pytest.fixture
def sixteen_bit(drawn, tiny, tmp_path):
    """The tiny competition's images as 16-bit png of one channel, dark and of low contrast."""
    root = tmp_path / "dark"
    for split in ("train", "test_a"):
        (root / split).mkdir(parents=True)
        for path in sorted((drawn / split).iterdir()):
            grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            cv2.imwrite(str(root / split / f"{path.stem}.png"), grey.astype(np.uint16) * 3 + 100)
    for name in ("train_mask.csv", "test_a_samplesubmit.csv"):
        (root / name).write_text((drawn / name).read_text().replace(".jpg", ".png"))
    profile = yaml.safe_load((SHIPPED / "tianchi-buildings.yaml").read_text())
    profile["image_spec"] = {"channels": 1, "dtype": "uint16", "scale": 10000}
    (tmp_path / "dark.yaml").write_text(yaml.safe_dump(profile))
    changes = {"competition.profile": str(tmp_path / "dark.yaml"), "competition.root": root, "name": "dark"}
    return override(tiny, changes)


def test_images_that_are_not_8_bit_rgb_are_normalised_by_their_own_statistics(sixteen_bit, tmp_path):
    run = Run.create(sixteen_bit, tmp_path)
    network = open_session(run, 0).network
    train = run.folds().query("fold == 0 and split == 'train'")["id"]
    pixels = np.concatenate(
        [cv2.imread(str(tmp_path / "dark/train" / name), cv2.IMREAD_UNCHANGED).ravel() for name in train]
    )
    assert pixels.dtype == np.uint16
    assert network.mean.flatten().tolist() == pytest.approx([pixels.mean()], rel=1e-5)
    assert network.std.flatten().tolist() == pytest.approx([pixels.std()], rel=1e-5)
    other = open_session(run, 1).network
    assert other.mean.item() != network.mean.item(), "validation images are not looked at"


def test_statistics_are_those_of_the_run_for_ever(sixteen_bit, tmp_path):
    run = Run.create(sixteen_bit, tmp_path)
    expected = open_session(run, 0).network.mean.item()
    fit(run, 0)
    assert load_file(run.path / "fold_0/best.safetensors")["mean"].item() == expected
    for path in sorted((tmp_path / "dark/train").iterdir())[::2]:  # as if the images had changed since
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), image // 2)
    session = open_session(Run.open(run.path), 0)
    session.resume()
    assert session.network.mean.item() == expected


def test_published_weights_keep_their_own_statistics(sixteen_bit, tmp_path):
    rgb = override(sixteen_bit, {"name": "donor", "competition.profile": "tianchi-buildings"})
    from maskfold.models import build_model

    path = tmp_path / "w.pth"
    torch.save(build_model(rgb.model, classes=1).net.encoder.state_dict(), path)
    network = open_session(Run.create(override(sixteen_bit, {"model.encoder_weights": str(path)}), tmp_path), 0).network
    assert network.mean.item() == pytest.approx(10000 * (0.485 + 0.456 + 0.406) / 3)


def test_plain_images_keep_the_encoders_statistics(tiny, tmp_path):
    network = open_session(Run.create(tiny, tmp_path), 0).network
    assert torch.equal(network.mean.flatten(), 255 * torch.tensor([0.485, 0.456, 0.406]))
