"""Is there any mask? A head for whole images, class by class, on what a network's encoder finds."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from maskfold.errors import ModelError


class PresenceHead(nn.Module):
    """Logits (N, C) of whether each class is anywhere in an image, from the encoder's last map (N, K, h, w).

    A linear layer on the map's maximum, K numbers, as smp's ClassificationHead with ``pooling: max`` has it. A mean,
    smp's default, thins an object out the more, the larger the image is: a head that learned from crops would then call
    whole images empty too often.

    The maxima are normalised to mean 0 and variance 1 over the K channels, for encoders differ widely in scale, and the
    layer starts at 0, so at a presence of 1/2: a random start on K features would first have to be unlearned.

    Args:
        net: has the ``encoder``: a module that returns maps from fine to coarse, or one map, and says in
            ``out_channels`` how many channels they have, as those of smp do.
        classes: C.

    Raises:
        ModelError: an encoder that does not say how many channels it makes.
    """

    def __init__(self, net: nn.Module, classes: int) -> None:
        super().__init__()
        channels = getattr(net.encoder, "out_channels", None)
        width = channels[-1] if isinstance(channels, list | tuple) else channels
        if not isinstance(width, int):
            raise ModelError(
                "model.presence is true, but the network's encoder has no out_channels (the channels of the maps that "
                "it returns): give it this attribute, as segmentation_models_pytorch's encoders have it, or set "
                "model.presence to false"
            )
        # No random numbers are drawn, so that what is made next is as in a network without the head.
        self.linear = nn.Linear(width, classes, device="meta").to_empty(device="cpu")
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Any) -> Tensor:
        maxima = _last_map(features).amax((2, 3))
        return self.linear(F.layer_norm(maxima, (self.linear.in_features,)))


def with_features(net: nn.Module, images: Tensor) -> tuple[Any, Any]:
    """What ``net`` returns for ``images``, and what its encoder returned on the way: the encoder runs once.

    Raises:
        ModelError: a network that does not call its encoder.
    """
    found: list[Any] = []

    # Made for one call only: a hook that stayed would not follow a copy of the network, as averages of weights are.
    def keep(module: nn.Module, inputs: Any, features: Any) -> None:
        found.append(features)

    encoder: Any = net.encoder
    hook = encoder.register_forward_hook(keep)
    try:
        outputs = net(images)
    finally:
        hook.remove()
    if not found:
        raise ModelError(
            f"model.presence is true, but {type(net).__name__} does not call self.encoder as a whole, and the head "
            "needs what it returns: set model.presence to false"
        )
    return outputs, found[-1]


def _last_map(features: Any) -> Tensor:
    """The coarsest map of an encoder; smp's vision transformers return theirs in front of other tokens."""
    while not isinstance(features, Tensor):
        features = features[0] if isinstance(features[0], list | tuple) else features[-1]
    return features
