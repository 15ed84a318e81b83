"""Networks that smp lacks, written from their papers. Each is called as smp's are and has an ``encoder``."""

from maskfold.models.networks.deeplabv1 import DeepLabV1
from maskfold.models.networks.deeplabv2 import DeepLabV2
from maskfold.models.networks.fcn import FCN8s, FCN16s, FCN32s
from maskfold.models.networks.fcn_resnet50 import FCNResNet50
from maskfold.models.networks.refinenet import RefineNet
from maskfold.models.networks.segnet import SegNet
from maskfold.models.networks.unet_original import UNetOriginal

__all__ = [
    "DeepLabV1",
    "DeepLabV2",
    "FCN8s",
    "FCN16s",
    "FCN32s",
    "FCNResNet50",
    "RefineNet",
    "SegNet",
    "UNetOriginal",
]
