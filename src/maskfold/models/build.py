"""From a name to a network: which there are, and what each needs of the image's size."""

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from maskfold.config import ModelConfig
from maskfold.errors import ModelError, nearest
from maskfold.extension import load_named
from maskfold.images import PLAIN, ImageSpec
from maskfold.models.deep import extend_decoder
from maskfold.models.encoders import (
    OWN_ENCODER,
    any_size_options,
    channel_statistics,
    check_encoder,
    encoder_statistics,
    pretrained_names,
    pretrained_url,
)
from maskfold.models.networks import (
    DeepLabV1,
    DeepLabV2,
    FCN8s,
    FCN16s,
    FCN32s,
    FCNResNet50,
    RefineNet,
    SegNet,
    UNetOriginal,
)
from maskfold.models.presence import PresenceHead
from maskfold.models.weights import load_encoder_weights
from maskfold.models.wrapper import SegmentationModel

logger = logging.getLogger(__name__)

# name -> class, called as smp's are, with an `.encoder`. Those that smp lacks are in `maskfold.models.networks`.
ARCHITECTURES: dict[str, type[nn.Module]] = {
    **smp.MODEL_ARCHITECTURES_MAPPING,
    "fcn32s": FCN32s,
    "fcn16s": FCN16s,
    "fcn8s": FCN8s,
    "fcn_resnet50": FCNResNet50,
    "segnet": SegNet,
    "unet_original": UNetOriginal,
    "deeplabv1": DeepLabV1,
    "deeplabv2": DeepLabV2,
    "refinenet": RefineNet,
}

# These take an encoder from smp or timm.
ENCODER_IS_FREE = {*smp.MODEL_ARCHITECTURES_MAPPING, "deeplabv2", "refinenet"}
# Padded sizes are multiples of the encoder's output stride times this: DPT halves the last map once more.
STRIDE_FACTORS = {"dpt": 2}
# Padded sizes are at least the output stride times this: PAN pools the encoder's last map three times.
MINIMUM_FACTORS = {"pan": 8}
# No encoder likes less: Mix Transformers pool by 8 at stride 4, and maps of one pixel have no statistics.
SMALLEST = 32
# These normalise a map that they pooled to one pixel per image.
POOL_TO_ONE = {"deeplabv3", "deeplabv3plus", "pan", "upernet"}

# Options that the config sets elsewhere, or that change what the network returns.
RESERVED = {
    "encoder_name": "set model.encoder",
    "encoder_weights": "set model.encoder_weights",
    "in_channels": "it follows from the profile's image_spec",
    "classes": "it follows from the competition",
    "activation": "the losses and predictions take logits",
    "aux_params": "set model.presence, which is a head for whole images",
}


def build_model(
    config: ModelConfig, *, classes: int, images: ImageSpec = PLAIN, pretrained: bool = True
) -> SegmentationModel:
    """The network that ``config`` names, for such ``images``, with ``classes`` output channels (1 = binary).

    ``encoder_weights`` may be the name of weights that smp or timm can download (``imagenet``) or a local
    file; what a file brought is logged. ``pretrained=False`` leaves the encoder's weights at random, for
    models whose weights are loaded next. Normalisation is that of the encoder's published weights in any case.

    Raises:
        ModelError: unknown architecture, encoder, weights or option (the nearest is named); a combination that
            smp refuses; weights that cannot be fetched or do not fit.
    """
    name = _architecture(config.architecture)
    check_encoder(config.encoder)
    weights = config.encoder_weights if pretrained else None
    named = weights in ("imagenet", *pretrained_names(config.encoder))
    net = _build_net(name, config, weights if named else None, classes, images.channels)
    mean, std = channel_statistics(encoder_statistics(config.encoder, config.encoder_weights), images.channels)
    stride = _output_stride(net, name)
    model = SegmentationModel(
        net,
        mean=mean,
        std=std,
        scale=images.scale,
        stride=stride * STRIDE_FACTORS.get(name, 1),
        minimum=max(SMALLEST, stride * MINIMUM_FACTORS.get(name, 1)),
        pools_to_one=name in POOL_TO_ONE,
        presence=PresenceHead(net, classes) if config.presence else None,
    )
    extend_decoder(model, name, config, classes)
    if weights and not named:
        logger.info("%s", load_encoder_weights(model, _weights_file(weights)))
    return model


def _architecture(name: str) -> str:
    """The table's key for ``name``: ``U-Net++`` and ``unet_plus_plus`` mean unetplusplus; ``module:Name`` is itself."""
    if ":" in name:
        return name
    keys = {_plain(key): key for key in ARCHITECTURES}
    if _plain(name) not in keys:
        raise ModelError(f"there is no architecture {name}: {nearest(name.lower(), list(ARCHITECTURES))}")
    return keys[_plain(name)]


def _plain(name: str) -> str:
    return name.lower().replace("+", "plus").replace("-", "").replace("_", "")


def _weights_file(weights: str) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ModelError(f"there is no file {weights}: model.encoder_weights is imagenet, null, or a file's path")
    return path


def _build_net(name: str, config: ModelConfig, weights: str | None, classes: int, channels: int) -> nn.Module:
    encoder = config.encoder
    if weights and weights not in pretrained_names(encoder):
        known = ", ".join(pretrained_names(encoder)) or "none"
        raise ModelError(
            f"encoder {encoder} has no weights {weights} (published are: {known}): name another, a file, or null"
        )
    net_class = load_named(name, ARCHITECTURES, "architecture")
    if encoder == OWN_ENCODER and name in ENCODER_IS_FREE:
        raise ModelError(
            f"{name} has no encoder of its own: set model.encoder to resnet34 or another of smp's or timm's"
        )
    _check_options(name, net_class, encoder, config.options)
    if weights:
        logger.info("fetching the %s weights of encoder %s, unless they are cached", weights, encoder)
    try:
        return net_class(
            encoder_name=encoder,
            encoder_weights=bool(weights) or None if encoder.startswith("tu-") else weights,
            in_channels=channels,
            classes=classes,
            **{**any_size_options(encoder), **config.options},
        )
    except OSError as error:
        raise ModelError(_fetch_advice(encoder, weights)) from error
    except ModelError:
        raise
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{name} cannot be built with encoder {encoder} and these options: {error}") from error


def _output_stride(net: nn.Module, name: str) -> int:
    stride = getattr(getattr(net, "encoder", None), "output_stride", None)
    if stride is None:
        raise ModelError(
            f"the architecture {name} has no encoder with an output_stride: set self.encoder to the network's "
            "pretrained part, such as segmentation_models_pytorch.encoders.get_encoder makes"
        )
    return stride


def _check_options(name: str, net_class: Callable[..., nn.Module], encoder: str, options: dict[str, Any]) -> None:
    """smp drops options that it does not know when the encoder is its own; here they are errors."""
    known = set(inspect.signature(net_class).parameters) - {"kwargs", *RESERVED}
    for key in options:
        if key in RESERVED:
            raise ModelError(f"model.options cannot hold {key}: {RESERVED[key]}")
        if key not in known and not encoder.startswith("tu-"):
            raise ModelError(f"unknown key model.options.{key} of {name}: {nearest(key, sorted(known))}")


def _fetch_advice(encoder: str, weights: str | None) -> str:
    if weights is None:
        return f"encoder {encoder} needs a file that cannot be read"
    return (
        f"the {weights} weights of encoder {encoder} could not be downloaded: copy model.safetensors of "
        f"{pretrained_url(encoder, weights)} to this machine and set model.encoder_weights to its path, or set it to "
        "null for random weights"
    )
