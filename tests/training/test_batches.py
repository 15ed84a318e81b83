"""Batches that ``auto`` stands for: on a GPU by trying, elsewhere by pixels."""

from types import SimpleNamespace

import pytest
import torch

from maskfold.config import Config
from maskfold.errors import TrainingError
from maskfold.training import batches
from maskfold.training.batches import by_pixels, filled, prediction_batch, training_batch


class Trial:
    """A trial on a device with room for so many images."""

    def __init__(self, device, images, room=0, sizes=((256, 256),), **config):
        self.device = torch.device(device)
        self.images, self.room, self.asked = images, room, []
        competition = SimpleNamespace(size=lambda place: sizes[place])
        self.session = SimpleNamespace(config=Config(**config), competition=competition)
        self.samples = [SimpleNamespace(image=place) for place in range(len(sizes))]

    def train(self, images):
        self.asked.append(images)
        if images > self.room:
            raise torch.OutOfMemoryError

    predict = train

    def settle(self):
        pass

    def free(self):
        pass


@pytest.mark.parametrize(("side", "images"), [(64, 32), (128, 32), (224, 8), (256, 8), (257, 4), (512, 2), (800, 1)])
def test_pixels_of_a_batch_on_a_cpu(side, images):
    assert by_pixels(side**2) == images


@pytest.mark.parametrize(("largest", "used"), [(64, 64), (99, 64), (63, 56), (20, 16), (10, 8), (8, 7), (3, 2), (1, 1)])
def test_what_is_used_of_what_fits(largest, used):
    assert filled(largest, 64) == used


def test_a_training_batch_by_the_rule():
    assert training_batch(Trial("cpu", 1000, data={"crop": 256})) == 8
    assert training_batch(Trial("cpu", 1000, data={"crop": 1024})) == 4, "batch norm"
    assert training_batch(Trial("cpu", 200, data={"crop": 64})) == 8, "small ones are small enough"
    assert training_batch(Trial("cpu", 1000, data={"crop": 64})) == 25, "forty steps in an epoch"
    assert training_batch(Trial("cpu", 1000, data={"crop": 64}, train={"accumulate": 2})) == 12
    assert training_batch(Trial("cpu", 200, data={"crop": 64}, train={"accumulate": 4})) == 5, "ten"
    assert training_batch(Trial("cpu", 12, data={"crop": 64})) == 4


def test_a_gpus_memory_is_tried():
    found = Trial("cuda", 5000, room=40, data={"crop": 512})
    assert training_batch(found) == 32  # nine tenths of what was found below 40, in eights
    assert max(found.asked) > 40
    assert training_batch(Trial("cuda", 5000, room=500)) == 64
    assert training_batch(Trial("cuda", 1200, room=500)) == 30
    assert prediction_batch(Trial("cuda", 5000, room=6)) == 5
    assert prediction_batch(Trial("cuda", 5000, room=500)) == batches.GPU_MOST


def test_a_gpu_without_room_for_one_image_is_refused():
    for batch in (training_batch, prediction_batch):
        with pytest.raises(TrainingError, match=r"not even one image .* lower data\.crop .* model\.encoder"):
            batch(Trial("cuda", 5000, room=0))


def test_prediction_on_a_cpu_counts_the_largest_image_after_scale():
    sizes = ((100, 100), (512, 512), (300, 200))
    assert prediction_batch(Trial("cpu", 50, sizes=sizes)) == 2
    assert prediction_batch(Trial("cpu", 50, sizes=sizes, data={"scale": 0.5})) == 8
    assert prediction_batch(Trial("cpu", 50, sizes=sizes, tta={"window": 128})) == 32
