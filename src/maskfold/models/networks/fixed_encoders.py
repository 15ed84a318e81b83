"""Encoders of networks that cannot have any: a VGG, one that the network's name names, or the network's own."""

from collections.abc import Sequence
from typing import Any

from segmentation_models_pytorch.encoders import get_encoder

from maskfold.errors import ModelError
from maskfold.models.blank import Blank

VGGS = ("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn")


def require_encoder(architecture: str, found: str, allowed: Sequence[str]) -> None:
    """Raise a ModelError that names the encoders to set, the usual one first, unless ``found`` is one of them."""
    if found in allowed:
        return
    others = f" (or {', '.join(allowed[1:])})" if allowed[1:] else ""
    raise ModelError(f"{architecture} cannot have the encoder {found}: set model.encoder to {allowed[0]}{others}")


def vgg_encoder(architecture: str, name: str, weights: str | None, in_channels: int, *, usual: str = "vgg16") -> Any:
    """smp's VGG: its five stages' maps before their poolings, at strides 1 to 16, then the last one pooled, at 32.

    Raises:
        ModelError: another encoder than a VGG, with or without batch norm.
    """
    require_encoder(architecture, name, [usual, *(vgg for vgg in VGGS if vgg != usual)])
    with Blank(ndim=2):  # the classifier, of 124 million numbers, which smp throws away
        return get_encoder(name, in_channels=in_channels, weights=weights)
