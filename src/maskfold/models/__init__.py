"""Networks: smp's architectures and those of the field's history, for images of any size, with pretrained weights."""

from maskfold.models.build import ARCHITECTURES, build_model
from maskfold.models.outputs import Outputs
from maskfold.models.weights import LoadReport, load_encoder_weights, load_weights
from maskfold.models.wrapper import SegmentationModel

__all__ = [
    "ARCHITECTURES",
    "LoadReport",
    "Outputs",
    "SegmentationModel",
    "build_model",
    "load_encoder_weights",
    "load_weights",
]
