"""Losses that look at boundaries: the distance-weighted boundary loss and the active boundary loss."""

from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskfold.distances import distance_to_outside
from maskfold.errors import MaskfoldError
from maskfold.labels import Task
from maskfold.losses._common import SegmentationLoss, check_number, masked_mean

_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_FLAT = 1e-5  # neighbouring pixels whose divergence is below this are on one side of any predicted boundary


class BoundaryLoss(SegmentationLoss):
    """Mean of probability times signed distance to the true boundary (Kervadec et al., MIDL 2019).

    An addition to a region loss whose weight grows during training, not a loss to train with alone: it has no
    floor of its own and has no effect on an empty or full mask, where the distance is 0.

    Args:
        task: binary, multiclass or multilabel, see `SegmentationLoss`.
        per_image: mean over each image's pixels and classes, then over images; else over all pixels of the batch.

    Call with ``distance``, floats in pixels of the logits' shape (N, C, H, W): `signed_distance` of each class's
    mask (binary: of the foreground's), made where the data are loaded. Pixels that do not count leave the mean, and
    so does an image without any other. Returns a scalar in pixels, negative where the prediction is inside; 0 with
    zero gradient if nothing counts.

    Raises:
        MaskfoldError: no distance, or one of another shape.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"distance"})

    def __init__(self, task: Task = "binary", per_image: bool = True) -> None:
        super().__init__(task)
        self.per_image = per_image

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        valid: Tensor | None = None,
        *,
        distance: Tensor | None = None,
        **targets: Any,
    ) -> Tensor:
        if distance is None or distance.shape != logits.shape:
            found = None if distance is None else tuple(distance.shape)
            raise MaskfoldError(
                f"the boundary loss found the distance {found}: expected floats of the logits' shape "
                f"{tuple(logits.shape)}, made by signed_distance for each class"
            )
        logits, _labels, valid = self.prepare(logits, target, valid)
        weighted = self.probabilities(logits) * torch.where(valid, distance.to(logits.dtype), 0)
        valid = valid.expand_as(weighted)
        if not self.per_image:
            return masked_mean(weighted, valid)
        return masked_mean(masked_mean(weighted.flatten(1), valid.flatten(1), dim=1), valid.flatten(1).any(dim=1))


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Exact Euclidean distance in pixels: +d outside, -(d - 1) inside, d to the nearest pixel of the other side.

    So the mask's outermost pixels are 0. Zeros for an empty or a full mask, which have no boundary.

    Args:
        mask: (H, W), bool or of numbers 0 and 1; choose a side for pixels that do not count.

    Returns:
        float32 (H, W).

    Raises:
        MaskfoldError: another shape or other values.
    """
    inside = np.asarray(mask) == 1
    if inside.ndim != 2 or not (inside | (np.asarray(mask) == 0)).all():
        raise MaskfoldError(
            f"signed_distance found {np.unique(mask)[:4]} in a mask of shape {np.shape(mask)}: "
            "expected 0 and 1 in (H, W); pass mask == class"
        )
    if inside.all() or not inside.any():
        return np.zeros(inside.shape, np.float32)
    return np.where(inside, 1 - distance_to_outside(inside), distance_to_outside(~inside))


class ActiveBoundaryLoss(SegmentationLoss):
    """Pulls the predicted boundary, pixel by pixel, towards the true one (Wang et al., AAAI 2022).

    The predicted boundary is where a pixel's class probabilities diverge (Kullback-Leibler) most from those of
    its right or lower neighbour, widened by one pixel all round. From each of its pixels the neighbour (of 8)
    nearest to the true boundary is the direction to go: a cross-entropy over the neighbours' divergences
    KL(P_neighbour || P_pixel), neighbours detached, asks that the pixel differ most from that one. Its weight is
    the pixel's distance from the true boundary, up to ``max_distance``. Pixels without a nearer neighbour stay out.

    Mean over each image's pixels to move, then over images; 0 with zero gradient where there is nothing
    to move. Meant as an addition, once there are boundaries. Distances are computed on the CPU at every call.

    Args:
        task: binary, multiclass or multilabel, see `SegmentationLoss`.
            Of a multilabel task each class is a binary problem of its own.
        boundary_share: share of an image's pixels that the predicted boundary takes, before widening.
        max_distance: in pixels; boundaries farther off than this all count the same.
        smoothing: probability that the cross-entropy's target leaves to the 7 other directions.

    Pixels that do not count are neither a boundary nor a direction to go; an image without any other leaves the
    mean. Soft labels count as the likeliest class, of a sigmoid from above 0.5 on. A logit that is not finite
    makes the loss NaN. Returns a scalar.
    """

    def __init__(
        self,
        task: Task = "binary",
        boundary_share: float = 0.01,
        max_distance: float = 20.0,
        smoothing: float = 0.2,
    ) -> None:
        super().__init__(task)
        self.boundary_share = check_number("boundary_share", boundary_share, 0, 1)
        self.max_distance = check_number("max_distance", max_distance, 1)
        self.smoothing = check_number("smoothing", smoothing, 0, 0.875)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None, **targets: Any) -> Tensor:
        logits, labels, valid = self.prepare(logits, target, valid)
        if self.exclusive:
            log_p, classes, valid = logits.log_softmax(1), labels.argmax(dim=1), valid.squeeze(1)
        else:
            valid = valid.expand_as(labels).flatten(0, 1)
            each = logits.flatten(0, 1).unsqueeze(1)
            log_p, classes = F.logsigmoid(torch.cat([-each, each], 1)), labels.flatten(0, 1) > 0.5
        distance = _distance_to_true_boundary(classes, valid).to(logits)
        boundary = _predicted_boundary(log_p.detach(), valid, self.boundary_share)
        moving, losses = self._pull(log_p, boundary & valid, torch.where(valid, distance, torch.inf))
        pull = masked_mean(losses.flatten(1), moving.flatten(1), dim=1)
        # The second term is 0: it ties the loss to the graph and lets NaN through.
        return masked_mean(pull, valid.flatten(1).any(dim=1)) + 0 * logits.sum()

    def _pull(self, log_p: Tensor, boundary: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
        """Which boundary pixels (N, H, W) have a nearer neighbour, and their weighted cross-entropies."""
        image, y, x = boundary.nonzero(as_tuple=True)
        around = _around(F.pad(distance, (1, 1, 1, 1), value=torch.inf), image, y, x)
        nearest, direction = around.min(dim=1)
        here = distance[image, y, x]
        moves = nearest < here
        image, y, x, here, direction, around = (pixels[moves] for pixels in (image, y, x, here, direction, around))
        log_p = log_p.permute(0, 2, 3, 1)
        others = _around(F.pad(log_p.detach(), (0, 0, 1, 1, 1, 1)), image, y, x)
        divergence = _divergence(others, log_p[image, y, x].unsqueeze(1), dim=2)
        divergence = torch.where(around.isinf(), 0, divergence)
        # torch spreads its smoothing over the target too: 8 directions, of which 7 are others.
        losses = F.cross_entropy(divergence, direction, reduction="none", label_smoothing=self.smoothing * 8 / 7)
        losses = losses * here.clamp(max=self.max_distance) / self.max_distance
        place = (image, y, x)
        moving = torch.zeros_like(boundary).index_put(place, torch.ones_like(image, dtype=torch.bool))
        return moving, torch.zeros_like(distance).index_put(place, losses)


def _distance_to_true_boundary(classes: Tensor, valid: Tensor) -> Tensor:
    """(N, H, W) float32 on the CPU; zeros, so that nothing moves, where an image has no boundary."""
    boundary = torch.zeros_like(valid)
    for dim in (1, 2):
        boundary |= valid & _next(valid, dim) & (classes != _next(classes, dim))
    maps = np.zeros(boundary.shape, np.float32)
    for distance, pixels in zip(maps, boundary.cpu().numpy(), strict=True):
        if pixels.any():
            distance[:] = distance_to_outside(~pixels)
    return torch.from_numpy(maps)


def _predicted_boundary(log_p: Tensor, valid: Tensor, share: float) -> Tensor:
    """The `share` of each image's pixels that diverge most from a neighbour, and the pixels around: (N, H, W)."""
    divergence = torch.zeros_like(log_p[:, 0])
    for dim in (1, 2):
        both = valid & _next(valid, dim)
        change = _divergence(log_p, _next(log_p, dim + 1), dim=1)
        divergence = torch.where(both, torch.maximum(divergence, change), divergence)
    ranked = divergence.flatten(1)
    least = ranked.topk(max(1, int(share * ranked.shape[1])), dim=1).values[:, -1:].clamp(min=_FLAT)
    # Equal divergences all count: a saturated network has many, and dropping them would leave no boundary.
    boundary = (ranked >= least).view_as(divergence).to(divergence.dtype)
    return F.max_pool2d(boundary.unsqueeze(1), 3, stride=1, padding=1).squeeze(1) > 0


def _divergence(log_p: Tensor, log_q: Tensor, dim: int) -> Tensor:
    """Kullback-Leibler divergence KL(P || Q) over the classes in `dim`."""
    return (log_p.exp() * (log_p - log_q)).sum(dim)


def _next(pixels: Tensor, dim: int) -> Tensor:
    """Each pixel's next one along `dim`; the last one's is itself."""
    return torch.cat([pixels.narrow(dim, 1, pixels.shape[dim] - 1), pixels.narrow(dim, -1, 1)], dim)


def _around(padded: Tensor, image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The 8 neighbours (M, 8, ...) of M pixels in `padded` (N, H + 2, W + 2, ...)."""
    return torch.stack([padded[image, y + 1 + down, x + 1 + right] for down, right in _NEIGHBOURS], dim=1)
