"""Batch norm that is adapted to the images that are predicted: their statistics, mixed with those of training.

Images that look otherwise than those of training (another camera, another city) shift what every layer sees, and batch
norms go on subtracting the means of training. After Schneider, Rusak, Eck, Bringmann, Brendel & Bethge, "Improving
robustness against common corruptions by covariate shift adaptation" (NeurIPS 2020, arXiv 2006.16971), mean and variance
of each batch norm become ``N / (N + n)`` of those of training and ``n / (N + n)`` of those of the n images that are
predicted: the statistics of training count as N images.

The paper adapts to each batch, so that what is predicted depends on what stands beside an image. Here the statistics
are those of all images, taken in one pass before anything is predicted. While it goes on, each batch norm works with
the mix of training and of what has gone through it so far, so that a deep layer sees what it will see in prediction.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from maskfold.config import TTAConfig
from maskfold.errors import ModelError
from maskfold.inference.window import window_logits

# Images that go through the networks together while statistics are taken: always as many, whatever memory would hold,
# so that the statistics are a function of the images alone.
TOGETHER = 8


def check_batch_norm(models: Sequence[nn.Module]) -> None:
    """Refuse networks that have nothing to adapt.

    Raises:
        ModelError: one of them has no batch norm that keeps statistics.
    """
    if not all(any(_batch_norms(model)) for model in models):
        raise ModelError(
            "tta.batch_norm_prior is set, but a network has no batch norm whose statistics could be those of the "
            "images that are predicted: set it to null"
        )


@torch.inference_mode()
def adapt_batch_norm(
    models: Sequence[nn.Module],
    loader: Iterable[Mapping[str, Any]],
    *,
    tta: TTAConfig,
    device: torch.device,
    precision: torch.dtype | None = None,
) -> None:
    """Mix the statistics of all images of ``loader`` into those of the networks' batch norms, in place.

    Images are seen in one view, at their own scale, and in windows where ``tta.window`` says so; n then counts windows.

    Args:
        models: networks with the statistics of training. They are moved to ``device``.
        loader: batches with image (N, K, h, w), of at most `TOGETHER`; each batch and their order decide the last bits.
        tta: ``batch_norm_prior`` is N.
        device, precision: as for `maskfold.inference.predict.predict_batches`.

    Raises:
        ModelError: as `check_batch_norm`.
    """
    assert tta.batch_norm_prior is not None
    check_batch_norm(models)
    with ExitStack() as stack:
        for model in models:
            model.eval().to(device)
            for _, module in _batch_norms(model):
                hook = module.register_forward_pre_hook(_Mixed(module, tta.batch_norm_prior))
                stack.callback(hook.remove)
        for batch in loader:
            images = batch["image"].to(device)
            with torch.autocast(device.type, dtype=precision, enabled=precision is not None):
                for model in models:
                    _look(model, images, tta)


def batch_norm_statistics(model: nn.Module) -> dict[str, Tensor]:
    """Means and variances of a network's batch norms, on the CPU: what `torch.nn.Module.load_state_dict` takes."""
    return {
        f"{name}.{kind}": getattr(module, kind).cpu()
        for name, module in _batch_norms(model)
        for kind in ("running_mean", "running_var")
    }


def _look(model: nn.Module, images: Tensor, tta: TTAConfig) -> None:
    if tta.window is None:
        model(images)
        return

    def logits(part: Tensor) -> Tensor:
        return model(part).logits

    window_logits(logits, images, window=tta.window, overlap=tta.overlap, batch_size=TOGETHER)


def _batch_norms(model: nn.Module) -> Iterator[tuple[str, _BatchNorm]]:
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            yield name, module


class _Mixed:
    """Hook before a batch norm: its statistics become the mix of training and of all that it was given so far.

    Sums are kept on the CPU in float64, since not every accelerator has it.
    """

    def __init__(self, module: _BatchNorm, prior: int) -> None:
        self.prior = prior
        self.count = 0
        self.training = self._state(module)
        self.sums = torch.zeros_like(self.training)

    def __call__(self, module: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].float()
        axes = [axis for axis in range(values.ndim) if axis != 1]
        variance, mean = (one.cpu().double() for one in torch.var_mean(values, axes, correction=0))
        self.count += len(values)
        self.sums += len(values) * torch.stack([mean, variance + mean.square()])
        mean, square = self.sums / self.count
        seen = torch.stack([mean, (square - mean.square()).clamp_min(0)])
        mixed = (self.prior * self.training + self.count * seen) / (self.prior + self.count)
        for buffer, own in zip((module.running_mean, module.running_var), mixed, strict=True):
            assert buffer is not None
            buffer.copy_(own)

    def _state(self, module: _BatchNorm) -> Tensor:
        assert module.running_mean is not None
        assert module.running_var is not None
        return torch.stack([module.running_mean, module.running_var]).cpu().double()
