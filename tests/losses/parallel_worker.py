"""One process of the data-parallel test: `parallel_worker.py RANK WORLD FOLDER`.

Every process first computes each loss alone on the whole batch, then with `DistributedDataParallel` on its
share of the images, and writes values and gradients of both to FOLDER/RANK.pt.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from maskfold.losses import LOSSES

REGION = [
    (name, options | {"aggregation": aggregation})
    for name in ("jml", "dml", "ctl")
    for aggregation in "DIC"
    for options in ({}, {"classes": "all"})
]
SPECS = [
    ("bce", {"pos_weight": 2.0}),
    ("cross_entropy", {"class_weights": [1.0, 2.0, 0.5, 3.0]}),
    ("focal", {}),
    ("dice", {"per_image": False}),
    ("dice", {"per_image": True}),
    ("jaccard", {"per_image": False}),
    ("tversky", {"per_image": False, "alpha": 0.3, "gamma": 2.0}),
    *REGION,
]
CHANNELS = {"bce": [1], "cross_entropy": [4]}


def problem(channels: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Five images: unlike numbers of valid pixels, one void, a class in one image only."""
    g = torch.Generator().manual_seed(channels)
    images, target = torch.randn(5, 3, 8, 8, generator=g), torch.randint(0, 2, (5, 8, 8), generator=g)
    if channels > 1:
        target[3, :4] = 3
        target[1, 2] = 2
    valid = torch.ones(5, 8, 8, dtype=torch.bool)
    valid[0, :5], valid[2, 1], valid[4] = False, False, False
    return images, target if channels > 1 else target[:, None].float(), valid


def network(channels: int) -> torch.nn.Module:
    torch.manual_seed(9)
    return torch.nn.Conv2d(3, channels, 3, padding=1)


def step(model, loss, images, target, valid) -> list[torch.Tensor]:
    value = loss(model(images), target, valid)
    value.backward()
    return [value.detach(), *(parameter.grad for parameter in model.parameters())]


def main(rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    jobs = [
        (f"{name} {options} {channels}", LOSSES[name]("binary" if channels == 1 else "multiclass", **options), channels)
        for name, options in SPECS
        for channels in CHANNELS.get(name, [1, 4])
    ]
    alone = {key: step(network(channels), loss, *problem(channels)) for key, loss, channels in jobs}
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    share = slice(0, 2) if rank == 0 else slice(2, 5)
    together = {}
    for key, loss, channels in jobs:
        batch = [part[share] for part in problem(channels)]
        together[key] = step(DistributedDataParallel(network(channels)), loss, *batch)
    # Validation may give the processes unlike numbers of batches: nothing may be exchanged then.
    if rank == 0:
        with torch.no_grad():
            images, target, valid = problem(1)
            jobs[0][1](network(1)(images), target, valid)
    torch.save({"alone": alone, "together": together}, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
