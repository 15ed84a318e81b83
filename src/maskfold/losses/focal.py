"""Focal loss: cross-entropy that fades on pixels that are already right."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from maskfold.errors import MaskfoldError
from maskfold.labels import Task
from maskfold.losses._common import SegmentationLoss, check_choice, check_number, mean_over_ranks


class FocalLoss(SegmentationLoss):
    """``a (1 - p_t)^gamma CE``, the mean over all pixels that count (Lin et al., ICCV 2017).

    ``p_t`` is the probability given to the label (softmax of exclusive classes; else a sigmoid for each class, and
    the mean is over the classes too) and CE the cross-entropy; for soft labels ``1 - p_t = sum_c y_c (1 - p_c)``,
    which makes a binary problem and its two-class form agree. gamma = 0 is cross-entropy. An empty mask gives a
    gradient on every pixel that is not yet clearly background.

    Args:
        task: binary, multiclass or multilabel, see `SegmentationLoss`.
        gamma: how fast right pixels fade; 0 or more.
        alpha: a factor in [0, 1] (``alpha_form="balanced"``) or of 0 and more (``"scalar"``).
        alpha_form: ``scalar``: the factor of every pixel; ``balanced``: ``alpha`` for foreground and
            ``1 - alpha`` for background, as in the paper and in torchvision (not for exclusive classes).

    Shapes: logits (N, C, H, W); target as for every loss. Returns a scalar.

    Raises:
        MaskfoldError: balanced alpha of exclusive classes, or an option out of range.
    """

    def __init__(
        self,
        task: Task = "binary",
        gamma: float = 2.0,
        alpha: float = 1.0,
        alpha_form: Literal["scalar", "balanced"] = "scalar",
    ) -> None:
        super().__init__(task)
        self.gamma = check_number("gamma", gamma, 0)
        self.alpha_form = check_choice("alpha_form", alpha_form, ("scalar", "balanced"))
        if self.exclusive and alpha_form == "balanced":
            raise MaskfoldError("alpha_form is 'balanced', which weighs foreground and background: use 'scalar'")
        self.alpha = check_number("alpha", alpha, 0, 1 if alpha_form == "balanced" else float("inf"))

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None, **targets: Any) -> Tensor:
        logits, target, valid = self.prepare(logits, target, valid)
        wrong, entropy = (_exclusive if self.exclusive else _independent)(logits, target)
        # The power has an infinite slope at 0 for gamma < 1: a float too small to matter stops it.
        wrong = wrong.clamp_min(torch.finfo(wrong.dtype).tiny)
        return mean_over_ranks(self._alpha(target) * wrong**self.gamma * entropy, valid)

    def _alpha(self, target: Tensor) -> Tensor | float:
        if self.alpha_form == "scalar":
            return self.alpha
        return self.alpha * target + (1 - self.alpha) * (1 - target)


def _independent(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """``1 - p_t`` and the cross-entropy, (N, C, H, W) each; the former without cancellation near 0."""
    wrong = logits.sigmoid() * (1 - target) + (-logits).sigmoid() * target
    return wrong, F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def _exclusive(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    log_p = logits.log_softmax(dim=1)
    wrong = (target * -torch.expm1(log_p)).sum(dim=1, keepdim=True)
    return wrong, -(target * log_p).sum(dim=1, keepdim=True)
