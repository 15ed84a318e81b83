"""The networks of a run on another engine than torch: each checkpoint's ONNX graph, made once and kept beside it."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

import torch
from torch import Tensor, nn

from maskfold import __version__
from maskfold.competitions import Competition
from maskfold.config import TTAConfig
from maskfold.ensembling.same_output import Probabilities, check_same, example_images
from maskfold.errors import ExportError, StorageError
from maskfold.labels import LabelSpec
from maskfold.models.onnx import Named, OnnxNetwork, check_onnx, onnx_bytes
from maskfold.runs import FoldFolder, Run

PACKAGES = ("torch", "onnxscript", "segmentation-models-pytorch", "timm")


def onnx_networks(
    run: Run, checkpoint: str, folds: Sequence[int | str], networks: Sequence[nn.Module], competition: Competition
) -> list[nn.Module]:
    """The ONNX twins of what `maskfold.ensembling.checkpoints.run_networks` loaded, in the same order.

    Raises:
        ExportError: a package of the extra ``export`` is missing, a network cannot be exported, or a twin differs.
    """
    check_onnx()
    images = example_images(competition, run.config.data.scale)
    stored = [(run.fold(fold), name) for fold in folds for name in run.fold(fold).weights_of(checkpoint)]
    return [
        _twin(run, fold, name, network, competition.labels, images)
        for (fold, name), network in zip(stored, networks, strict=True)
    ]


def check_graph(tta: TTAConfig) -> None:
    """Raise an ExportError where prediction asks for what graphs do not hold: dropout, statistics that change."""
    if tta.dropout_passes:
        raise ExportError(f"tta.dropout_passes is {tta.dropout_passes}, and a graph has no dropout: set it to 0")
    if tta.batch_norm_prior is not None:
        raise ExportError(
            f"tta.batch_norm_prior is {tta.batch_norm_prior}, and the batch norms of a graph keep the statistics of "
            "training: set it to null"
        )


def _twin(
    run: Run, fold: FoldFolder, checkpoint: str, network: nn.Module, labels: LabelSpec, images: Sequence[Tensor]
) -> OnnxNetwork:
    """The twin of one checkpoint, from ``fold_k/onnx/``, or made now, compared with the network, and kept there.

    It is kept under a digest of the weights and of what made it, so an old one is never taken for it. Where the run
    cannot be written to, the next prediction makes it again.
    """
    key = fold.key("onnx", f"{checkpoint}-{_tag(run, fold, checkpoint)}.onnx")
    path = run.path / key
    with suppress(FileNotFoundError):
        return OnnxNetwork(fold.storage.read(key), path)
    print(f"Exporting {fold.checkpoint_path(checkpoint)} to ONNX …", flush=True)
    with torch.inference_mode():
        names = list(network(images[0]).named())
    content = onnx_bytes(Named(network, names).eval(), images[0].float(), names)
    twin = OnnxNetwork(content, path)
    for name in names:
        check_same(_probabilities(network, name, labels), _probabilities(twin, name, labels), images, path)
    with suppress(OSError, StorageError):
        fold.storage.publish(key, content)
    return twin


def _probabilities(network: nn.Module, name: str, labels: LabelSpec) -> Probabilities:
    activate = labels.activate if name == "mask" else torch.sigmoid
    return lambda images: activate(network(images).named()[name])


def _tag(run: Run, fold: FoldFolder, checkpoint: str) -> str:
    made_of = [fold.digest(checkpoint), run.config.model.model_dump(mode="json"), __version__, *map(version, PACKAGES)]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
