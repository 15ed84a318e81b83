"""Weights from files: an encoder's from anywhere, a whole network's from a run. Nothing is ever unpickled."""

import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from maskfold.errors import ModelError
from maskfold.models.wrapper import SegmentationModel

# Where training programs put the weights inside their checkpoints.
CONTAINERS = ("state_dict", "model_state_dict", "model", "net")
# What smp's encoders put before the names that timm and torchvision use.
WRAPPERS = ("", "model.", "model.model.", "features.")


@dataclass(frozen=True)
class LoadReport:
    """What became of a file's tensors. Names are the encoder's, those of ``unexpected`` and ``classifier`` the file's.

    ``classifier``: of fully connected layers that the network has as convolutions outside of its encoder.
    """

    path: Path
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    classifier: tuple[str, ...] = ()

    def __str__(self) -> str:
        wanted = len(self.matched) + len(self.missing) + len(self.mismatched)
        text = f"{self.path}: {len(self.matched)} of the encoder's {wanted} tensors loaded"
        if self.classifier:
            text += f", and {len(self.classifier)} of the classifier"
        for what in ("missing", "mismatched", "unexpected"):
            if names := getattr(self, what):
                text += f"; {what}: {_some(names)}"
        return text


def load_encoder_weights(model: SegmentationModel, path: Path) -> LoadReport:
    """Load the encoder of ``model`` from a ``.safetensors`` or PyTorch file.

    The file may be that of timm, torchvision or an smp encoder, or a whole checkpoint in which the encoder's
    names carry prefixes (``module.``, ``encoder.``, ``backbone.`` …): the prefix that matches most is used.

    Raises:
        ModelError: a file that cannot be read, or that has fewer than half of the encoder's tensors.
    """
    target = model.net.encoder.state_dict()
    source = _read_tensors(Path(path))
    names = _align(source, target)
    classifier = _classifier_tensors(model.net, source)
    source |= {key: _for_channels(source[key], target[name].shape) for name, key in names.items()}
    mismatched = tuple(name for name, key in names.items() if source[key].shape != target[name].shape)
    report = LoadReport(
        path=Path(path),
        matched=tuple(name for name in names if name not in mismatched),
        missing=tuple(name for name in target if name not in names),
        unexpected=tuple(sorted(set(source) - set(names.values()) - set(classifier))),
        mismatched=mismatched,
        classifier=tuple(classifier),
    )
    if 2 * len(report.matched) < len(target):
        raise ModelError(f"{report}: this is not a file of the encoder that model.encoder names")
    with torch.no_grad():
        for name in report.matched:
            target[name].copy_(source[names[name]])
        for key, parameter in classifier.items():
            parameter.copy_(source[key].view_as(parameter))
    return report


def _classifier_tensors(net: Any, source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """File name -> parameter of the network's ``classifier_layers``: a linear layer's weights, seen as a kernel's."""
    return {
        key: parameter
        for layer, module in getattr(net, "classifier_layers", {}).items()
        for name, parameter in module.named_parameters()
        for key in source
        if f".{key}".endswith(f".{layer}.{name}") and source[key].numel() == parameter.numel()
    }


def _for_channels(weights: Tensor, shape: torch.Size) -> Tensor:
    """A first convolution for other channels than red, green and blue, as smp and timm make one.

    See `maskfold.models.encoders.channel_statistics`.
    """
    if weights.ndim != 4 or weights.shape[1] != 3 or (*weights.shape[:1], shape[1], *weights.shape[2:]) != shape:
        return weights
    if shape[1] == 1:
        return weights.sum(1, keepdim=True)
    return weights[:, torch.arange(shape[1]) % 3] * (3 / shape[1])


def load_weights(model: SegmentationModel, source: Mapping[str, Tensor], origin: object) -> None:
    """Load all weights of ``model``, tensors by name; every name and shape must fit.

    Raises:
        ModelError: names and shapes that differ (the first few are listed); ``origin`` is where they are from.
    """
    target = model.state_dict()
    problems = [
        ("missing", [name for name in target if name not in source]),
        ("unexpected", [name for name in source if name not in target]),
        ("of another shape", list(_shape_differences(source, target))),
    ]
    found = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in problems if names)
    if found:
        raise ModelError(
            f"{origin} does not fit this network ({found}): it must come from a run with the same architecture, "
            "encoder and number of classes"
        )
    model.load_state_dict(source)


def _shape_differences(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Iterator[str]:
    for name in source:
        if name in target and source[name].shape != target[name].shape:
            yield f"{name} {tuple(source[name].shape)} instead of {tuple(target[name].shape)}"


def _align(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, str]:
    """Encoder name -> file name, under the prefix (removed from the file's, replaced by ours) that fits best."""
    wanted = {_plain(name): name for name in target}
    candidates = (_match(source, wanted, prefix, wrapper) for prefix in _prefixes(source) for wrapper in WRAPPERS)

    def fitting(names: Mapping[str, str]) -> int:
        return sum(source[key].shape == target[name].shape for name, key in names.items())

    return max(candidates, key=fitting)


def _match(source: Iterable[str], wanted: Mapping[str, str], prefix: str, wrapper: str) -> dict[str, str]:
    plain = ((key, _plain(wrapper + key.removeprefix(prefix))) for key in source if key.startswith(prefix))
    return {wanted[name]: key for key, name in plain if name in wanted}


def _plain(name: str) -> str:
    # timm joins some modules' names by underscores when it extracts features: stages.0 becomes stages_0.
    return name.replace("_", ".")


def _prefixes(keys: Iterable[str]) -> list[str]:
    """Leading parts of the names, up to three deep, shortest first; numbered layers are never a prefix."""
    prefixes = {""}
    for key in keys:
        parts = key.split(".")[:-1]
        for depth in range(1, min(len(parts), 3) + 1):
            if parts[depth - 1].isdigit():
                break
            prefixes.add(".".join(parts[:depth]) + ".")
    return sorted(prefixes, key=lambda prefix: (len(prefix), prefix))


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return _find_tensors(torch.load(path, map_location="cpu", weights_only=True), path)
    except (FileNotFoundError, IsADirectoryError):
        raise ModelError(f"there is no weights file {path}") from None
    except pickle.UnpicklingError:
        raise ModelError(
            f"{path} is damaged or holds Python objects that are not tensors, which could run code and are "
            "not loaded: save its state_dict only"
        ) from None
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise ModelError(f"{path} cannot be read as weights, it may be damaged: {error}") from None


def _find_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for container in CONTAINERS:
            if isinstance(content.get(container), Mapping):
                return _find_tensors(content[container], path)
        return {name: value for name, value in content.items() if isinstance(value, Tensor)}
    raise ModelError(f"{path} holds a {type(content).__name__}, expected a mapping of names to tensors")


def _some(names: Iterable[str], limit: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
