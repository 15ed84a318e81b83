"""Networks whose weights are loaded next: drawing those that a network begins with takes most of its making."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

# All of torch's and timm's distributions come from these. What torch asks a mode about as a whole is named as a whole.
DRAWN = {Tensor.uniform_, Tensor.normal_, Tensor.erfinv_, init.uniform_, init.normal_, init.kaiming_uniform_}


class Blank(TorchFunctionMode):
    """Inside, modules are made with whatever their memory holds in the place of random weights.

    Constants (zeros, ones, buffers that are computed) are as always. The generator of random numbers does not move.
    """

    def __init__(self, ndim: int | None = None) -> None:
        """See the class.

        Args:
            ndim: of the tensors that nothing is drawn for, 2 for those of linear layers; None: of all.
        """
        super().__init__()
        self.ndim = ndim

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in DRAWN:
            tensor = args[0] if args else (kwargs or {})["tensor"]
            if self.ndim in (None, tensor.ndim):
                return tensor
        return func(*args, **(kwargs or {}))
