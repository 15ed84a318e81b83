import torch

from maskfold.training.finite import FirstBroken


def test_the_first_broken_batch_is_named():
    for value in (float("nan"), float("inf"), -float("inf")):
        broken = FirstBroken()
        assert broken.ids() == []
        broken.look(["a", "b"], torch.tensor(0.5))
        assert broken.ids() == []
        broken.look(["c"], torch.tensor(value))
        broken.look(["d"], torch.tensor(1.0))
        broken.look(["e"], torch.tensor(float("nan")))
        assert broken.ids() == ["c"]
