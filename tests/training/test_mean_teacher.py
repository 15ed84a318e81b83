"""Mean teacher: what images without labels teach, which they are, and what stays as it was."""

import logging
import math
import shutil
from itertools import islice

import pytest
import torch
from tests.clouds import clouds_config, write_clouds

from maskfold.config import override
from maskfold.errors import CompetitionError, ConfigError, TrainingError
from maskfold.models import Outputs
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.training import fit
from maskfold.training.mean_teacher import consistency, ramp_up
from maskfold.training.session import open_session
from maskfold.training.trial import Trial

SECTION = {
    "averaging.ema": 0.8,
    "semi.weight": 0.5,
    "semi.ramp_epochs": 0,
    "semi.threshold": 0.0,
    "semi.unlabelled_per_batch": 3,
}


@pytest.fixture
def begin(tmp_path):
    """``begin(config, name, changes)``: a session whose first epoch has begun."""

    def open_fold(config, name="a", changes=(), fold=0):
        session = open_session(Run.create(override(config, {"name": name, **dict(changes)}), tmp_path), fold)
        session.seed_epoch(1)
        session.train_step.begin_epoch(1)
        return session

    return open_fold


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def trained(session, steps=3):
    """The network's weights after some batches, and what was told of them."""
    told = [session.train_step(batch) for batch in islice(session.data.train, steps)]
    return weights(session.network), told


def test_the_ramp_is_that_of_the_paper():
    for epoch, length in ((1, 8), (3, 8), (7, 8)):
        assert ramp_up(epoch, length) == pytest.approx(math.exp(-5 * (1 - epoch / length) ** 2))
    assert ramp_up(8, 8) == ramp_up(20, 8) == ramp_up(1, 0) == 1


def test_the_term_is_briers_score_of_the_pixels_that_count():
    """Two classes that do not exclude each other, worked out by hand: the second pixel is uncertain in one."""
    expected = torch.tensor([[[[0.95, 0.95]], [[0.1, 0.4]]]])
    found = torch.tensor([[[[0.55, 0.45]], [[0.3, 0.9]]]], requires_grad=True)
    valid = torch.ones(1, 1, 1, 2, dtype=torch.bool)
    term, confident = consistency(found, expected, valid, 0.9, exclusive=False)
    assert term.item() == pytest.approx((0.4**2 + 0.5**2 + 0.2**2) / 4)
    assert confident.item() == pytest.approx(3 / 4)
    term.backward()
    assert found.grad[0, 1, 0, 1] == 0, "hidden by the threshold"
    assert (found.grad != 0).sum() == 3
    everything, confident = consistency(found, expected, valid, 0.0, exclusive=False)
    assert everything.item() == pytest.approx((0.4**2 + 0.5**2 + 0.2**2 + 0.5**2) / 4)
    assert confident == 1
    valid[..., 0] = False
    assert consistency(found, expected, valid, 0.9, exclusive=False)[0].item() == pytest.approx(0.5**2 / 2)
    nothing = consistency(found, expected, torch.zeros_like(valid), 0.9, exclusive=False)
    assert [value.item() for value in nothing] == [0, 0]


def test_exclusive_classes_are_one_decision():
    expected = torch.tensor([0.92, 0.05, 0.03, 0.5, 0.3, 0.2]).view(1, 2, 3).permute(0, 2, 1)[:, :, None]
    found = torch.tensor([0.2, 0.7, 0.1, 0.1, 0.1, 0.8]).view(1, 2, 3).permute(0, 2, 1)[:, :, None]
    term, confident = consistency(found, expected, torch.ones(1, 1, 1, 2, dtype=torch.bool), 0.9, exclusive=True)
    assert term.item() == pytest.approx((0.72**2 + 0.65**2 + 0.07**2) / 2)
    assert confident.item() == 0.5


@pytest.mark.parametrize("more", [{}, {"optim.freeze_encoder_epochs": 2}], ids=str)
def test_without_weight_everything_ends_as_without_the_section(tiny, tmp_path, more):
    ends = []
    for name, changes in (("plain", {"averaging.ema": 0.8}), ("zero", {**SECTION, "semi.weight": 0})):
        run = Run.create(override(tiny, {"name": name, **changes, **more, "train.oof_checkpoints": 1}), tmp_path)
        fit(run, 0)
        ends.append(run.fold(0))
    plain, zero = ends
    for checkpoint in ("best", "ema"):
        assert plain.digest(checkpoint) is None or plain.digest(checkpoint) == zero.digest(checkpoint)
        assert plain.digest(checkpoint) is not None
    assert read_epochs(plain).equals(read_epochs(zero))
    assert "unlabelled_images" not in plain.summary()
    assert zero.summary()["unlabelled_images"] == 5


def test_the_term_pulls_the_network_and_reaches_only_it(tiny, begin):
    plain, _ = trained(begin(tiny, changes={"averaging.ema": 0.8}))
    session = begin(tiny, "now", SECTION)
    step, teacher = session.train_step, session.averages.models["ema"].module
    moved = []
    original = session.averages.after_step

    def after_step(network):
        before = weights(teacher)
        assert torch.equal(before, held[-1]), "only the average moves the teacher"
        original(network)
        held.append(weights(teacher))
        moved.append((before, weights(network), held[-1]))

    held = [weights(teacher)]
    session.averages.after_step = after_step
    found, told = trained(session)
    assert not torch.equal(found, plain)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(map(torch.equal, teacher.buffers(), session.network.buffers())), "statistics are the student's"
    assert step.teacher is teacher
    assert all(terms["consistency"] > 0 and terms["confident"] == 1 for terms in told)
    # The average of step n has the decay min(0.8, (1 + n) / (10 + n)); the first one takes the weights as they are.
    for number, (before, network, after) in enumerate(moved):
        decay = min(0.8, (1 + number) / (10 + number)) if number else 0.0
        assert torch.allclose(after, decay * before + (1 - decay) * network, atol=1e-6)


def test_running_statistics_are_of_the_labelled_images_alone(tiny, begin):
    """They are what the same batch leaves without the others, which batch norms normalise by themselves."""
    plain, semi = begin(tiny, changes={"averaging.ema": 0.8}), begin(tiny, "now", SECTION)
    before, (batch,) = state(semi.network), islice(semi.data.train, 1)
    with torch.no_grad():
        expected = semi.network(batch["unlabelled"]["strong"]).logits
    semi.network.load_state_dict(before)
    seen = []
    semi.network.register_forward_hook(lambda network, given, found: seen.append(found.logits.detach()))
    semi.train_step(batch)
    trained(plain, 1)
    for name, buffer in plain.network.named_buffers():
        assert torch.equal(semi.network.get_buffer(name), buffer), name
    assert any(not torch.equal(buffer, before[name]) for name, buffer in plain.network.named_buffers())
    assert torch.equal(seen[1], expected)


def guessing(step, teacher_says, student_says, monkeypatch):
    """Let teacher and student predict what a test chose.

    Returns the student's logits of both passes, leaves; and the images that were looked at, by whom.
    """
    logits = [each.clone().requires_grad_() for each in student_says]
    passes, seen = iter(logits), []

    def teacher(images):
        seen.append(("teacher", images))
        return teacher_says

    def student(images):
        seen.append(("student", images))
        return Outputs(next(passes), {})

    monkeypatch.setattr(step, "_expected", teacher)
    monkeypatch.setitem(step.wrapped, "network", student)
    return logits, seen


def test_labelled_and_unlabelled_pixels_have_gradients_of_their_own_terms(tiny, begin, monkeypatch):
    session = begin(tiny, changes={**SECTION, "semi.threshold": 0.9})
    step, batch = session.train_step, next(iter(session.data.train))
    says = torch.full((3, 1, 32, 32), 0.97)
    says[:, :, :10] = 0.6
    batch["unlabelled"]["valid"][:, :, :, :4] = False
    student = torch.linspace(-2, 2, 7 * 1024).sin().view(7, 1, 32, 32).split([4, 3])
    (labelled, unlabelled), seen = guessing(step, says, student, monkeypatch)
    told = step.learn(batch)
    shown = dict(seen)  # of the student its second look
    assert torch.equal(shown["teacher"], batch["unlabelled"]["weak"])
    assert torch.equal(shown["student"], batch["unlabelled"]["strong"])
    ours = labelled.detach().clone().requires_grad_()
    loss, _ = step.loss({"mask": ours}, batch["targets"], batch["valid"])
    loss.backward()
    assert torch.equal(labelled.grad, ours.grad)
    p = unlabelled.detach().double().sigmoid()
    counted = torch.zeros(3, 1, 32, 32, dtype=torch.bool)
    counted[:, :, 10:, 4:] = True
    pixels = 3 * 32 * 28
    expected = torch.where(counted, 0.5 * 2 * (p - says.double()) * p * (1 - p) / pixels, 0)
    assert torch.allclose(unlabelled.grad.double(), expected, atol=1e-9)
    assert told["confident"].item() == pytest.approx(22 / 32)
    assert told["loss"].item() == pytest.approx(loss.item() + 0.5 * told["consistency"].item(), abs=1e-6)


def test_the_teacher_sees_the_weak_image_with_the_students_statistics_and_without_noise(tiny, begin):
    session = begin(tiny, changes={**SECTION, "model.dropout": 0.5})
    step = session.train_step
    trained(session, 2)
    batch = next(iter(session.data.train))["unlabelled"]
    found = step._expected(batch["weak"])
    network = step.network
    kept = state(network)
    parameters = dict(session.averages.models["ema"].module.named_parameters())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(parameters[name])
        expected = network.eval()(batch["weak"]).logits.sigmoid()
        strong = network(batch["strong"]).logits.sigmoid()
    assert torch.allclose(found, expected, atol=1e-6)
    assert not torch.allclose(found, strong, atol=1e-2)
    assert not found.requires_grad
    network.load_state_dict(kept)


OTHERS = [
    {"train.precision": "bf16"},
    {"optim.name": "lookahead_adamw", "train.accumulate": 2},
    {"model.deep_supervision": 2, "semi.unlabelled_per_batch": 1},
    {"data.augment": "scale_crop", "data.labelled_share": 0.5},
]


@pytest.mark.parametrize("changes", OTHERS, ids=str)
def test_it_goes_with_other_options(tiny, begin, changes):
    session = begin(tiny, changes={**SECTION, **changes})
    before = weights(session.network)
    after, told = trained(session, 2)
    assert all(value.isfinite() for terms in told for value in terms.values())
    assert not torch.equal(after, before)


def test_single_images_without_labels_are_refused_where_the_network_pools_to_one_pixel(tiny, begin):
    """Advice about train.batch_size would change nothing."""
    network = {"model.architecture": "deeplabv3", "model.options": {"decoder_channels": 16}}
    with pytest.raises(TrainingError, match=r"set semi\.unlabelled_per_batch to 2 or more"):
        begin(tiny, changes={**SECTION, **network, "semi.unlabelled_per_batch": 1})
    session = begin(tiny, "b", {**SECTION, **network, "semi.unlabelled_per_batch": 2})
    assert trained(session, 1)[1][0]["loss"].isfinite()


def test_several_classes_exclusive_or_not(streets, begin, tmp_path):
    write_clouds(tmp_path / "clouds")
    for name, config in (("m", streets[0]), ("l", clouds_config(tmp_path / "clouds"))):
        session = begin(config, name, {**SECTION, "train.batch_size": 2, "data.labelled_share": 0.6})
        (told,) = trained(session, 1)[1]
        assert told["consistency"] > 0
        assert told["confident"] == 1


@pytest.mark.parametrize("fold", [0, 1, 2, "all"])
def test_no_validation_image_is_ever_seen(tiny, drawn, begin, tmp_path, fold):
    """Ids traced through two epochs: a folder that holds all training images adds none of those in the table."""
    root = tmp_path / "c"
    shutil.copytree(drawn, root)
    shutil.copy(drawn / "test_a" / "T001.jpg", root / "train" / "other.jpg")
    changes = {**SECTION, "competition.root": root, "semi.images": ["test", "./train"], "data.labelled_share": 0.4}
    session = begin(tiny, changes={**changes, "train.batch_size": 1}, fold=fold)
    seen, labelled = set(), set()
    for epoch in (1, 2):
        session.data.sampler.epoch = epoch
        for batch in session.data.train:
            seen |= set(batch["unlabelled"]["id"])
            labelled |= {f"train/{name}" for name in batch["id"]}
    valid = {f"train/{name}" for name in session.data.valid_ids}
    assert seen <= set(session.data.unlabelled_ids)
    everything = {f"train/T{n:03d}.jpg" for n in range(18)}
    test = {f"test_a/T{n:03d}.jpg" for n in range(5)}
    assert set(session.data.unlabelled_ids) == (everything - valid - labelled) | test | {"train/other.jpg"}
    assert not valid & (seen | labelled)
    assert not seen & labelled
    assert len(labelled) == round(0.4 * (18 - len(valid)))


def test_images_that_are_not_there_are_told(tiny, drawn, begin, tmp_path):
    with pytest.raises(ConfigError, match=r"names the folder more, and there is no image in .*more: name a folder"):
        begin(tiny, changes={**SECTION, "semi.images": ["more"]})
    with pytest.raises(ConfigError, match=r"semi has no images without labels in .*lower data\.labelled_share"):
        begin(tiny, "b", {**SECTION, "semi.images": []})
    with pytest.raises(CompetitionError, match="not a plain path inside"):
        begin(tiny, "c", {**SECTION, "semi.images": ["../x"]})


def test_what_does_not_go_together_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"semi is set but averaging\.ema is null"):
        override(tiny, {"semi.weight": 1})
    with pytest.raises(ConfigError, match="semi and adversarial are both set"):
        override(tiny, {"semi.weight": 1, "averaging.ema": 0.9, "adversarial.weight": 1})


def test_a_ramp_that_does_not_fit_is_told(tiny, begin, caplog):
    with caplog.at_level(logging.WARNING, "maskfold"):
        begin(tiny, changes={**SECTION, "semi.ramp_epochs": 4})
    assert caplog.messages == ["semi.weight reaches only 29 % of 0.5: 4 ramp_epochs do not fit in 2 epochs"]


def test_a_trial_keeps_the_number_of_images_without_labels(tiny, tmp_path, monkeypatch):
    trial = Trial(Run.create(override(tiny, {**SECTION, "name": "t"}), tmp_path))
    sizes = []
    monkeypatch.setattr(
        trial.session, "train_step", lambda batch: sizes.append((len(batch["id"]), len(batch["unlabelled"]["id"])))
    )
    trial.train(9)
    assert sizes == [(9, 3)] * 2
