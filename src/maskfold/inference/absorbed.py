"""Batch norms as part of the convolutions before them: one pass less over each of a network's maps."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

ANY_IMAGE = 64  # pixels a side: what follows what is the same for all sizes


class _Scaled(NamedTuple):
    """A convolution with the scale and the shift of the batch norm behind it.

    Attributes:
        original: the weight that is replaced.
        weight, bias: what replaces it, in the type of autocast.
        norm: running mean of the batch norm.
    """

    original: Tensor
    weight: Tensor
    bias: Tensor
    norm: Tensor


class AbsorbedBatchNorms(TorchFunctionMode):
    """A network that computes each batch norm in the convolution whose output nothing else sees."""

    def __init__(self, model: nn.Module, convolutions: Sequence[_Scaled]) -> None:
        super().__init__()
        self.convolutions = {id(scaled.original): scaled for scaled in convolutions}
        self._model = model
        self._outputs: dict[int, Tensor] = {}  # of a norm that is to come: what its convolution returned

    def __call__(self, images: Tensor) -> Any:
        """What the network returns; one whose way depends on the images keeps its batch norms from then on."""
        with self:
            found = self._model(images)
        if not self._outputs:
            return found
        self.convolutions, self._outputs = {}, {}
        return self._model(images)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.conv2d and not kwargs and (scaled := self.convolutions.get(id(args[1]))):
            output = func(args[0], scaled.weight, scaled.bias, *args[3:])
            self._outputs[id(scaled.norm)] = output
            return output
        if func is F.batch_norm and len(args) > 1 and self._outputs.get(id(args[1])) is args[0]:
            return self._outputs.pop(id(args[1]))
        return func(*args, **kwargs)


@torch.inference_mode()
def absorb_batch_norms(model: nn.Module, images: Tensor, precision: torch.dtype) -> AbsorbedBatchNorms:
    """What follows what in a network in evaluation mode, found by a look at a small image; the network stays as it is.

    Scale and shift of a batch norm are those of its statistics now: y = (x - mean) / sqrt(variance + eps) * w + b, for
    x = conv(image), is one convolution (Markuš, "Fusing batch normalization and convolution in runtime", 2018). It is
    rounded once where two layers round twice.

    Args:
        model: on the CPU.
        images: (N, K, h, w), such as it predicts; of these only their type and number of channels matter.
        precision: type of autocast.
    """
    seen = _Calls()
    with seen:
        model(images.new_zeros(1, images.shape[1], ANY_IMAGE, ANY_IMAGE))
    return AbsorbedBatchNorms(model, seen.scaled(precision))


class _Norm(NamedTuple):
    """Arguments of `torch.nn.functional.batch_norm`."""

    input: Tensor
    running_mean: Tensor | None
    running_var: Tensor | None
    weight: Tensor | None = None
    bias: Tensor | None = None
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5


class _Calls(TorchFunctionMode):
    """Watches which batch norms see the output of a convolution, and who else does."""

    def __init__(self) -> None:
        super().__init__()
        self._weights: Counter[int] = Counter()
        self._norms: Counter[int] = Counter()
        self._uses: Counter[int] = Counter()
        # Of an output's id, the output, which is held here so that no other has this id, and weight and bias.
        self._convolutions: dict[int, tuple[Tensor, Tensor, Tensor | None]] = {}
        self._followed: list[_Norm] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if not _only_asks(output):
            self._uses.update(id(value) for value in _tensors((args, kwargs)) if id(value) in self._convolutions)
        if func is F.batch_norm and len(args) > 1:
            norm = _Norm(*args, **kwargs)
            self._norms[id(norm.running_mean)] += 1
            if id(norm.input) in self._convolutions and not norm.training:
                self._followed.append(norm)
        if func is torch.conv2d and not kwargs:
            self._weights[id(args[1])] += 1
            if isinstance(args[1], nn.Parameter):  # not one that is computed anew at each call
                self._convolutions[id(output)] = (output, args[1], args[2] if len(args) > 2 else None)
        return output

    def scaled(self, precision: torch.dtype) -> list[_Scaled]:
        """The convolutions that can do the work of the norms that follow them."""
        found = []
        for norm in self._followed:
            _, weight, bias = self._convolutions[id(norm.input)]
            calls = self._uses[id(norm.input)], self._weights[id(weight)], self._norms[id(norm.running_mean)]
            if calls == (1, 1, 1) and norm.running_mean is not None and norm.running_var is not None:
                found.append(_scaled(weight, bias, norm, precision))
        return found


def _scaled(weight: Tensor, bias: Tensor | None, norm: _Norm, precision: torch.dtype) -> _Scaled:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    scale = scale if norm.weight is None else scale * norm.weight
    shift = (0.0 if bias is None else bias) - norm.running_mean
    shift = shift * scale if norm.bias is None else shift * scale + norm.bias
    scaled = weight * scale[:, None, None, None]
    return _Scaled(weight, scaled.to(precision), shift.to(precision), norm.running_mean)


def _only_asks(output: Any) -> bool:
    """Whether a call neither computed nor changed anything: a size, a number of dimensions, a type."""
    return output is not None and not _tensors(output)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return []
    return [tensor for each in value for tensor in _tensors(each)]
