"""Weights from files: an encoder's from anywhere, a whole network's from a run. Nothing is ever unpickled."""

import os
import pickle
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from maskfold.archives import refuse_packed
from maskfold.errors import ModelError, UnsafeArchiveError, first_few, os_reason
from maskfold.models.encoders import colours_of
from maskfold.models.layouts import align
from maskfold.models.wrapper import SegmentationModel

# Where training programs put the weights inside their checkpoints.
CONTAINERS = ("state_dict", "model_state_dict", "model", "net")
# A file with fewer of the encoder's tensors is another network's, unless model.partial_weights says otherwise.
ENOUGH = 0.9
# Counters that old files lack and that nothing is computed from.
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class LoadReport:
    """What became of a file's tensors. Names are the encoder's, those of ``unexpected`` and ``classifier`` the file's.

    Attributes:
        matched: loaded; ``adapted`` of them after a change to the images' channels, their number or order.
        missing: not in the file; they stay as they were.
        mismatched: of another shape in the file; they stay as they were.
        unexpected: in the file, but not the encoder's: a classifier, a decoder …
        classifier: of fully connected layers that the network has as convolutions outside of its encoder.
    """

    path: Path
    matched: tuple[str, ...]
    adapted: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    classifier: tuple[str, ...] = ()

    @property
    def wanted(self) -> int:
        """How many tensors the encoder has, without the counters of old norms that a file may lack."""
        return len(self.matched) + len(self.missing) + len(self.mismatched)

    @property
    def whole(self) -> bool:
        """Whether nothing of the encoder was left as it was."""
        return len(self.matched) == self.wanted

    @property
    def enough(self) -> bool:
        """Whether so much was loaded that the file must be this encoder's."""
        return len(self.matched) >= ENOUGH * self.wanted

    def __str__(self) -> str:
        text = f"{self.path}: {len(self.matched)} of the encoder's {self.wanted} tensors loaded"
        if self.classifier:
            text += f", and {len(self.classifier)} of the classifier"
        for what in ("adapted", "missing", "mismatched", "unexpected"):
            if names := getattr(self, what):
                words = f"{what} to the images' channels" if what == "adapted" else what
                text += f"; {words}: {first_few(names)}"
        return text


def load_encoder_weights(
    model: SegmentationModel, path: Path, *, partial: bool = False, rgb: Sequence[int] = ()
) -> LoadReport:
    """Load the encoder of ``model`` from a ``.safetensors`` or PyTorch file.

    The file may be that of timm, torchvision or an smp encoder, or a whole checkpoint in which the encoder's
    names carry prefixes (``module.``, ``encoder.``, ``backbone.`` …), see `maskfold.models.layouts.align`. A first
    convolution for another number of channels is adapted, or for another order of colours (`for_channels`).

    Args:
        partial: less than 90 % of the encoder's tensors are enough; without any it is refused all the same.
        rgb: the channels of the images that are red, green and blue; empty: the file's are in the images' order.

    Raises:
        ModelError: a file that cannot be read, or that has too few of the encoder's tensors; nothing is loaded then.
    """
    encoder = model.net.encoder
    target = encoder.state_dict()
    source = _read_tensors(Path(path))
    names = align(source, target)
    if _unlike(names, source, target) and (converted := timm_reading(source, encoder)):
        converted_names = align(converted, target)
        if _unlike(converted_names, converted, target) < _unlike(names, source, target):
            source, names = converted, converted_names
    classifier = _classifier_tensors(model.net, source)
    channels = len(model.mean)
    # Grouped convolutions may have as many channels in a group, which are no colours.
    first = {
        f"{name}.weight" for name, layer in encoder.named_modules() if getattr(layer, "in_channels", 0) == channels
    }
    fitted = {
        name: for_channels(source[key], target[name].shape, channels, rgb if name in first else ())
        for name, key in names.items()
    }
    matched = tuple(name for name, tensor in fitted.items() if tensor.shape == target[name].shape)
    report = LoadReport(
        path=Path(path),
        matched=matched,
        adapted=tuple(name for name in matched if fitted[name] is not source[names[name]]),
        missing=tuple(name for name in target if name not in names and not name.endswith(COUNTER)),
        unexpected=tuple(sorted(set(source) - set(names.values()) - set(classifier))),
        mismatched=tuple(name for name in fitted if name not in matched),
        classifier=tuple(classifier),
    )
    if not report.matched or not (report.enough or partial):
        raise ModelError(
            f"{report}: this is not a file of the encoder that model.encoder names (if fewer than {ENOUGH:.0%} are "
            "meant, set model.partial_weights to true)"
        )
    with torch.no_grad():
        for name in report.matched:
            target[name].copy_(fitted[name])
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


def for_channels(weights: Tensor, shape: torch.Size, channels: int, rgb: Sequence[int] = ()) -> Tensor:
    """A first convolution for other image channels; for another number of them as smp and timm make one.

    For one channel the weights (O, K, h, w) are summed over theirs; for any other number each takes those of a colour
    (`maskfold.models.encoders.colours_of`), scaled by K / ``channels``, so that what the layer answers to an even image
    stays nearly the same. Weights of other layers are returned as they are. See
    `maskfold.models.encoders.channel_statistics`.

    Args:
        shape: of the layer, (O, ``channels``, h, w).
        rgb: the channels of the images that are red, green and blue.
    """
    if weights.ndim != 4 or (*weights.shape[:1], channels, *weights.shape[2:]) != tuple(shape):
        return weights
    theirs = weights.shape[1]
    if channels == 1 and theirs > 1:
        return weights.sum(1, keepdim=True)
    colours = colours_of(channels, theirs, rgb)
    return weights if colours == list(range(theirs)) else weights[:, colours] * (theirs / channels)


def timm_reading(source: Mapping[str, Tensor], encoder: nn.Module) -> dict[str, Tensor] | None:
    """A file of a timm encoder as timm's own conversion reads it: names of the authors, position tables resized.

    None where timm knows no conversion, or cannot make sense of the file.
    """
    name = str(getattr(encoder, "name", ""))
    if not timm.is_model(name.partition(".")[0]):
        return None
    with torch.device("meta"):
        whole = timm.create_model(name)
    convert = getattr(sys.modules[type(whole).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return None
    try:
        return {name: value for name, value in convert(dict(source), whole).items() if isinstance(value, Tensor)}
    except Exception:  # made for the files of some authors, it breaks on others in any way
        return None


def _unlike(names: Mapping[str, str], source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> int:
    """How many of the encoder's tensors are missing or of another shape."""
    return sum(name not in names or source[names[name]].shape != target[name].shape for name in target)


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
    found = "; ".join(f"{len(names)} {what}: {first_few(names)}" for what, names in problems if names)
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


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not os.path.isfile(path):
        raise ModelError(f"there is no weights file {path}")
    _refuse_no_weights(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return _find_tensors(torch.load(path, map_location="cpu", weights_only=True), path)
    except (ModelError, MemoryError):
        raise
    except pickle.UnpicklingError:  # its own text advises to switch the safety off
        raise ModelError(
            f"{path} is damaged or holds Python objects that are not tensors, which could run code and are "
            "not loaded: save its state_dict only"
        ) from None
    except Exception as error:  # of a damaged file the unpickler raises whatever it stumbles over
        reason = os_reason(error) if isinstance(error, OSError) else str(error).strip().partition("\n")[0]
        raise ModelError(f"{path} cannot be read as weights, it may be damaged: {reason[:200]}") from None


def _refuse_no_weights(path: Path) -> None:
    """Refuse what a download leaves instead of weights, and an archive that becomes much larger than it is."""
    try:
        with open(path, "rb") as file:
            raw = file.read(512)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {os_reason(error)}") from None
    # A safetensors file begins with a length of eight bytes, which may look like anything, but the last of them are 0.
    start = b"" if 0 in raw[:8] else raw.lstrip().lower()
    for sign, what in (
        (b"<", "a page of the web"),
        (b"version https://git-lfs", "a pointer of Git LFS"),
        (b'{"error', "a server's error"),
    ):
        if start.startswith(sign):
            raise ModelError(
                f"{path} is not a weights file but {what}, saved under its name: download the file itself again"
            )
    if path.suffix != ".safetensors" and raw.startswith(b"PK\x03\x04"):  # as torch.load tells that it is an archive
        try:
            refuse_packed(path)
        except UnsafeArchiveError as error:
            raise ModelError(f"{path} is not loaded: {error}") from None
        except zipfile.BadZipFile:
            raise ModelError(f"{path} cannot be read as weights, it is damaged or cut off: get it again") from None


def _find_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for container in CONTAINERS:
            if isinstance(content.get(container), Mapping):
                return _find_tensors(content[container], path)
        return {name: value for name, value in content.items() if isinstance(value, Tensor)}
    raise ModelError(f"{path} holds a {type(content).__name__}, expected a mapping of names to tensors")
