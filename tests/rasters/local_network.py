"""A network that sees three pixels in each direction, and no further."""

import torch
from torch import Tensor, nn

REACH = 3


class Local(nn.Module):
    """Three 3 x 3 convolutions without stride; what is beyond the border counts as 0."""

    def __init__(self, encoder_name, encoder_weights, in_channels, classes):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(in_channels, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()
        )
        self.encoder.output_stride = 1
        self.head = nn.Conv2d(6, classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return 3 * torch.tanh(self.head(self.encoder(images)))
