"""An ensemble as one file that other programs run: images in, probabilities out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskfold import __version__
from maskfold.competitions import Competition
from maskfold.ensembling.checkpoints import run_networks
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.engines import check_graph
from maskfold.ensembling.finished import folds_of
from maskfold.ensembling.same_output import Probabilities, check_same, example_images
from maskfold.errors import ExportError
from maskfold.files import atomic_path
from maskfold.inference.merge import Merge, build_merge
from maskfold.models.onnx import Named, check_onnx, onnx_bytes, open_session
from maskfold.models.torchscript import open_torchscript, scripted, torchscript_bytes
from maskfold.runs import Run

INPUT, OUTPUT = "images", "probabilities"


class EnsembleNetwork(nn.Module):
    """Images (N, K, H, W) -> probabilities float32 (N, C, H, W), merged as prediction merges them, without views.

    Args:
        networks: of each run, modules that return logits.
        shares: of each run, the weight of each network; they need not sum to 1.
        weights: of the runs; they sum to 1.
        merge: of the networks of one run.
    """

    def __init__(
        self,
        networks: Sequence[Sequence[nn.Module]],
        shares: Sequence[Sequence[float]],
        weights: Sequence[float],
        merge: Merge,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(nn.ModuleList(of_run) for of_run in networks)
        self.shares = [[share / sum(of_run) for share in of_run] for of_run in shares]
        self.weights, self.merge = weights, merge

    def forward(self, images: Tensor) -> Tensor:
        runs = [self._run(*part, images) for part in zip(self.networks, self.shares, strict=True)]
        return _weighted(runs, self.weights)

    def _run(self, networks: Any, shares: Sequence[float], images: Tensor) -> Tensor:
        votes = [self.merge.vote(network(images).float()) for network in networks]
        return self.merge.finish(_weighted(votes, shares))


def _weighted(maps: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    return torch.stack([each * weight for each, weight in zip(maps, weights, strict=True)]).sum(0)


class Logits(nn.Module):
    """A network's logits alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.named = Named(network, ["mask"])

    def forward(self, images: Tensor) -> Tensor:
        return self.named(images)[0]


@dataclass(frozen=True)
class Written:
    """An exported file: what was seen when it was compared with the networks."""

    path: Path
    networks: int
    difference: float


def export_ensemble(
    choice: EnsembleChoice,
    runs: Sequence[Run],
    competition: Competition,
    path: Path,
    *,
    form: str,
    folds: Sequence[int | str] | None = None,
) -> Written:
    """Write the mean of an ensemble's networks, and compare the file with them on a real image at two sizes.

    The file takes images (N, K, H, W) as `maskfold.datasets` makes them (uint8; int32 for 16-bit images; float32), at
    the runs' ``data.scale``, their pixels of the size that a profile's ``pixel_size`` wants, and gives probabilities
    float32 (N, C, H, W). Normalisation and padding are inside, views and decoding are not.

    Args:
        choice: checkpoints, weights of the runs, ``tta.merge``.
        runs: of the choice, in its order.
        competition: theirs.
        path: the file to write; it appears only if it agrees with the networks.
        form: ``onnx`` or ``torchscript``.
        folds: of each run; `None`: those that predict.

    Raises:
        ExportError: what cannot be one file, or not in this form; a file that differs from the networks.
        RunError: weights that are missing or damaged.
    """
    if form == "onnx":
        check_onnx()
    scale = _scale(runs, choice)
    loaded = [
        run_networks(run, part.checkpoint, folds_of(run, folds), competition)
        for run, part in zip(runs, choice.runs, strict=True)
    ]
    shares = [of_run for _, of_run in loaded]
    merge = build_merge(choice.tta.merge, competition.labels)

    def together(wrap: Callable[[Any], nn.Module]) -> EnsembleNetwork:
        wrapped = [[wrap(network) for network in networks] for networks, _ in loaded]
        return EnsembleNetwork(wrapped, shares, choice.weights, merge).eval()

    facts = _facts(choice, runs, competition, folds, [networks for networks, _ in loaded])
    images = example_images(competition, scale)
    with atomic_path(path) as temporary:
        temporary.write_bytes(
            onnx_bytes(together(Logits), images[0], [OUTPUT], facts)
            if form == "onnx"
            else torchscript_bytes(together(scripted), images[0], facts)
        )
        difference = check_same(together(Logits), read_exported(temporary), images, path)
    return Written(path, sum(map(len, shares)), difference)


def read_exported(path: Path) -> Probabilities:
    """What an exported file computes, as a function of tensors.

    Raises:
        ExportError: onnxruntime is missing, or cannot read the file.
    """
    if path.suffix == ".onnx":
        session = open_session(path.read_bytes(), path)
        return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])
    return open_torchscript(path)


def _scale(runs: Sequence[Run], choice: EnsembleChoice) -> float:
    """The runs' ``data.scale``; refuses what is not one function of an image."""
    check_graph(choice.tta)
    if choice.stack is not None:
        raise ExportError(
            "tuning chose a stack of the runs, and a file gives their weighted mean: tune with --tune.stacking false"
        )
    if choice.tta.merge == "vote":
        raise ExportError(
            "tta.merge is vote, and a file gives probabilities, not shares of votes: set tta.merge to probabilities or "
            "logits"
        )
    if any(any(run.config.data.label_shift) for run in runs):
        raise ExportError(
            "data.label_shift is set, and a file does not move its maps to where the competition's masks are: predict "
            "with the run, or with a pack of it"
        )
    scales = {run.config.data.scale for run in runs}
    if len(scales) > 1:
        raise ExportError(
            f"the runs see images at several scales (data.scale {', '.join(map(str, sorted(scales)))}), a file at one: "
            "export the runs one by one"
        )
    return scales.pop()


def _facts(
    choice: EnsembleChoice,
    runs: Sequence[Run],
    competition: Competition,
    folds: Sequence[int | str] | None,
    networks: Sequence[Sequence[Any]],
) -> dict[str, Any]:
    """What the file says of itself: classes, images, and how it was made; names of runs, no places."""
    labels, images, sizes = competition.labels, competition.images, competition.profile.pixel_size
    return {
        "maskfold": __version__,
        "torch": torch.__version__,
        "task": labels.task,
        "class_names": list(labels.class_names),
        "channels": images.channels,
        "scale": images.scale,
        "data_scale": runs[0].config.data.scale,
        "pixel_size": None if sizes is None else sizes.wanted,
        "stride": max(int(network.stride) for of_run in networks for network in of_run),
        "merge": choice.tta.merge,
        "made_of": [
            {
                "run": run.name,
                "checkpoint": part.checkpoint,
                "weight": weight,
                "architecture": run.config.model.architecture,
                "encoder": run.config.model.encoder,
                "sha256": {
                    f"fold_{fold}/{name}": run.fold(fold).digest(name)
                    for fold in folds_of(run, folds)
                    for name in run.fold(fold).weights_of(part.checkpoint)
                },
            }
            for run, part, weight in zip(runs, choice.runs, choice.weights, strict=True)
        ],
    }
