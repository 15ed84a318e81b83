"""Monte Carlo dropout: noise for the networks' dropout at prediction, drawn image by image."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor, nn

from maskfold.errors import ModelError

WHOLE_CHANNELS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
Dropout = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d


def check_dropout(models: Sequence[nn.Module]) -> None:
    """Refuse networks whose passes would all be the same.

    Raises:
        ModelError: one of them has no dropout.
    """
    if not all(map(_dropouts, models)):
        raise ModelError(
            "tta.dropout_passes is above 0, but a network has no dropout, so that all its passes would be the same: "
            "set it to 0, or train with model.dropout above 0"
        )


def noise_seed(*key: object) -> int:
    """A seed of 64 bits for such a key; numbers and texts, the same on every machine."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "big")


@contextmanager
def dropped(model: nn.Module, seeds: Sequence[int]) -> Iterator[None]:
    """Inside, the dropout of ``model``, which is in evaluation mode otherwise, drops (Gal & Ghahramani, ICML 2016).

    Image ``i`` of N draws from a generator of its own, begun afresh from ``seeds[i]`` whenever the network is called,
    dropout after dropout. So its noise does not depend on the other images, their number or their order, nor on the
    device: it is drawn on the CPU. A network that is called with several windows of each image, one place of all
    images after the other, drops the same in all windows of an image.
    """
    noise = _Noise(seeds)
    hooks = [model.register_forward_pre_hook(noise.begin)]
    hooks += [module.register_forward_hook(noise.drop) for module in _dropouts(model)]
    try:
        # A network that was compiled would pass over hooks that came later.
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _dropouts(model: nn.Module) -> list[Dropout]:
    return [module for module in model.modules() if isinstance(module, Dropout) and module.p > 0]


class _Noise:
    """What the hooks share: a generator of each image, and how many rows the batch has."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = seeds
        self.generators: list[torch.Generator] = []
        self.rows = 0

    def begin(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.rows = len(inputs[0])
        self.generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]

    def drop(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        """The output, which in evaluation is the input, times 0 or 1 / (1 - p)."""
        kept = 1 - float(module.p)  # pyright: ignore[reportArgumentType]
        channels = output.shape[1:] if not isinstance(module, WHOLE_CHANNELS) else output.shape[1:2]
        # Where a network cuts maps into parts, those of an image are neighbours along the first axis.
        shape = (len(output) // self.rows, *channels)
        mask = torch.stack([torch.empty(shape).bernoulli_(kept, generator=each) for each in self.generators])
        mask = mask.repeat(self.rows // len(self.seeds), *[1] * len(shape)).flatten(0, 1) / (kept or 1)
        mask = mask.reshape(*mask.shape, *[1] * (output.ndim - mask.ndim))
        return output * mask.to(output.device, output.dtype)
