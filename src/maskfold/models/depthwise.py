"""Depthwise convolutions on CPUs: their gradients in bf16 take up to seventy times as long as in float32."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def quick_depthwise(images: Tensor) -> AbstractContextManager[object]:
    """Inside, networks that learn from ``images`` on a CPU, under autocast, compute some convolutions in float32.

    These are depthwise ones with kernels larger than 3 or with a stride, for whose gradients in bf16 oneDNN has no
    quick kernels; the others, and predictions, are as quick in bf16. Outputs are of autocast's type as before. Compiled
    networks stay as they are.
    """
    learning = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    if learning and images.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        return _DepthwiseInFloat32()
    return nullcontext()


class _DepthwiseInFloat32(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is not torch.conv2d or kwargs or not _is_slow(*args) or _is_repeated():
            return func(*args, **(kwargs or {}))
        floats = [value.float() if isinstance(value, Tensor) else value for value in args]
        with torch.autocast("cpu", enabled=False):
            return func(*floats).to(torch.get_autocast_dtype("cpu"))


def _is_repeated() -> bool:
    """Whether this is part of a `torch.utils.checkpoint`, which is computed once more, and then outside of the mode."""
    # A private name, but torch has no public question for it.
    return torch._C._autograd._top_saved_tensors_default_hooks(False) is not None  # pyright: ignore[reportAttributeAccessIssue]


def _is_slow(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
) -> bool:
    """Whether the gradients of a `torch.conv2d` of these arguments are slow in bf16."""
    depthwise = 1 < groups == weight.shape[0] == image.shape[1]
    return depthwise and (max(weight.shape[2:]) > 3 or stride not in (1, (1, 1)))
