"""Training with a presence head: two steps, going on, averages, starting from it, prediction."""

import numpy as np
import pytest
import torch

from maskfold.competitions import open_competition
from maskfold.config import override
from maskfold.errors import ConfigError, ModelError
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.steps.predict import predict
from maskfold.steps.tune import tune
from maskfold.training import Callback, fit
from maskfold.training.session import open_session

HEAD = {"presence.linear.weight", "presence.linear.bias"}


@pytest.fixture
def config(tiny):
    keys = {
        "model.presence": True,
        "model.deep_supervision": 1,
        "averaging.ema": 0.5,
        "averaging.swa_start": 0.4,
        "averaging.bn_batches": 2,
        "train.oof_checkpoints": 3,
        "tta.views": "none",
    }
    return override(tiny, keys)


class StopAfterOne(Callback):
    def on_epoch(self, session):
        return "enough" if session.epoch == 1 else None


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_heads(config, tmp_path):
    whole, parted = (Run.create(override(config, {"name": name}), tmp_path) for name in ("whole", "parted"))
    fit(whole, 0)
    assert fit(parted, 0, [StopAfterOne()])["epochs"] == 1
    assert fit(parted, 0)["epochs"] == 2
    for name in ("best", "ema", "swa"):
        first, second = (run.fold(0).load_checkpoint(name) for run in (whole, parted))
        assert set(first) >= HEAD
        assert all(torch.equal(first[key], second[key]) for key in first)
    ends = [whole.fold(0).load_checkpoint(name)["presence.linear.weight"] for name in ("best", "ema", "swa")]
    assert not torch.equal(ends[0], ends[1])
    for name in ("best", "ema", "swa"):
        stores = [run.fold(0).oof(name) for run in (whole, parted)]
        assert len(stores[0].ids()) == 6
        for image_id in stores[0].ids():
            first, second = (store.presence(image_id) for store in stores)
            assert np.array_equal(first, second)
            assert 0 < first[0] < 1
    table = read_epochs(whole.fold(0))
    assert {"presence_bce", "deep_1_bce", "deep_1_dice"} <= set(table)
    pixels = sum(share * (0.8 * table[f"{p}bce"] + 0.2 * table[f"{p}dice"]) for p, share in (("", 1), ("deep_1_", 0.4)))
    assert table["loss"].to_numpy() == pytest.approx(pixels + 0.1 * table["presence_bce"], abs=1e-5)


def test_a_run_starts_from_heads_too(config, tmp_path):
    config = override(config, {"train.epochs": 1, "averaging.ema": None, "train.oof_checkpoints": 1})
    first = Run.create(config, tmp_path)
    fit(first, 0)
    keys = {"name": "second", "model.init_from": str(first.path)}
    network = open_session(Run.create(override(config, keys), tmp_path), 0).network
    weights = first.fold(0).load_checkpoint("best")
    assert all(torch.equal(network.state_dict()[key], weights[key]) for key in HEAD)
    without = override(config, {**keys, "name": "third", "model.presence": False})
    with pytest.raises(ModelError, match=r"2 unexpected: presence\.linear"):
        open_session(Run.create(without, tmp_path), 0)


def test_a_gate_without_a_head_is_refused_before_training(tiny, tmp_path):
    gated = override(tiny, {"post.presence": 0.3})
    with pytest.raises(ConfigError, match=r"presence asks for .* set post\.presence to 0"):
        fit(Run.create(gated, tmp_path), 0)
    assert not (tmp_path / "tiny" / "fold_0" / "last.pt").exists()
    term = override(tiny, {"loss": [{"name": "bce"}, {"name": "bce", "output": "presence"}], "name": "term"})
    with pytest.raises(ConfigError, match=r"of the output presence.*model\.presence: true makes presence"):
        fit(Run.create(term, tmp_path), 0)


@pytest.fixture(scope="module")
def half_empty(tmp_path_factory):
    """Bright ground and dark ground: buildings stand on the dark one only, and half of the images are bright."""
    import cv2
    from tests.conftest import draw_scene, reference_rle

    root, rng = tmp_path_factory.mktemp("half") / "data", np.random.default_rng(8)
    lines = {"train": [], "test_a": []}
    for part, count in (("train", 24), ("test_a", 6)):
        (root / part).mkdir(parents=True)
        for number in range(count):
            image, mask = draw_scene(rng, *[(48, 40), (40, 56)][number % 2], buildings=3)
            if number % 4 < 2:  # the same red blocks, which are no buildings on bright ground
                image, mask = np.where(mask[..., None] == 1, image, image // 3 + 150).astype(np.uint8), 0 * mask
            name = f"{part}{number:02d}.jpg"
            cv2.imwrite(str(root / part / name), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            lines[part].append(f"{name}\t{reference_rle(mask) if part == 'train' else ''}\n")
    (root / "train_mask.csv").write_text("".join(lines["train"]))
    (root / "test_a_samplesubmit.csv").write_text("".join(lines["test_a"]))
    return root


@pytest.mark.slow
def test_from_drawn_images_to_a_gated_submission(config, half_empty, tmp_path, monkeypatch, capsys):
    """The head learns which images are empty; tuned or asked for, the gate empties masks of the submission."""
    monkeypatch.chdir(tmp_path)
    keys = {"competition.root": half_empty, "train.epochs": 20, "train.oof_checkpoints": 1, "folds.count": 2}
    keys |= {"averaging.ema": None, "averaging.swa_start": None, "optim.lr": 0.004, "model.encoder": "resnet18"}
    config = override(config, keys)
    run = Run.create(config, tmp_path / "runs")
    competition = open_competition(config.competition)
    labels = {
        s.id: competition.label(s.masks, competition.size(s.image)).values.any() for s in competition.samples("train")
    }
    fit(run, 0)
    store = run.fold(0).oof("best")
    found = {image_id: float(store.presence(image_id)[0]) for image_id in store.ids()}
    there, empty = ([p for i, p in found.items() if labels[i] == kind] for kind in (True, False))
    assert len(there) > 3
    assert len(empty) > 3
    assert np.mean(there) > np.mean(empty) + 0.2, (there, empty)
    choice = tune(run)
    told = capsys.readouterr().out
    assert (f"presence {choice.post.presence}, threshold" in told) == (choice.post.presence > 0)
    ungated = predict(run, overrides={"post.presence": 0})
    every = predict(run, overrides={"post.presence": 1})
    assert ungated != every
    assert all(line.endswith("\t") for line in every.read_text().splitlines())
    assert not all(line.endswith("\t") for line in ungated.read_text().splitlines())
