"""A fully connected conditional random field as a decoding step: probabilities that follow the edges of the image.

Krähenbühl & Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials, NIPS 2011; used so in
DeepLab (Chen et al., ICLR 2015).
"""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from maskfold.device import choose_device
from maskfold.errors import InferenceError
from maskfold.inference.decoding.permutohedral import PermutohedralLattice
from maskfold.inference.decoding.steps import Step, Values
from maskfold.labels import LabelSpec

Filter = Callable[[Tensor], Tensor]

# Images of at most so many pixels get the sum over all pairs itself (a matrix of 64 MiB), larger ones the lattice.
EXACT_PIXELS = 64 * 64
# Probabilities are at least half a level of an 8-bit map from 0 and 1, so that stored maps decode as fresh ones do.
FLOOR = 0.5 / 255
# Standard deviations after which the kernel of positions alone ends; what is cut off is below 1e-6 of it.
CUT = 5


class CRF(Step):
    """Mean-field inference of a fully connected CRF with Potts potentials.

    The unary potentials are the negative logarithms of the probabilities. Two pixels i and j of different classes cost

        w1 exp(-|p_i - p_j|^2 / 2 theta_alpha^2 - |I_i - I_j|^2 / 2 theta_beta^2)
        + w2 exp(-|p_i - p_j|^2 / 2 theta_gamma^2)

    with positions p in pixels of the map and colours I in 8-bit red, green and blue. Every mean-field step sets
    ``Q_i(l)`` in proportion to ``p_i(l) exp(sum_k w_k sum_j K_k(i, j) Q_j(l))``.

    Each kernel is normalised symmetrically, ``K(i, j) = k(i, j) / sqrt(sum_m k(i, m) sum_m k(j, m))``, as in the second
    version of the published code (Krähenbühl & Koltun, ICML 2013): weights then mean the same for all image sizes, and
    what i tells j is what j tells i; the first version divided by one of the two sums. As in that code j = i is part of
    the sum, so that a pixel that resembles no other keeps to its own probability.

    The kernel of positions and colours is summed over all pairs in images of at most 64 x 64 pixels, and filtered on
    the permutohedral lattice in larger ones; the kernel of positions is a convolution. Classes that exclude each other
    have one field, any other class one against its complement. Memory: some 0.5 kB for each pixel.
    """

    stage = "probability"
    each_class = False
    needs_image = True
    sees_rgb = True
    needs_labels = True
    tried: ClassVar[Values] = {
        "theta_beta": (3.0, 4.0, 6.0),
        "theta_alpha": (30.0, 60.0, 100.0),
        "w1": (3.0, 4.0, 6.0),
        "w2": (1.0, 3.0),
        "theta_gamma": (1.0, 3.0),
    }

    def __init__(
        self,
        w1: float,
        theta_alpha: float,
        theta_beta: float,
        w2: float,
        theta_gamma: float,
        steps: int,
        labels: LabelSpec,
    ) -> None:
        self.w1, self.theta_alpha, self.theta_beta = w1, theta_alpha, theta_beta
        self.w2, self.theta_gamma = w2, theta_gamma
        self.steps = steps
        self.exclusive = labels.exclusive

    @property
    def reach(self) -> int:
        return int(3 * max(self.theta_alpha, self.theta_gamma))  # further off a kernel is next to nothing

    def __call__(self, layers: np.ndarray, image: np.ndarray | None) -> np.ndarray:
        """Probabilities, float32 (C, H, W), from such and the image, uint8 (H, W, 3).

        Raises:
            InferenceError: an image that is not uint8 of three channels.
        """
        if image is None or image.dtype != np.uint8 or image.shape[2:] != (3,):
            found = "nothing" if image is None else f"{image.dtype} {image.shape}"
            raise InferenceError(
                f"the CRF sees colours in uint8 (H, W, 3), not {found}: build the chain with the images' ImageSpec"
            )
        device = choose_device()
        with torch.inference_mode():
            kernels = self._kernels(torch.tensor(image, device=device).float())
            found = mean_field(torch.tensor(layers, device=device), kernels, self.steps, exclusive=self.exclusive)
            return found.cpu().numpy()

    def _kernels(self, image: Tensor) -> list[tuple[float, Filter]]:
        """(weight, normalised kernel) of those with a weight."""
        height, width = image.shape[:2]
        kernels: list[tuple[float, Filter]] = []
        if self.w1:
            features = bilateral_features(image, self.theta_alpha, self.theta_beta)
            exact = height * width <= EXACT_PIXELS
            filtered = all_pairs(features) if exact else PermutohedralLattice(features)
            kernels.append((self.w1, normalised(_pixels(filtered), image)))
        if self.w2:
            kernels.append((self.w2, normalised(gaussian(self.theta_gamma, image), image)))
        return kernels


def mean_field(probability: Tensor, kernels: Sequence[tuple[float, Filter]], steps: int, *, exclusive: bool) -> Tensor:
    """The marginals after some parallel mean-field steps, float32 (C, H, W).

    Args:
        probability: float32 (C, H, W).
        kernels: (weight, what filters (C, H, W) with a normalised kernel).
        steps: number of updates.
        exclusive: whether the C classes exclude each other; else each has its complement as the only other class.
    """
    unary = probability.clamp_min(FLOOR).log() if exclusive else probability.logit(FLOOR)
    believed = _softmax if exclusive else _balance
    logits = unary
    for _ in range(steps):
        belief = believed(logits)
        logits = unary + sum(weight * kernel(belief) for weight, kernel in kernels)
    return _softmax(logits) if exclusive else logits.sigmoid()


def bilateral_features(image: Tensor, theta_alpha: float, theta_beta: float) -> Tensor:
    """Colours and positions in units of the kernel's deviations: float32 (5, H * W) of an image (H, W, 3)."""
    height, width = image.shape[:2]
    rows = torch.arange(height, device=image.device).float().div(theta_alpha)[:, None].expand(height, width)
    columns = torch.arange(width, device=image.device).float().div(theta_alpha).expand(height, width)
    return torch.cat([image.permute(2, 0, 1) / theta_beta, torch.stack([rows, columns])]).flatten(1)


def all_pairs(features: Tensor) -> Filter:
    """``sum_j exp(-|f_i - f_j|^2 / 2) v_j`` of values (N,), over all pairs of points (d, N)."""
    squares = torch.cdist(features.T, features.T, compute_mode="donot_use_mm_for_euclid_dist").square_()
    kernel = squares.mul_(-0.5).exp_()
    return lambda values: kernel @ values


def gaussian(deviation: float, image: Tensor) -> Filter:
    """The Gaussian sum over positions, ``deviation`` in pixels, of layers (C, H, W) of an image (H, W, 3)."""
    height, width = image.shape[:2]
    rows, columns = (_taps(deviation, side, image) for side in (height, width))

    def filtered(layers: Tensor) -> Tensor:
        along = nn.functional.conv2d(layers[:, None], rows.view(1, 1, -1, 1), padding=(len(rows) // 2, 0))
        return nn.functional.conv2d(along, columns.view(1, 1, 1, -1), padding=(0, len(columns) // 2))[:, 0]

    return filtered


def normalised(kernel: Filter, image: Tensor) -> Filter:
    """A kernel on layers of an image (H, W, 3), normalised symmetrically, see `CRF`."""
    scale = kernel(torch.ones_like(image[None, ..., 0])).rsqrt()
    return lambda layers: scale * kernel(scale * layers)


def _pixels(kernel: Filter) -> Filter:
    """What filters values (N,) as what filters layers (C, H, W)."""
    return lambda layers: torch.stack([kernel(layer.flatten()).view(layer.shape) for layer in layers])


def _taps(deviation: float, side: int, image: Tensor) -> Tensor:
    """The Gaussian at the distances that occur in an image with such a side."""
    reach = min(math.ceil(CUT * deviation), side - 1)
    return (torch.arange(-reach, reach + 1, device=image.device) / deviation).square().mul(-0.5).exp()


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(0)


def _balance(logits: Tensor) -> Tensor:
    """How much more likely a class is than its complement, which is all that a Potts field of the two needs."""
    return (logits / 2).tanh()
