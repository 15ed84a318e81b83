"""Adversarial training: what the second network learns, what the first one gets from it, and what stays as it was."""

import logging
from itertools import islice

import numpy as np
import pytest
import torch
from tests.clouds import clouds_config, write_clouds
from tests.conftest import draw_scene

from maskfold.config import override
from maskfold.errors import ConfigError
from maskfold.models import Outputs
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.steps.predict import predict
from maskfold.training import Callback, fit
from maskfold.training.adversarial import scaled_truth, verdict_loss
from maskfold.training.session import open_session

SECTION = {"adversarial.weight": 0.5, "adversarial.width": 4, "adversarial.lr": 0.002}


@pytest.fixture
def begin(tmp_path):
    """``begin(config, name, changes)``: a session whose first epoch has begun."""

    def open_fold(config, name="a", changes=()):
        session = open_session(Run.create(override(config, {"name": name, **dict(changes)}), tmp_path), 0)
        session.seed_epoch(1)
        session.train_step.begin_epoch(1)
        return session

    return open_fold


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def trained(session, steps=3):
    """The network's weights after some batches, and what was told of them."""
    told = [session.train_step(batch) for batch in islice(session.data.train, steps)]
    return weights(session.network), told


def test_a_true_class_gets_at_least_nine_tenths_and_the_others_share_the_rest():
    found = scaled_truth(torch.tensor([[1.0, 1, 0, 0]]), torch.tensor([[0.3, 0.95, 0.3, 0.04]]), exclusive=False)
    assert found.tolist() == [pytest.approx([0.9, 0.95, 0.1, 0.04])]
    predicted = torch.tensor([[0.2, 0.5, 0.3], [0.02, 0.95, 0.03], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    truth = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    expected = [[0.9, 0.1 * 5 / 8, 0.1 * 3 / 8], [0.02, 0.95, 0.03], [0, 1, 0], [0, 0.1, 0.9]]
    found = scaled_truth(truth, predicted, exclusive=True)
    assert torch.allclose(found, torch.tensor(expected), atol=1e-6)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_soft_truth_is_the_mean_of_the_hard_ones(exclusive):
    predicted = torch.rand(5, 3, 4, 6).softmax(1)
    truth = torch.tensor([0.7, 0.0, 0.3]).view(3, 1, 1).expand_as(predicted)
    hard = [torch.zeros_like(predicted).index_fill(1, torch.tensor([k]), 1) for k in (0, 2)]
    first, second = (scaled_truth(one, predicted, exclusive=exclusive) for one in hard)
    found = scaled_truth(truth, predicted, exclusive=exclusive)
    assert torch.allclose(found, 0.7 * first + 0.3 * second, atol=1e-6)
    if exclusive:
        assert torch.allclose(found.sum(1), torch.ones(5, 4, 6))


def test_verdicts_count_by_their_pixels():
    """Two patches of 8 x 8; all of the first and a quarter of the second count."""
    verdicts, valid = torch.tensor([[[[2.0, -1.0]]]]), torch.ones(1, 1, 8, 16, dtype=torch.bool)
    valid[..., 2:, 8:] = False
    of = [torch.nn.functional.binary_cross_entropy_with_logits(v, torch.ones(())) for v in verdicts.flatten()]
    assert verdict_loss(verdicts, valid, true=True).item() == pytest.approx((of[0] + 0.25 * of[1]).item() / 1.25)
    flipped = verdict_loss(-verdicts, valid, true=False)
    assert flipped == verdict_loss(verdicts, valid, true=True)
    assert verdict_loss(verdicts, torch.zeros_like(valid), true=True) == 0


def guessing(session, guess, monkeypatch):
    """Let the network's logits be ``guess(target)``, a leaf; returns the list of those that it made."""
    made = []

    def supervise(batch):
        made.append(guess(batch["targets"]["mask"]).requires_grad_())
        return Outputs(made[-1], {}), made[-1].sum() * 0, {}

    monkeypatch.setattr(session.train_step, "supervise", supervise)
    return made


def test_the_discriminator_learns_to_tell_the_truth_from_a_wrong_prediction(tiny, begin, monkeypatch):
    """A confident prediction that is the truth upside down: only the image tells which of the two is true."""
    session = begin(tiny, changes={**SECTION, "adversarial.width": 8, "adversarial.lr": 0.01})
    step, rng = session.train_step, np.random.default_rng(0)
    step.lr_factor = lambda: 1.0
    guessing(session, lambda target: 20 * target.flip(2) - 10, monkeypatch)
    scenes = [draw_scene(rng, 40, 32, buildings=4) for _ in range(12)]
    images = torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image, _ in scenes]))
    masks = torch.from_numpy(np.stack([mask[None] for _, mask in scenes])).float()
    batch = {"image": images[:8], "targets": {"mask": masks[:8]}, "valid": masks[:8] >= 0}
    told = [step(batch)["discriminator"].item() for _ in range(50)]
    assert told[0] == pytest.approx(0.69, abs=0.03)
    assert told[-1] < 0.3
    # Scenes that it has not seen.
    shown = session.network.normalised(images[8:])
    believed = [step.discriminator(shown, mask).mean().item() for mask in (masks[8:], masks[8:].flip(2))]
    assert believed[0] > believed[1] + 2


@pytest.mark.parametrize("classes", [1, 3])
def test_what_does_not_count_has_no_gradient_and_gives_no_clue(tiny, streets, begin, monkeypatch, classes):
    session = begin(tiny if classes == 1 else streets[0], changes={**SECTION, "train.batch_size": 2})
    batch = next(iter(session.data.train))
    batch["valid"][:, :, 5:21, :17] = False
    batch["valid"][0] = False
    targets, valid = batch["targets"], batch["valid"]
    logits = torch.linspace(-3, 3, 2 * classes * 32 * 32).sin().view(2, classes, 32, 32)
    made = guessing(session, lambda target: logits.clone(), monkeypatch)
    first = session.train_step.learn(batch)
    gradient = made[0].grad
    hidden = ~valid.expand_as(gradient)
    assert not gradient[hidden].any()
    assert (gradient[~hidden] != 0).float().mean() > 0.9
    # Whatever is predicted and whatever the table says there.
    other = torch.where(valid if classes == 1 else valid[:, 0], targets["mask"], 1)
    guessing(session, lambda target: torch.where(valid, logits, 7.0), monkeypatch)
    second = session.train_step.learn({**batch, "targets": {"mask": other}})
    assert first == second
    predicted, true = session.train_step._masks(made[0], targets["mask"], valid)
    assert not predicted[hidden].any()
    assert not true[hidden].any(), "the same for both"


def test_neither_network_gets_gradients_of_the_others_loss(tiny, begin, monkeypatch):
    session = begin(tiny, changes={**SECTION, "train.accumulate": 2})
    step, original, seen = session.train_step, session.accelerator.backward, []

    def gradients(module):
        return torch.cat([torch.zeros(1) if p.grad is None else p.grad.flatten() for p in module.parameters()])

    def backward(loss):
        before = {name: gradients(module) for name, module in step.modules.items()}
        original(loss)
        after = {name: gradients(module) for name, module in step.modules.items()}
        seen.append([name for name in before if not torch.equal(before[name], after[name])])

    monkeypatch.setattr(session.accelerator, "backward", backward)
    step(next(iter(session.data.train)))
    assert seen == [["network"], ["discriminator"]]


def test_without_weight_or_before_its_epoch_the_network_learns_as_alone(tiny, begin):
    plain, told = trained(begin(tiny))
    for name, changes in (("zero", {"adversarial.weight": 0}), ("later", {**SECTION, "adversarial.from_epoch": 2})):
        session = begin(tiny, name, changes)
        start = weights(session.train_step.discriminator)
        same, terms = trained(session)
        assert torch.equal(same, plain), name
        assert terms == told
        assert torch.equal(weights(session.train_step.discriminator), start)
    session = begin(tiny, "now", SECTION)
    start = weights(session.train_step.discriminator)
    assert not torch.equal(trained(session)[0], plain)
    assert not torch.equal(weights(session.train_step.discriminator), start)


def test_the_weight_grows_and_the_rate_follows_the_schedule(tiny, begin):
    step = begin(tiny, changes={**SECTION, "adversarial.ramp_epochs": 2, "train.epochs": 4}).train_step
    reached = []
    for epoch in (1, 2, 3):
        step.begin_epoch(epoch)
        reached.append(step.weight)
    assert reached == [0.25, 0.5, 0.5]
    step.lr_factor = lambda: 0.125
    step(next(iter(begin(tiny, "b").data.train)))
    assert step.optimizers["discriminator"].param_groups[0]["lr"] == pytest.approx(0.125 * 0.002)
    assert step.optimizers["network"].param_groups[-1]["lr"] == pytest.approx(0.125 * 0.01)


def test_gradients_are_clipped_to_the_norm(tiny, begin):
    """One step down the gradient itself, at rate 1: it is as long as the gradient, and no longer than asked."""
    changes = {
        "optim.name": "momentum",
        "optim.options": {"momentum": 0.0},
        "optim.lr": 1.0,
        "optim.weight_decay": 0,
        "optim.encoder_lr_factor": 1,
        "schedule.name": "constant",
        "schedule.warmup": 0,
    }
    moved = []
    for name, norm in (("free", None), ("clipped", 0.01)):
        session = begin(tiny, name, {**changes, "optim.clip_norm": norm})
        before = weights(session.network)
        moved.append((trained(session, steps=1)[0] - before).norm().item())
    assert moved[0] > 0.02
    assert moved[1] == pytest.approx(0.01, rel=1e-3)


OTHERS = [{"train.precision": "bf16"}, {"optim.freeze_encoder_epochs": 1}, {"optim.name": "lookahead_adamw"}]


@pytest.mark.parametrize("changes", OTHERS, ids=str)
def test_it_goes_with_other_options(tiny, begin, changes):
    session = begin(tiny, changes={**SECTION, **changes})
    modules = session.train_step.modules
    encoder = weights(session.network.net.encoder)
    before = {name: weights(module) for name, module in modules.items()}
    for terms in trained(session)[1]:
        assert all(value.isfinite() for value in terms.values())
    assert all(not torch.equal(weights(module), before[name]) for name, module in modules.items())
    assert torch.equal(weights(session.network.net.encoder), encoder) == ("optim.freeze_encoder_epochs" in changes)


def test_several_classes_exclusive_or_not(streets, begin, tmp_path):
    config, _ = streets
    write_clouds(tmp_path / "clouds")
    for name, several, classes in (("m", config, 3), ("l", clouds_config(tmp_path / "clouds"), 4)):
        session = begin(several, name, {**SECTION, "train.batch_size": 2})
        assert session.train_step.discriminator.of_mask.in_channels == classes
        (told,) = trained(session, steps=1)[1]
        assert told["discriminator"].item() == pytest.approx(0.69, abs=0.1)
        assert told["adversarial"].isfinite()


def test_fp16s_scaler_follows_both_optimisers(tiny, begin):
    """Scales that double with each step are powers of two: exact, so the weights are those of training without one."""
    changes = {
        **SECTION,
        "train.accumulate": 2,
        "train.batch_size": 2,
        "optim.clip_norm": 0.5,
        "train.precision": "fp32",
    }
    ends = []
    for name in ("plain", "scaled"):
        session = begin(tiny, name, changes)
        if name == "scaled":
            scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1)
            session.accelerator.scaler, session.accelerator.native_amp = scaler, True
            session.accelerator.state._mixed_precision = "fp16"
        trained(session, steps=6)
        ends.append([weights(module) for module in session.train_step.modules.values()])
    assert scaler.get_scale() == 1024 * 2**3
    for plain, scaled in zip(*ends, strict=True):
        assert torch.equal(plain, scaled)


class StopAfterTwo(Callback):
    """Ends a training after its second epoch."""

    def on_epoch(self, session):
        return "enough" if session.epoch == 2 else None


def tensors(optimizer):
    for state in optimizer["state"].values():
        yield from state.values()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_both_networks_learn_in_half_precision_on_a_gpu(tiny, begin, precision):
    session = begin(tiny, changes={**SECTION, "train.precision": precision, "optim.clip_norm": 1.0})
    before = {name: weights(module) for name, module in session.train_step.modules.items()}
    told = trained(session)[1]
    assert all(value.isfinite() for terms in told for value in terms.values())
    assert all(not torch.equal(weights(m), before[name]) for name, m in session.train_step.modules.items())


@pytest.mark.slow
def test_a_fold_is_logged_resumed_and_predicts(tiny, tmp_path, monkeypatch):
    changes = {
        **SECTION,
        "adversarial.from_epoch": 2,
        "train.epochs": 3,
        "averaging.ema": 0.8,
        "train.oof_checkpoints": 1,
        "inference.checkpoint": "ema",
    }
    whole = Run.create(override(tiny, {**changes, "name": "whole"}), tmp_path)
    fit(whole, 0)
    table = read_epochs(whole.fold(0))
    assert table["adversarial"].isna().tolist() == table["discriminator"].isna().tolist() == [True, False, False]
    expected = 0.8 * table["bce"] + 0.2 * table["dice"] + 0.5 * table["adversarial"].fillna(0)
    assert table["loss"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-5)
    run = Run.create(override(tiny, {**changes, "name": "parts"}), tmp_path)
    assert fit(run, 0, [StopAfterTwo()])["epochs"] == 2
    assert fit(run, 0)["epochs"] == 3
    kinds = ("best", "ema")
    assert [run.fold(0).digest(kind) for kind in kinds] == [whole.fold(0).digest(kind) for kind in kinds]
    ours, theirs = ([*tensors(r.fold(0).load_state()["optimizers"]["discriminator"])] for r in (run, whole))
    assert len(ours) == 3 * 10, "step and two moments of five weights and biases each"
    assert all(map(torch.equal, ours, theirs))
    assert not [key for kind in kinds for key in whole.fold(0).load_checkpoint(kind) if "discriminator" in key]
    monkeypatch.chdir(tmp_path)
    assert predict(run).read_bytes() == predict(whole).read_bytes() != b""


def test_an_epoch_that_never_comes_is_refused_and_one_that_comes_late_is_told(tiny, begin, caplog):
    with pytest.raises(ConfigError, match=r"adversarial\.from_epoch is 3 and training has 2 epochs, so it would never"):
        begin(tiny, changes={**SECTION, "adversarial.from_epoch": 3})
    with caplog.at_level(logging.WARNING, "maskfold"):
        begin(tiny, changes={**SECTION, "adversarial.ramp_epochs": 8})
    assert caplog.messages == [
        "adversarial.weight reaches only 25 % of 0.5: from_epoch 1 and 8 ramp_epochs do not fit in 2 epochs"
    ]
