"""Each of the networks that smp lacks learns four demo tiles by heart.

Tiles of 512 pixels are drawn, and from the four that allow it best a window of 64x64 is cut of which about half are
roofs: at stride 32 these are 2x2 scores, the fewest that can outline a roof. Encoders are small and have batch norm
where that is free, since nothing is pretrained, and there is no dropout. Budget: the steps below, at most 80, which are
about a minute of one core for all of them together.
"""

import cv2
import numpy as np
import pytest
import torch
from torch.optim.swa_utils import update_bn

from maskfold.demo import make_demo
from maskfold.labels import LabelSpec
from maskfold.losses import build_loss, default_loss
from maskfold.rle import rle_decode

pytestmark = pytest.mark.slow
SIDE = 64
# architecture -> encoder, options, steps of Adam
NETWORKS = {
    "fcn32s": ("vgg11_bn", {"width": 64, "dropout": 0.0}, 60),
    "fcn16s": ("vgg11_bn", {"width": 64, "dropout": 0.0}, 35),
    "fcn8s": ("vgg11_bn", {"width": 64, "dropout": 0.0}, 30),
    "fcn_resnet50": ("resnet50", {}, 15),
    "segnet": ("vgg11_bn", {}, 15),
    "unet_original": ("own", {"width": 8, "dropout": 0.0}, 80),
    "deeplabv1": ("vgg11_bn", {"width": 64, "dropout": 0.0}, 20),
    "deeplabv2": ("resnet18", {}, 15),
    "refinenet": ("resnet18", {"width": 32, "dropout": 0.0}, 20),
}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Images uint8 (4, 3, 64, 64) and masks float32 (4, 1, 64, 64) of windows of which about half are roofs."""
    folder = tmp_path_factory.mktemp("data") / "demo"
    make_demo(folder, train_tiles=20, test_tiles=5, tile=512)
    windows = []
    for row in (folder / "train_mask.csv").read_text().splitlines():
        name, rle = row.split("\t")
        image, mask = cv2.imread(str(folder / "train" / name))[..., ::-1], rle_decode(rle, (512, 512))
        places = [(y, x) for y in range(0, 449, 16) for x in range(0, 449, 16)]
        off, (y, x) = min((abs(mask[y : y + SIDE, x : x + SIDE].mean() - 0.5), (y, x)) for y, x in places)
        windows.append((off, image[y : y + SIDE, x : x + SIDE], mask[y : y + SIDE, x : x + SIDE]))
    chosen = sorted(windows, key=lambda window: window[0])[:4]
    images = torch.from_numpy(np.stack([image.transpose(2, 0, 1) for _, image, _ in chosen]))
    return images, torch.from_numpy(np.stack([mask[None] for *_, mask in chosen])).float()


def dice(logits, masks):
    """Of each tile."""
    found = (logits > 0).float()
    return 2 * (found * masks).sum((1, 2, 3)) / (found + masks).sum((1, 2, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_four_tiles_are_learned(build, tiles, name):
    encoder, options, steps = NETWORKS[name]
    images, masks = tiles
    model = build(name, encoder, **options).train()
    labels = LabelSpec("binary", ("building",))
    loss = build_loss(default_loss(labels), labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    valid = torch.ones_like(masks, dtype=torch.bool)
    for _ in range(steps):
        value, _ = loss(model(images).named(), {"mask": masks}, valid)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    with torch.no_grad():
        update_bn([images], model)  # 25 steps are too few for running averages
        scores = dice(model.eval()(images).logits, masks)
    assert scores.mean() > 0.95, scores
