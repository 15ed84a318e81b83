"""From a name to a network: which there are, and what each needs of the image's size."""

import inspect
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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
    is_plain_vit,
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
from maskfold.models.resolve import resolve_weights
from maskfold.models.vit import pyramid_of, size_multiple
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

# The stride of these decoders' maps: 2 to the power of the encoder's depth less this. smp enlarges them as for its own
# default depth.
LEVELS_UP = {"fpn": 3, "pspnet": 0}

# These take a transformer's maps as they are, of one stride; the others get a pyramid of them.
PLAIN_VIT = {"dpt"}

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

    ``encoder_weights`` is found by `maskfold.models.resolve.resolve_weights`; what it brought is logged.
    ``pretrained=False`` leaves the encoder's weights at random, for models whose weights are loaded next.
    Normalisation is that of the encoder's published weights in any case.

    Raises:
        ModelError: unknown architecture, encoder, weights or option (the nearest is named); a combination that
            smp refuses; weights that cannot be found or fetched or do not fit.
    """
    name = _architecture(config.architecture)
    check_encoder(config.encoder)
    further = 0 if config.instances is None else 1
    net = _build_net(name, config, classes + further, images.channels)
    published = encoder_statistics(config.encoder, config.encoder_weights)
    mean, std = channel_statistics(published, images.channels, images.rgb)
    stride = _size_multiple(net, name)
    model = SegmentationModel(
        net,
        mean=mean,
        std=std,
        scale=images.scale,
        stride=stride * STRIDE_FACTORS.get(name, 1),
        minimum=max(SMALLEST, stride * MINIMUM_FACTORS.get(name, 1)),
        pools_to_one=name in POOL_TO_ONE,
        presence=PresenceHead(net, classes) if config.presence else None,
        last=config.instances,
    )
    extend_decoder(model, name, config, classes + further)
    if pretrained and config.encoder_weights is not None:
        path = resolve_weights(config.encoder_weights, config.encoder)
        report = load_encoder_weights(model, path, partial=config.partial_weights, rgb=images.rgb)
        logger.log(logging.INFO if report.whole else logging.WARNING, "%s", report)
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


def _build_net(name: str, config: ModelConfig, classes: int, channels: int) -> nn.Module:
    encoder = config.encoder
    net_class = load_named(name, ARCHITECTURES, "architecture")
    if encoder == OWN_ENCODER and name in ENCODER_IS_FREE:
        raise ModelError(
            f"{name} has no encoder of its own: set model.encoder to resnet34 or another of smp's or timm's"
        )
    _check_options(name, net_class, encoder, config.options)
    options = {**any_size_options(encoder), **_upsampling(name, config.options), **config.options}
    pyramid: AbstractContextManager[str] = nullcontext(encoder)
    if is_plain_vit(encoder) and name not in PLAIN_VIT:
        ours = set(options) & _parameters(net_class)
        pyramid = pyramid_of(encoder, {key: options[key] for key in set(options) - ours})
        options = {key: options[key] for key in ours}
    try:
        with pyramid as encoder_name:
            return net_class(
                encoder_name=encoder_name,
                encoder_weights=None,  # they are loaded next, whatever the encoder's library
                in_channels=channels,
                classes=classes,
                **options,
            )
    except ModelError:
        raise
    except (TypeError, ValueError, KeyError, RuntimeError, AttributeError, AssertionError) as error:
        reason = str(error) or type(error).__name__
        raise ModelError(f"{name} cannot be built with encoder {encoder} and these options: {reason}") from error


def _upsampling(name: str, options: dict[str, Any]) -> dict[str, int]:
    """What enlarges the maps of an encoder of another depth to the image's size."""
    depth = options.get("encoder_depth")
    return {"upsampling": 2 ** (depth - LEVELS_UP[name])} if name in LEVELS_UP and isinstance(depth, int) else {}


def _size_multiple(net: nn.Module, name: str) -> int:
    encoder = getattr(net, "encoder", None)
    if not isinstance(encoder, nn.Module) or not hasattr(encoder, "output_stride"):
        raise ModelError(
            f"the architecture {name} has no encoder with an output_stride: set self.encoder to the network's "
            "pretrained part, such as segmentation_models_pytorch.encoders.get_encoder makes"
        )
    return size_multiple(encoder, int(encoder.output_stride))  # pyright: ignore[reportArgumentType]


def _check_options(name: str, net_class: Callable[..., nn.Module], encoder: str, options: dict[str, Any]) -> None:
    """smp drops options that it does not know when the encoder is its own; here they are errors."""
    known = _parameters(net_class) - {"kwargs", *RESERVED}
    for key in options:
        if key in RESERVED:
            raise ModelError(f"model.options cannot hold {key}: {RESERVED[key]}")
        if key not in known and not encoder.startswith("tu-"):
            raise ModelError(f"unknown key model.options.{key} of {name}: {nearest(key, sorted(known))}")


def _parameters(net_class: Callable[..., nn.Module]) -> set[str]:
    return set(inspect.signature(net_class).parameters)
