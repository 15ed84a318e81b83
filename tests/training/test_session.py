"""What a fold's training starts from, counts, saves and finds again."""

import pytest
import torch

from maskfold.config import override
from maskfold.errors import ConfigError, RunError, TrainingError
from maskfold.runs import Run
from maskfold.training import session as module
from maskfold.training.session import mixed_seed, open_session


@pytest.fixture
def begin(tmp_path):
    """``begin(config, fold)``: a session in the run of that config."""

    def open_fold(config, fold=0):
        return open_session(Run.create(config, tmp_path), fold)

    return open_fold


def weights(session):
    return torch.cat([parameter.detach().flatten() for parameter in session.network.parameters()])


def test_the_start_depends_on_the_seed_alone(tiny, begin):
    torch.manual_seed(1)
    first = weights(begin(tiny))
    torch.manual_seed(2)
    assert torch.equal(first, weights(begin(tiny)))
    assert torch.equal(first, weights(begin(tiny, 2))), "every fold starts alike"
    assert not torch.equal(first, weights(begin(override(tiny, {"seed": 1}))))


def test_seeds_do_not_overlap():
    seeds = {mixed_seed(seed, epoch, rank) for seed in range(6) for epoch in range(6) for rank in range(6)}
    assert len(seeds) == 216
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert mixed_seed(3, 1, 4) == mixed_seed(3, 1, 4)


def test_an_epochs_randomness_is_a_function_of_seed_and_epoch(tiny, begin):
    def drawn(session, epoch):
        session.seed_epoch(epoch)
        return torch.rand(3).tolist()

    a, b = begin(tiny), begin(override(tiny, {"name": "b", "seed": 5}))
    second = drawn(a, 2)
    assert drawn(a, 3) != second
    assert drawn(a, 2) == second
    assert drawn(b, 2) != second


# 12 images train in fold 0.
@pytest.mark.parametrize(
    ("changes", "batches", "steps", "epochs", "total"),
    [
        ({"train.batch_size": 5, "train.epochs": 4}, 2, 2, 4, 8),
        ({"train.batch_size": 2, "train.accumulate": 4, "train.epochs": 3}, 4, 1, 3, 3),
        ({"train.batch_size": 2, "train.accumulate": 4, "train.epochs": None, "train.iterations": 5}, 4, 1, 5, 5),
        ({"train.batch_size": 3, "train.epochs": None, "train.iterations": 9}, 4, 4, 3, 9),
        ({"train.batch_size": 3, "train.epoch_images": 30, "train.epochs": 2}, 10, 10, 2, 20),
    ],
)
def test_lengths_in_batches_steps_and_epochs(tiny, begin, changes, batches, steps, epochs, total):
    session = begin(override(tiny, changes))
    length = session.length
    assert (length.batches_per_epoch, length.steps_per_epoch) == (batches, steps)
    assert (length.epochs, length.steps) == (epochs, total)
    # The schedule ends with the last step, wherever in an epoch that is.
    assert length.lr_factor(total - 1) == pytest.approx(tiny.schedule.final_factor)


def test_lengths_that_make_no_step_or_no_cycle_are_refused(tiny, begin):
    with pytest.raises(TrainingError, match=r"an epoch has 3 batches but train\.accumulate is 4"):
        begin(override(tiny, {"train.accumulate": 4}))
    lengths = {"train.epochs": None, "train.iterations": 6, "schedule.name": "snapshot", "schedule.cycles": 3}
    with pytest.raises(TrainingError, match=r"schedule\.cycles is 3 but train\.iterations 6 are 2 epochs"):
        begin(override(tiny, lengths))
    assert begin(override(tiny, {**lengths, "schedule.cycles": 2})).length.cycle_ends == [1, 2]


def test_a_session_is_saved_and_found_whole(tiny, begin):
    config = override(tiny, {"averaging.ema": 0.9, "averaging.swa_start": 0.5, "optim.name": "lookahead_adamw"})
    first = begin(config)
    first.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    step = first.train_step
    step.begin_epoch(1)
    step(next(iter(first.data.train)))
    first.epoch, first.step, first.best, first.seconds = 1, 3, 0.25, 1000.0
    first.history = [{"epoch": 1, "loss": 0.5, "valid_dice": None}]
    first.save()

    second = begin(config)
    second.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    assert not torch.equal(weights(first), weights(second))
    second.resume()
    assert torch.equal(weights(first), weights(second))
    assert second.accelerator.scaler.get_scale() == 16, "it has grown once"
    assert (second.epoch, second.step, second.best, second.history) == (1, 3, 0.25, first.history)
    assert second.elapsed() >= 1000
    ours, theirs = (session.train_step.optimizers["network"].state_dict() for session in (first, second))
    assert ours["state"].keys() == theirs["state"].keys()
    assert torch.equal(ours["state"][0]["exp_avg"], theirs["state"][0]["exp_avg"])
    assert list(second.averages.begun()) == ["ema"], "SWA has not begun"


@pytest.mark.parametrize("scaled", ["before", "after"])
def test_a_fold_goes_on_on_a_device_of_another_precision(tiny, begin, scaled):
    """With ``train.precision: auto`` the T4 of a free session computes in fp16, with fused kernels, others do not."""
    sessions = {
        when: begin(override(tiny, {"name": when, "optim.name": "adamw", "optim.options.fused": when == scaled}))
        for when in ("before", "after")
    }
    sessions[scaled].accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    first, second = sessions["before"], sessions["after"]
    for session in sessions.values():
        session.train_step.begin_epoch(1)
    batch = next(iter(first.data.train))
    first.train_step(batch)
    first.save()
    second.fold.save_state(first.fold.load_state())
    second.resume()
    assert torch.equal(weights(first), weights(second))
    optimizer = second.train_step.optimizers["network"]
    assert [bool(group["fused"]) for group in optimizer.param_groups] == [scaled == "after"] * 4
    former = weights(second)
    second.train_step(batch)
    assert not torch.equal(weights(second), former)
    assert {int(found["step"]) for found in optimizer.state_dict()["state"].values()} == {2}


def test_without_a_state_nothing_is_resumed(tiny, begin):
    session = begin(tiny)
    session.resume()
    assert (session.epoch, session.step, session.best, session.history) == (0, 0, None, [])


def test_a_state_of_another_network_is_refused(tiny, begin):
    session = begin(tiny)
    session.save()
    other = begin(override(tiny, {"name": "wide", "model.options.decoder_channels": [24, 8, 8]}))
    other.fold.save_state(session.fold.load_state())
    with pytest.raises(RunError, match=r"last\.pt does not fit this run \(.*\): train the fold again with --overwrite"):
        other.resume()


def test_precision_follows_the_config_within_one_process(tiny, begin):
    for name, dtype, wanted in (("fp32", None, "no"), ("bf16", torch.bfloat16, "bf16"), ("fp32", None, "no")):
        session = begin(override(tiny, {"train.precision": name}))
        assert session.precision is dtype
        assert session.accelerator.mixed_precision == wanted


def test_another_number_of_processes_goes_on_at_the_same_epoch(tiny, begin, monkeypatch):
    """12 images in batches of 2: 6 steps per epoch alone, 3 with two processes. The schedule ends in both cases."""
    for before, after in ((1, 2), (2, 1)):
        config = override(tiny, {"name": f"world{before}", "train.batch_size": 2, "train.epochs": 4})
        worlds = iter((before, after))
        original = module.fold_data
        monkeypatch.setattr(
            module, "fold_data", lambda *a, world, f=original, w=worlds, **k: f(*a, **{**k, "world": next(w)})
        )
        first = begin(config)
        first.epoch, first.step = 2, first.length.steps_until(2)
        first.save()
        second = begin(config)
        second.resume()
        monkeypatch.setattr(module, "fold_data", original)
        assert first.step == 12 // before
        assert (second.epoch, second.step) == (2, 12 // after)
        assert second.step + 2 * second.length.steps_per_epoch == second.length.steps


def test_decoding_that_does_not_fit_is_refused_before_training(begin, tiny):
    with pytest.raises(ConfigError, match=r"post\.min_area has 2 values \[0, 9\]: give one for all classes"):
        begin(override(tiny, {"post.min_area": [0, 9]}))
