"""Networks: smp's architectures and those of the field's history, for images of any size, with pretrained weights."""

from maskfold.models.build import ARCHITECTURES, build_model
from maskfold.models.discriminator import Discriminator
from maskfold.models.encoders import encoder_statistics
from maskfold.models.outputs import Outputs
from maskfold.models.weights import LoadReport, load_encoder_weights, load_weights
from maskfold.models.wrapper import SegmentationModel, reflect_pad

__all__ = [
    "ARCHITECTURES",
    "Discriminator",
    "LoadReport",
    "Outputs",
    "SegmentationModel",
    "build_model",
    "encoder_statistics",
    "load_encoder_weights",
    "load_weights",
    "reflect_pad",
]
