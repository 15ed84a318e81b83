"""What every metric asks of its masks, and divisions that know what 0 / 0 means."""

from typing import Any

import numpy as np

from maskfold.errors import MaskfoldError


def as_labels(array: Any, name: str) -> np.ndarray:
    """A numpy array or torch tensor of integers or bool, as numpy on the CPU; floats are a MaskfoldError."""
    if hasattr(array, "detach"):  # a torch tensor; torch itself is not needed for numpy users
        array = array.detach().cpu()
        array = array.float().numpy() if array.is_floating_point() else array.numpy()
    array = np.asarray(array)
    if array.dtype.kind not in "biu":
        raise MaskfoldError(
            f"{name} is {array.dtype}, expected integer labels or bool: "
            "threshold probabilities (or take the argmax over the classes) first"
        )
    return array


def as_pair(pred: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both masks as integer or bool arrays of one shape, (H, W) or (N, H, W); else a MaskfoldError."""
    pred, target = as_labels(pred, "pred"), as_labels(target, "target")
    if pred.shape != target.shape:
        raise MaskfoldError(f"pred is {pred.shape} and target {target.shape}: expected masks of one shape")
    if pred.ndim not in (2, 3):
        raise MaskfoldError(f"the masks are {pred.shape}, expected (H, W) or (N, H, W): drop the channels")
    return pred, target


def as_image_pair(pred: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both masks of one image (H, W), as in `as_pair`."""
    pred, target = as_pair(pred, target)
    if pred.ndim != 2:
        raise MaskfoldError(f"the masks are {pred.shape}, expected one image (H, W): call once per image")
    return pred, target


def as_valid(valid: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Which pixels count, as bool of ``shape``; None where all of them do.

    Raises:
        MaskfoldError: another type or shape.
    """
    if valid is None:
        return None
    valid = as_labels(valid, "valid")
    if valid.dtype != bool or valid.shape != shape:
        raise MaskfoldError(f"valid is {valid.dtype} {valid.shape}: expected bool {shape}, False where nothing counts")
    return None if valid.all() else valid


def ratio(numerator: Any, denominator: Any, otherwise: Any = np.nan) -> np.ndarray:
    """numerator / denominator in float64; `otherwise` (a number or an array) where the denominator is 0."""
    denominator = np.asarray(denominator)
    out = np.array(np.broadcast_to(otherwise, denominator.shape), dtype=np.float64)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def nan_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of what is not nan; nan, without a warning, where nothing is left."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0.0).sum(axis), there.sum(axis))
