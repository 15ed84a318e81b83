"""Files of other channels and values, from the disk to a network's logits."""

import cv2
import numpy as np
import pytest
import torch
import yaml

from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, Config, ModelConfig
from maskfold.datasets import Draw, TrainDataset, build_augmentation, collate_train, image_loader
from maskfold.models import build_model

KINDS = {
    "grey png": ({"channels": 1}, "png", lambda rng, size: rng.integers(0, 256, size, np.uint8)),
    "npy of floats": ({"channels": 5, "dtype": "float32", "scale": 30}, "npy",
                      lambda rng, size: (rng.random((*size, 5)) * 30).astype(np.float32)),
    "npy of 16 bits": ({"channels": 2, "dtype": "uint16"}, "npy",
                       lambda rng, size: rng.integers(0, 65536, (*size, 2)).astype(np.uint16)),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def stored(request, tmp_path):
    """A competition of four training images in two sizes, and the arrays they were written from."""
    spec, suffix, make = KINDS[request.param]
    rng, arrays, rows = np.random.default_rng(8), {}, ["id,rle"]
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
    for number in range(4):
        array = arrays[f"i{number}"] = make(rng, [(40, 48), (52, 33)][number % 2])
        path = tmp_path / f"train/i{number}.{suffix}"
        np.save(path, array) if suffix == "npy" else cv2.imwrite(str(path), array)
        rows.append(f"i{number},5 30 90 {number + 1}")
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "sample.csv").write_text("id,rle\n")
    profile = {
        "layout": "csv", "metric": "dice", "columns": {"id": "id", "mask": "rle"}, "image_spec": spec,
        **{split: {"table": table, "image": f"{split}/{{id}}.{suffix}"}
           for split, table in (("train", "train.csv"), ("test", "sample.csv"))},
    }  # fmt: skip
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(profile))
    return open_competition(CompetitionConfig(profile=str(tmp_path / "p.yaml"), root=tmp_path)), arrays


def test_from_files_to_logits(stored):
    competition, arrays = stored
    samples, images = competition.samples("train"), competition.images
    for sample in samples:
        array = arrays[sample.id]
        np.testing.assert_array_equal(competition.image(sample.image), array if array.ndim == 3 else array[..., None])
        assert competition.size(sample.image) == array.shape[:2]
    network = build_model(ModelConfig(encoder="resnet18", encoder_weights=None), num_classes=1, images=images)
    augment = build_augmentation("heavy", crop=32, images=images)
    dataset = TrainDataset(competition, samples, augment=augment, scale=0.75)
    batch = collate_train([dataset[Draw(1, index, repeat)] for index in range(4) for repeat in (0, 1)])
    assert batch["image"].shape == (8, images.channels, 32, 32)
    logits = network(batch["image"]).logits
    assert logits.shape == batch["targets"]["mask"].shape
    logits.square().mean().backward()
    assert network.net.encoder.conv1.weight.grad.abs().sum() > 0
    config = Config(data={"workers": 0}, inference={"batch_size": 2})
    with torch.inference_mode():
        for batch in image_loader(competition, samples, config):
            whole = np.stack([np.atleast_3d(arrays[name]) for name in batch["id"]]).transpose(0, 3, 1, 2)
            np.testing.assert_array_equal(batch["image"].numpy(), whole)
            assert network.eval()(batch["image"]).logits.isfinite().all()
