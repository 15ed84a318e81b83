"""Networks as TorchScript: the net is traced, padding and cropping around it are compiled, so any size goes through."""

import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskfold.errors import ExportError
from maskfold.models.outputs import Outputs
from maskfold.models.wrapper import SegmentationModel, reflection

# The name, inside a TorchScript file, of what it says of itself.
FACTS = "maskfold.json"


def scripted(model: SegmentationModel) -> torch.jit.ScriptModule:
    """``model`` as TorchScript that gives its logits (N, C, H, W) of images (N, K, H, W) of any size.

    Args:
        model: in evaluation mode, on the CPU.

    Raises:
        ExportError: the net cannot be traced.
    """
    size = 3 * max(model.stride, model.minimum)
    images = torch.zeros(2, len(model.mean), size, size - model.stride)
    with _quiet(), torch.no_grad():
        try:
            inner: Any = torch.jit.trace(_OfPadded(model).eval(), images, check_trace=False)
            return torch.jit.script(_AnySize(inner, model.stride, model.minimum).eval())
        except Exception as error:  # the tracer raises whatever the net's own code raises
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise ExportError(f"torch.jit cannot trace this network ({reason}): try --format onnx") from error


def torchscript_bytes(network: nn.Module, images: Tensor, facts: Mapping[str, Any]) -> bytes:
    """A TorchScript file of what is made of `scripted` networks.

    Args:
        network: elementwise on the networks' logits, in evaluation mode.
        images: an example of its input.
        facts: stored in the file as `FACTS`.
    """
    buffer = io.BytesIO()
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(network, images, check_trace=False)
        # Frozen, so that layers which the nets never use are left out; their arithmetic stays as it is.
        traced = torch.jit.freeze(traced, optimize_numerics=False)
        torch.jit.save(traced, buffer, _extra_files={FACTS: json.dumps(facts, ensure_ascii=False)})
    return buffer.getvalue()


def open_torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    """What a file of `torchscript_bytes` computes, on the CPU."""
    with _quiet():
        return torch.jit.load(str(path), map_location="cpu")


@contextmanager
def _quiet() -> Iterator[None]:
    """TorchScript warns that it is deprecated, and its tracer of every comparison of sizes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _OfPadded(nn.Module):
    """Logits of images whose sides are multiples of the stride, as float32."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        found = self.model.net(self.model.normalised(images))
        return self.model.of_mask(found.logits if isinstance(found, Outputs) else found)


class _AnySize(nn.Module):
    """Padding before and cropping after ``inner``, in the part of Python that TorchScript compiles."""

    def __init__(self, inner: nn.Module, stride: int, minimum: int) -> None:
        super().__init__()
        self.inner, self.stride, self.minimum = inner, stride, minimum

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2], images.shape[-1]
        rows = reflection(height, self.padded(height), images.device)
        columns = reflection(width, self.padded(width), images.device)
        padded = images.index_select(-2, rows).index_select(-1, columns)
        return self.inner(padded)[..., :height, :width]

    def padded(self, size: int) -> int:
        """`maskfold.models.wrapper.padded_size`, whose own form TorchScript lacks."""
        return max(self.minimum, (size + self.stride - 1) // self.stride * self.stride)
