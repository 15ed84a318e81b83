"""Focal loss: cross-entropy that fades on pixels that are already right."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from maskfold.losses._common import SegmentationLoss, check_choice, check_number, mean_over_ranks, prepare


class FocalLoss(SegmentationLoss):
    """``a (1 - p_t)^gamma CE``, the mean over all valid pixels (Lin et al., ICCV 2017).

    ``p_t`` is the probability given to the label (sigmoid for one logit channel, softmax for several) and CE
    the cross-entropy; for soft labels ``1 - p_t = sum_c y_c (1 - p_c)``, which makes a binary problem and
    its two-class form agree. gamma = 0 is cross-entropy. An empty mask gives a gradient on every pixel that
    is not yet clearly background.

    Args:
        gamma: how fast right pixels fade; 0 or more.
        alpha: a factor in [0, 1] (``alpha_form="balanced"``) or of 0 and more (``"scalar"``).
        alpha_form: ``scalar``: the factor of every pixel; ``balanced``: ``alpha`` for foreground and
            ``1 - alpha`` for background, as in the paper and in torchvision (binary only).
        ignore_index: target value that is not scored; null: none.

    Shapes: logits (N, C, H, W); target as for every loss. Returns a scalar.

    Raises:
        ValueError: balanced alpha with several logit channels, or an option out of range.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float = 1.0,
        alpha_form: Literal["scalar", "balanced"] = "scalar",
        ignore_index: int | None = None,
    ) -> None:
        super().__init__()
        self.gamma = check_number("gamma", gamma, 0)
        self.alpha_form = check_choice("alpha_form", alpha_form, ("scalar", "balanced"))
        self.alpha = check_number("alpha", alpha, 0, 1 if alpha_form == "balanced" else float("inf"))
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, **extras: Any) -> Tensor:
        logits, target, valid = prepare(logits, target, self.ignore_index)
        if logits.shape[1] == 1:
            wrong, entropy = _binary(logits, target)
        else:
            wrong, entropy = _multiclass(logits, target)
        # The power has an infinite slope at 0 for gamma < 1: a float too small to matter stops it.
        wrong = wrong.clamp_min(torch.finfo(wrong.dtype).tiny)
        return mean_over_ranks(self._alpha(target) * wrong**self.gamma * entropy, valid)

    def _alpha(self, target: Tensor) -> Tensor | float:
        if self.alpha_form == "scalar":
            return self.alpha
        if target.shape[1] > 1:
            raise ValueError(
                f"alpha_form is 'balanced' and the logits have {target.shape[1]} channels: it is for binary "
                "problems, take 'scalar'"
            )
        return self.alpha * target + (1 - self.alpha) * (1 - target)


def _binary(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """``1 - p_t`` and the cross-entropy, (N, 1, H, W) each; the former without cancellation near 0."""
    wrong = logits.sigmoid() * (1 - target) + (-logits).sigmoid() * target
    return wrong, F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def _multiclass(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    log_p = logits.log_softmax(dim=1)
    wrong = (target * -torch.expm1(log_p)).sum(dim=1, keepdim=True)
    return wrong, -(target * log_p).sum(dim=1, keepdim=True)
