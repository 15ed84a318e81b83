"""A network that is trained in no time, with what makes resuming hard: statistics of batches, dropout."""

from torch import Tensor, nn


class Tiny(nn.Module):
    """Two convolutions with batch norms and dropout, and a head."""

    def __init__(self, encoder_name, encoder_weights, in_channels, classes):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2),
        )  # fmt: skip
        self.encoder.output_stride = 1
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images))
