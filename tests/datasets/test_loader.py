"""Whole images in batches of one size, each exactly once, whatever the number of processes."""

import cv2
import numpy as np
import pytest
from tests.drawn_runs import truth_of

from maskfold.config import override
from maskfold.datasets.loader import image_loader


def batches(config, competition, part="train", **options):
    return list(image_loader(competition, competition.samples(part), config, **options))


def test_batches_hold_one_size_and_every_image_once(config, competition, drawn, truth):
    found = batches(override(config, {"inference.batch_size": 4}), competition)
    assert [len(batch["id"]) for batch in found] == [4, 4, 1, 4, 4, 1]
    assert sorted(name for batch in found for name in batch["id"]) == sorted(truth)
    ids = competition.samples("train").ids
    for batch in found:
        assert len(set(batch["size"])) == 1
        assert batch["image"].dtype.is_floating_point is False
        assert tuple(batch["image"].shape[-2:]) == batch["size"][0]
        for name, index, image, target in zip(
            batch["id"], batch["index"].tolist(), batch["image"], batch["target"], strict=True
        ):
            assert ids[index] == name
            read = cv2.imread(str(drawn / "train" / name))[..., ::-1]
            assert np.array_equal(image.permute(1, 2, 0).numpy(), read), "never augmented"
            assert np.array_equal(target.numpy(), truth[name])


def test_images_to_predict_have_no_truth(config, competition, drawn):
    found = batches(config, competition, "test")
    assert sorted(name for batch in found for name in batch["id"]) == sorted(truth_of(drawn, "test"))
    assert all("target" not in batch for batch in found)


def test_scale_is_the_networks_not_the_truths(config, competition, truth):
    batch = batches(override(config, {"data.scale": 0.5}), competition)[0]
    height, width = batch["size"][0]
    assert tuple(batch["image"].shape[-2:]) == (height // 2, width // 2)
    assert batch["target"][0].shape == truth[batch["id"][0]].shape == (height, width)


@pytest.mark.parametrize("world", [2, 5])
def test_processes_share_the_images(config, competition, truth, world):
    config = override(config, {"inference.batch_size": 2})
    shares = [batches(config, competition, rank=rank, world=world) for rank in range(world)]
    names = [name for share in shares for batch in share for name in batch["id"]]
    assert len(names) == len(set(names)) == len(truth)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
