"""Statistics of the encoder's batch norms that are kept at the start, or throughout, while its weights learn."""

import pytest
import torch

from maskfold.config import override
from maskfold.errors import ModelError
from maskfold.models import build_model
from maskfold.runs import Run
from maskfold.training import fit
from maskfold.training.session import open_session


def encoder(state, ending):
    return {name: value for name, value in state.items() if ".encoder." in name and name.endswith(ending)}


@pytest.mark.slow
def test_statistics_stay_throughout_while_weights_learn(tiny, tmp_path):
    weights = tmp_path / "encoder.pth"
    torch.save(build_model(tiny.model, classes=1).net.encoder.state_dict(), weights)
    changes = {"optim.freeze_statistics_epochs": "all", "averaging.ema": 0.5, "train.epochs": 1}
    changes |= {"model.encoder_weights": str(weights)}
    run = Run.create(override(tiny, changes), tmp_path)
    begun = {name: value.clone() for name, value in open_session(run, 0).network.state_dict().items()}
    fit(run, 0)
    for checkpoint in ("best", "ema"):
        found = run.fold(0).load_checkpoint(checkpoint)
        kept = encoder(found, ("running_mean", "running_var", "num_batches_tracked"))
        assert len(kept) > 20
        assert all(torch.equal(value, begun[name]) for name, value in kept.items()), checkpoint
        assert any(not torch.equal(value, begun[name]) for name, value in encoder(found, ".weight").items())
        assert any(value.any() for name, value in found.items() if ".decoder." in name and "running_mean" in name)


def test_statistics_move_after_the_epochs_that_keep_them(tiny, tmp_path):
    session = open_session(Run.create(override(tiny, {"optim.freeze_statistics_epochs": 2}), tmp_path), 0)
    images = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)
    for epoch, moves in ((1, False), (2, False), (3, True)):
        before = {name: value.clone() for name, value in session.network.state_dict().items()}
        session.train_step.begin_epoch(epoch)
        session.network(images)
        after = session.network.state_dict()
        changed = [name for name in encoder(after, "running_mean") if not torch.equal(after[name], before[name])]
        assert bool(changed) == moves, epoch
        assert any("decoder" in name and not torch.equal(after[name], before[name]) for name in after)
        assert all(parameter.requires_grad for parameter in session.network.parameters())


def test_encoders_without_batch_norm_are_refused(tiny):
    model = tiny.model.model_copy(update={"encoder": "tu-test_convnext", "options": {}})
    with pytest.raises(ModelError, match=r"optim\.freeze_statistics_epochs is set, but the encoder has no batch norm"):
        build_model(model, classes=1).freeze_statistics()
