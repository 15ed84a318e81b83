"""Temperature scaling: probabilities of logits divided by one number, and the log loss that says which number."""

from collections.abc import Sequence

import numpy as np

from maskfold.labels import Label, LabelSpec

LEAST = 1 / 510
"""Stored maps have 8 bits: what they call 0 or 1 is nearer to it than this."""
TEMPERATURES = tuple(2 ** (step / 8) for step in range(-16, 17))
"""Temperatures that are tried: 1/4 to 4, each 9 % above the one before."""
PIXELS = 4096


def tempered(probability: np.ndarray, temperature: float, labels: LabelSpec, *, least: float = LEAST) -> np.ndarray:
    """Probabilities whose logits are divided by ``temperature``: above 1 less certain, below 1 more.

    Args:
        probability: float (C, ...) in [0, 1], or uint8 v that stands for v / 255.
        temperature: above 0.
        labels: by a softmax where classes exclude each other, else by a sigmoid for each class.
        least: probabilities are at most 1 - this, and at least this where classes do not exclude each other; of
            exclusive ones those below it share what the others leave. With 0, what is certain stays so.

    Returns:
        float32 of the same shape.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    logits = logits_of(probability, exclusive=labels.exclusive, least=least) / np.float32(temperature)
    return probabilities_of(logits, exclusive=labels.exclusive)


def log_losses(
    probability: np.ndarray, label: Label, labels: LabelSpec, temperatures: Sequence[float] = TEMPERATURES
) -> tuple[np.ndarray, int]:
    """The log loss of one image's probabilities at every temperature.

    Args:
        probability: (C, H, W), as for `tempered`.
        label: a hard label of the same size. Of the pixels that count, at most `PIXELS` in even steps are read.
        labels: the task and its classes.
        temperatures: those asked for.

    Returns:
        (T,) sums over pixels of -log p of the true class, or of the binary form averaged over classes not excluding
        each other; and the number of pixels.
    """
    truth = labels.layers(label.values)[:, label.valid]
    step = max(1, -(-truth.shape[1] // PIXELS))
    truth, logits = truth[:, ::step], logits_of(probability[:, label.valid][:, ::step], exclusive=labels.exclusive)
    sums = [_log_loss(logits / temperature, truth, labels) for temperature in temperatures]
    return np.array(sums), truth.shape[1]


def _log_loss(logits: np.ndarray, truth: np.ndarray, labels: LabelSpec) -> float:
    if labels.exclusive:
        return float(np.logaddexp.reduce(logits, 0).sum() - logits[truth].sum())
    return float(np.logaddexp(0, np.where(truth, -logits, logits)).sum()) / labels.channels


def logits_of(probability: np.ndarray, *, exclusive: bool, least: float = LEAST) -> np.ndarray:
    """Numbers whose softmax or sigmoid the probabilities are, float32 of the same shape; ``least``: see `tempered`."""
    scale = 255 if probability.dtype == np.uint8 else 1
    values = probability.astype(np.float32) / np.float32(scale)
    values = (_shared(values, least) if exclusive else values.clip(least)).clip(max=1 - least)
    with np.errstate(divide="ignore"):  # -inf and inf are what 0 and 1 are
        return np.log(values) if exclusive else np.log(values) - np.log1p(-values)


def _shared(values: np.ndarray, least: float) -> np.ndarray:
    """Probabilities (C, ...) of which those below ``least`` share what the others leave of 1, each at most ``least``.

    Were each of them ``least``, 150 classes would hold a quarter of a pixel that is certain of another.
    """
    small = values < least
    rest = 1 - np.where(small, np.float32(0), values).sum(0)
    share = rest.clip(least) / small.sum(0).clip(1)
    return np.where(small, share.clip(max=least), values).astype(np.float32)


def probabilities_of(logits: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """The softmax over the first axis, or the sigmoid, of logits (C, ...)."""
    if exclusive:
        powers = np.exp(logits - logits.max(0))
        return powers / powers.sum(0)
    return 1 / (1 + np.exp(-logits))
