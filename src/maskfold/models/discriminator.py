"""A small network that tells true masks from predicted ones, for adversarial training."""

import torch
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLUs, as in DCGAN (Radford et al., 2016, arXiv 1511.06434)


class Discriminator(nn.Module):
    """Looks at pairs of an image and a mask, patch by patch, after Luc et al. (2016, arXiv 1611.08408).

    Image and mask first pass a convolution each, which gives both the same weight in what follows; every verdict is
    about 33 x 33 pixels, close to the paper's larger field of view (34), and there is one for every 8 x 8 of them. It
    has no batch norm: true and predicted masks are in one batch, and would know of each other.

    Attributes:
        stride: pixels from one verdict to the next.

    Args:
        images: channels of the images.
        classes: channels of the masks.
        width: channels of each of the two first convolutions; the deeper ones have four times as many.
    """

    stride = 8

    def __init__(self, *, images: int, classes: int, width: int) -> None:
        super().__init__()
        self.of_image = nn.Conv2d(images, width, 5, stride=2, padding=2)
        self.of_mask = nn.Conv2d(classes, width, 5, stride=2, padding=2)
        self.verdict = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(4 * width, 4 * width, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(4 * width, 1, 3, padding=1),
        )

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Logits (N, 1, ceil(H / 8), ceil(W / 8)) of "this mask is true".

        Args:
            images: (N, K, H, W) float, as the network sees them.
            masks: (N, C, H, W) in [0, 1], probabilities or a truth that looks like them; 0 in all classes where nothing
                is known.
        """
        return self.verdict(torch.cat([self.of_image(images), self.of_mask(masks)], dim=1))
