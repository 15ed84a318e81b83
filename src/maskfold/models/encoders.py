"""Encoders by name: which there are, what image statistics and sizes they expect."""

import difflib
import itertools
from collections.abc import Sequence

import timm
from segmentation_models_pytorch.encoders import encoders as SMP_ENCODERS

from maskfold.errors import ModelError

# What `model.encoder` is where a network brings its own encoder, whose weights nobody publishes.
OWN_ENCODER = "own"

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INCEPTION: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
DPN: Statistics = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)

# smp keeps its encoders' statistics online beside the weights; these are the ones that are not ImageNet's.
SMP_STATISTICS: dict[str, Statistics] = {
    "inception": INCEPTION,
    "xception": INCEPTION,
    "timm-tf_efficientnet_lite": INCEPTION,
    "dpn": DPN,
}

# Arguments that make timm's transformers take images of any size.
ANY_SIZE_OPTIONS: dict[str, dict[str, bool]] = {
    "tu-swin": {"strict_img_size": False},
    "tu-vit_": {"dynamic_img_size": True},
    "tu-test_vit": {"dynamic_img_size": True},
    "tu-deit": {"dynamic_img_size": True},
    "tu-beit": {"dynamic_img_size": True},
    "tu-eva": {"dynamic_img_size": True},
}


def check_encoder(name: str) -> None:
    """Raise a ModelError naming the nearest encoder unless smp or timm (prefix ``tu-``) has one of this name."""
    if name in (OWN_ENCODER, *SMP_ENCODERS) or (name.startswith("tu-") and timm_config(name) is not None):
        return
    known = [*SMP_ENCODERS, *(f"tu-{model}" for model in timm.list_models())]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
    raise ModelError(
        f"there is no encoder {name}: did you mean {nearest}? "
        "(smp's own encoders, or tu- and the name of any timm model)"
    )


def encoder_statistics(name: str, weights: str | None = None) -> Statistics:
    """Mean and standard deviation, per RGB channel for values 0..1, that the encoder's weights expect."""
    if name.startswith("tu-"):
        config = timm_config(f"{name}.{weights}") or timm_config(name)
        assert config is not None, name  # check_encoder lets no other name through
        return tuple(config.mean), tuple(config.std)
    if weights == "advprop":
        return INCEPTION
    return next((known for prefix, known in SMP_STATISTICS.items() if name.startswith(prefix)), IMAGENET)


def channel_statistics(statistics: Statistics, channels: int, rgb: Sequence[int] = ()) -> Statistics:
    """Mean and standard deviation for images of any number of channels.

    They follow what becomes of the first convolution (`maskfold.models.weights.for_channels`): for one channel its
    weights are summed, so the statistics are the means of those given; for any other number both go as `colours_of`
    says.

    Args:
        rgb: `maskfold.images.ImageSpec.rgb` of the images.
    """
    mean, std = statistics
    if channels == 1:
        return (sum(mean) / len(mean),), (sum(std) / len(std),)
    colours = colours_of(channels, len(mean), rgb)
    return tuple(mean[colour] for colour in colours), tuple(std[colour] for colour in colours)


def colours_of(channels: int, known: int, rgb: Sequence[int]) -> list[int]:
    """For each of the images' ``channels`` the one, of those that an encoder was trained on, as which it is taken.

    An encoder of red, green and blue takes the channels ``rgb`` as these, where they are three different ones, and
    further channels in turn as red, green, blue, red …; any other takes all of them in turn.

    Args:
        known: how many channels the encoder was trained on.
    """
    own = {place: colour for colour, place in enumerate(rgb)} if known == 3 and len(set(rgb)) == 3 else {}
    turn = itertools.cycle(range(known))
    return [own[place] if place in own else next(turn) for place in range(channels)]


def any_size_options(name: str) -> dict[str, bool]:
    """Encoder arguments without which it takes images of one size only."""
    return next((options for prefix, options in ANY_SIZE_OPTIONS.items() if name.startswith(prefix)), {})


def is_plain_vit(name: str) -> bool:
    """Whether the encoder is a transformer with one stride throughout, which has no pyramid of features."""
    return any_size_options(name).get("dynamic_img_size", False)


def timm_config(name: str) -> timm.models.PretrainedCfg | None:
    """timm's description of ``tu-<model>[.<tag>]``, None where there is no such model or tag."""
    try:
        return timm.models.get_pretrained_cfg(name.removeprefix("tu-"))
    except RuntimeError:
        return None
