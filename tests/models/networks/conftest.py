"""Small networks of the lessons."""

import pytest
import torch

from maskfold.config import ModelConfig
from maskfold.images import ImageSpec
from maskfold.models import build_model


class OneNumber(torch.nn.Linear):
    def __init__(self, *sizes):
        super().__init__(1, 1)


@pytest.fixture
def build(monkeypatch):
    """Builds a network by name, with random weights and its logits' channels."""

    def make(architecture, encoder, classes=1, channels=3, weights=None, seed=0, **options):
        torch.manual_seed(seed)
        config = ModelConfig(architecture=architecture, encoder=encoder, encoder_weights=weights, options=options)
        with monkeypatch.context() as patch:
            if encoder.startswith("vgg"):
                # torchvision's VGG draws a classifier of 120 million numbers, which smp drops.
                patch.setattr("torch.nn.Linear", OneNumber)
            return build_model(config, classes=classes, images=ImageSpec(channels=channels))

    return make


@pytest.fixture
def images():
    """Normalised images (2, 3, 64, 96)."""
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())
