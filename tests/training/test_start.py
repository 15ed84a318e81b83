"""What a fold starts from: another run's network or encoder, without a leak; statistics of its own images."""

import shutil

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.conftest import TINY

from maskfold.competitions.profile import SHIPPED
from maskfold.config import load_config, override
from maskfold.errors import ConfigError, ModelError, RunError, TrainingError
from maskfold.models import build_model
from maskfold.runs import Run
from maskfold.training import Callback, fit
from maskfold.training.session import open_session
from maskfold.training.start import refuse_random_encoder


@pytest.fixture(scope="module")
def first(drawn, tmp_path_factory):
    """A run with its folds 0 and ``all`` trained."""
    config = load_config(None, {**TINY, "competition.root": drawn, "train.epochs": 1}, name="first")
    run = Run.create(config, tmp_path_factory.mktemp("first"))
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
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy, ignore=shutil.ignore_patterns("folds.csv"))
    with pytest.raises(TrainingError, match=r"there is no .*folds\.csv, so it is not known"):
        start(override(tiny, {"name": "second", "model.encoder_weights": str(copy)}), tmp_path)


def test_a_training_goes_on_without_the_files_it_started_from(first, tiny, tmp_path):
    path = tmp_path / "encoder.safetensors"
    path.write_bytes((first.path / "fold_0/best.safetensors").read_bytes())
    config = override(tiny, {"name": "second", "model.encoder_weights": str(path)})
    run = Run.create(config, tmp_path)

    with pytest.raises(KeyboardInterrupt):
        fit(run, 0, [Kill()])
    path.unlink()
    fit(Run.open(run.path), 0)
    path.write_bytes((first.path / "fold_0/best.safetensors").read_bytes())
    whole = Run.create(override(config, {"name": "whole"}), tmp_path)
    fit(whole, 0)
    resumed, straight = (r.fold(0).load_checkpoint("best") for r in (run, whole))
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


class Kill(Callback):
    """Breaks a training off after its first epoch."""

    def on_epoch(self, session):
        if session.epoch == 1:
            raise KeyboardInterrupt


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


def test_published_weights_keep_their_own_statistics(sixteen_bit, tmp_path, caplog):
    rgb = override(sixteen_bit, {"name": "donor", "competition.profile": "tianchi-buildings"})
    path = tmp_path / "w.pth"
    torch.save(build_model(rgb.model, classes=1).net.encoder.state_dict(), path)
    network = open_session(Run.create(override(sixteen_bit, {"model.encoder_weights": str(path)}), tmp_path), 0).network
    assert network.mean.item() == pytest.approx(10000 * (0.485 + 0.456 + 0.406) / 3)
    (said,) = (record.getMessage() for record in caplog.records if "image_spec" in record.getMessage())
    assert "image_spec.scale is 10000" in said, "of values around 500"
    open_session(Run.create(override(sixteen_bit, {"name": "random"}), tmp_path), 0)
    assert sum("image_spec" in record.getMessage() for record in caplog.records) == 1


def test_an_encoder_of_another_run_leaves_images_their_own_statistics(sixteen_bit, tmp_path):
    """It learned on images that were normalised by their statistics, as these are by theirs."""
    donor = Run.create(override(sixteen_bit, {"name": "donor", "seed": 3}), tmp_path)
    encoder = open_session(donor, 0).network
    donor.fold(0).save_checkpoint("best", encoder.state_dict())
    for path in (tmp_path / "dark/train").iterdir():  # since then they became darker
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) // 2)
    plain, taught = (
        open_session(Run.create(override(sixteen_bit, changes), tmp_path / "later"), 0).network
        for changes in ({"name": "plain"}, {"name": "taught", "model.encoder_weights": f"{donor.path}/fold_0/best"})
    )
    assert parts(taught.state_dict(), encoder.state_dict()) == (True, False)
    assert (taught.mean.item(), taught.std.item()) == (plain.mean.item(), plain.std.item())
    assert plain.mean.item() < 0.6 * encoder.mean.item()


def test_a_runs_encoder_keeps_the_order_of_its_channels(tiny, tmp_path):
    """Published filters are for red, green and blue; a run's are for channels as its images have them."""
    profile = yaml.safe_load((SHIPPED / "tianchi-buildings.yaml").read_text())
    profile["image_spec"] = {"rgb": [2, 1, 0]}  # JPEGs that somebody wrote with red and blue exchanged
    (tmp_path / "bgr.yaml").write_text(yaml.safe_dump(profile))
    config = override(tiny, {"name": "first", "competition.profile": str(tmp_path / "bgr.yaml")})
    donor = Run.create(config, tmp_path)
    fit(donor, 0)
    trained = donor.fold(0).load_checkpoint("best")
    path = tmp_path / "w.pth"
    torch.save({name.removeprefix("net."): trained[name] for name in encoder_of(trained)}, path)

    def first_convolution(name, weights):
        run = Run.create(override(config, {"name": name, "model.encoder_weights": str(weights)}), tmp_path)
        return open_session(run, 0).network.state_dict()["net.encoder.features.0.0.weight"]

    kept = trained["net.encoder.features.0.0.weight"]
    assert torch.equal(first_convolution("second", donor.path), kept)
    assert torch.equal(first_convolution("third", path), kept.flip(1))


def test_plain_images_keep_the_encoders_statistics(tiny, tmp_path):
    network = open_session(Run.create(tiny, tmp_path), 0).network
    assert torch.equal(network.mean.flatten(), 255 * torch.tensor([0.485, 0.456, 0.406]))


def encoder_of(state):
    """Parameters and buffers: the running statistics and their counters, too."""
    return {name: value for name, value in state.items() if ".encoder." in name}


@pytest.fixture
def weights(tiny, tmp_path):
    """A file of the tiny config's encoder, as if it were pretrained."""
    torch.save(build_model(tiny.model, classes=1).net.encoder.state_dict(), tmp_path / "encoder.pth")
    return str(tmp_path / "encoder.pth")


@pytest.mark.parametrize("key", ["optim.freeze_encoder_epochs", "optim.freeze_statistics_epochs"])
def test_a_random_encoder_is_not_kept_as_it_is(key, tiny, weights, tmp_path):
    """What is frozen must have come from somewhere; a pack, which names no file, can be predicted all the same."""
    with pytest.raises(ConfigError, match=rf"{key} is all, but .*model\.encoder_weights"):
        fit(Run.create(override(tiny, {key: "all"}), tmp_path), 0)
    for kept in ({key: 1}, {key: "all", "model.encoder_weights": weights}, {key: "all", "model.init_from": weights}):
        refuse_random_encoder(override(tiny, kept))


def test_an_encoder_that_is_frozen_throughout_is_at_the_end_what_it_was(tiny, weights, tmp_path):
    changes = {"optim.freeze_encoder_epochs": "all", "model.encoder_weights": weights}
    changes |= {"optim.weight_decay": 0.5, "averaging.ema": 0.5}
    run = Run.create(override(tiny, {**changes, "name": "frozen"}), tmp_path)
    begun = open_session(run, 0)
    expected = {name: value.clone() for name, value in begun.network.state_dict().items()}
    fit(run, 0)
    for checkpoint in ("best", "ema"):
        found = run.fold(0).load_checkpoint(checkpoint)
        assert len(encoder_of(found)) > 50
        assert all(torch.equal(value, expected[name]) for name, value in encoder_of(found).items()), checkpoint
        assert any(not torch.equal(value, expected[name]) for name, value in found.items() if ".decoder." in name)
    state = run.fold(0).load_state()
    kept = state["optimizers"]["network"]["state"]
    others = begun.network.other_parameters()
    assert len(kept) == len(others)
    assert sorted(tuple(values["exp_avg"].shape) for values in kept.values()) == sorted(tuple(p.shape) for p in others)


def test_a_frozen_training_resumes_bit_for_bit(tiny, weights, tmp_path):
    changes = {"optim.freeze_encoder_epochs": "all", "model.encoder_weights": weights}
    straight = Run.create(override(tiny, {**changes, "name": "straight"}), tmp_path)
    fit(straight, 0)
    broken = Run.create(override(tiny, {**changes, "name": "broken"}), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, 0, [Kill()])
    fit(broken, 0)
    expected, found = (run.fold(0).load_checkpoint("best") for run in (straight, broken))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_how_long_an_encoder_is_frozen_is_a_number_or_all(tiny):
    for value in (-1, "some", 1.5):
        with pytest.raises(ConfigError, match="freeze_encoder_epochs"):
            override(tiny, {"optim.freeze_encoder_epochs": value})
    frozen = override(tiny, {"optim.freeze_encoder_epochs": 2}).optim.encoder_frozen
    assert [frozen(epoch) for epoch in (1, 2, 3)] == [True, True, False]
