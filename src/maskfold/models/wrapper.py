"""A network that takes raw images of any size: normalisation, padding to the stride, cropping back."""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from maskfold.errors import ModelError
from maskfold.models.depthwise import quick_depthwise
from maskfold.models.outputs import PRESENCE, Outputs
from maskfold.models.presence import PresenceHead, with_features


class SegmentationModel(nn.Module):
    """``net`` behind normalisation and padding, so that nobody else needs to know of either.

    Args:
        net: (N, K, h, w) float -> logits (N, C, h, w), or `Outputs` of that size, for h and w multiples of ``stride``
            from ``minimum`` on. Its attribute ``encoder`` is the pretrained part; ``aux_names`` names further outputs.
        mean, std: of the encoder's training images, for each of K channels, for values in 0..1. They are saved with
            the weights, which mean nothing without them.
        scale: the value of the images that means 1.0.
        stride: what the padded height and width are multiples of.
        minimum: smallest padded height and width, a multiple of ``stride``.
        pools_to_one: the network normalises over the batch what it pooled to one pixel per image, so it
            cannot be trained on batches of one.
        presence: a head on what the encoder returns; its logits are the further output ``presence``.
        last: name of the further output that the logits' last channel is; None: all of them are the mask's.

    Attributes:
        fixed: names of the net's parameters that it came with as needing no gradient.
    """

    net: Any  # smp's networks and our own, whose attributes nn.Module does not declare
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        scale: float = 255,
        stride: int,
        minimum: int = 1,
        pools_to_one: bool = False,
        presence: PresenceHead | None = None,
        last: str | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.presence = presence
        self.last = last
        self.stride = stride
        self.minimum = minimum
        self.pools_to_one = pools_to_one
        self.fixed = {name for name, value in net.named_parameters() if not value.requires_grad}
        self.register_buffer("mean", scale * torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", scale * torch.tensor(std).view(-1, 1, 1))

    @property
    def aux_names(self) -> list[str]:
        """Names of the outputs beside the mask that the network has in training."""
        own = [] if self.last is None else [self.last]
        return [*getattr(self.net, "aux_names", ()), *own, *([] if self.presence is None else [PRESENCE])]

    def forward(self, images: Tensor) -> Outputs:
        """Logits (N, C, H, W) of images (N, K, H, W), integers or floats, with values 0..scale; any H, W >= 1.

        The image is continued by its reflection at the right and bottom, and the logits there are cut off. Those of the
        further output ``presence`` are of whole images, (N, C).

        Raises:
            ModelError: images of another shape; a training batch of one image where the network needs two; a network
                whose maps are not of the images' size.
        """
        if images.ndim != 4 or images.shape[1] != len(self.mean):
            raise ModelError(
                f"the network was given {tuple(images.shape)}, it takes images (N, {len(self.mean)}, H, W)"
            )
        if self.training and self.pools_to_one and images.shape[0] == 1:
            raise ModelError("this architecture cannot be trained on one image: set train.batch_size to 2 or more")
        height, width = images.shape[-2:]
        padded = reflect_pad(images, *(padded_size(size, self.stride, self.minimum) for size in (height, width)))
        self._refuse_one_pixel(padded)
        normalised = self.normalised(padded)
        with quick_depthwise(normalised):
            if self.presence is None:
                found, of_image = self.net(normalised), {}
            else:
                found, features = with_features(self.net, normalised)
                of_image = {PRESENCE: self.presence(features)}
        logits, aux = found if isinstance(found, Outputs) else (found, {})
        for output in (logits, *aux.values()):
            _refuse_other_size(output, padded)
        maps = {name: self.of_mask(output)[..., :height, :width] for name, output in aux.items()}
        if self.last is not None:
            maps[self.last] = logits[:, -1:, :height, :width]
        return Outputs(self.of_mask(logits)[..., :height, :width], maps | of_image)

    def _refuse_one_pixel(self, padded: Tensor) -> None:
        """Refuse a training batch (N, K, H, W) whose coarsest map may be one pixel, where batch norms learn from it."""
        size = (padded.shape[0], *padded.shape[-2:])
        if not self.training or size != (1, self.stride, self.stride):
            return
        if any(isinstance(module, _BatchNorm) and module.training for module in self.net.modules()):
            raise ModelError(
                f"a training batch is one image of {self.stride}x{self.stride} pixels, of which the network's coarsest "
                f"map is one pixel, and batch norms need more: set data.crop above {self.stride}, or train.batch_size "
                "(and semi.unlabelled_per_batch) to 2 or more"
            )

    def of_mask(self, logits: Tensor) -> Tensor:
        """The channels of the mask, of all that the net makes."""
        return logits if self.last is None else logits[:, :-1]

    def normalised(self, images: Tensor) -> Tensor:
        """Images as the net takes them, with the statistics of the encoder's training images."""
        return (images - self.mean) / self.std

    def set_statistics(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Normalise by these (K,) from now on, in the units of the stored values; they are saved with the weights."""
        for buffer, values in ((self.mean, mean), (self.std, std)):
            buffer.copy_(torch.as_tensor(values).view_as(buffer))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Parameters of the pretrained part."""
        return list(self.net.encoder.parameters())

    def other_parameters(self) -> list[nn.Parameter]:
        """All parameters but the encoder's: decoder and head."""
        encoder = {id(parameter) for parameter in self.encoder_parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in encoder]

    def freeze_encoder(self, frozen: bool) -> None:
        """Keep the pretrained part as it is, the statistics of its norms included, or let it train again.

        Parameters that the network itself keeps ``fixed`` stay so in any case.
        """
        for name, parameter in self.net.encoder.named_parameters():
            parameter.requires_grad_(not frozen and f"encoder.{name}" not in self.fixed)
        self.net.encoder.train(not frozen)

    def freeze_statistics(self) -> None:
        """Keep the statistics of the encoder's batch norms as they are, until the network is put in training mode.

        Raises:
            ModelError: the encoder has no batch norm.
        """
        norms = [module for module in self.net.encoder.modules() if isinstance(module, _BatchNorm)]
        if not norms:
            raise ModelError(
                "optim.freeze_statistics_epochs is set, but the encoder has no batch norm: set it to 0, or choose an "
                "encoder that has one"
            )
        for module in norms:
            module.eval()


def _refuse_other_size(output: Tensor, padded: Tensor) -> None:
    """Refuse maps (N, C, h, w) that are not of the padded size: cropped, they would be a part at another zoom.

    An exporter would take the comparison for a rule about the sizes that its graph serves.
    """
    if not torch.compiler.is_exporting() and output.shape[-2:] != padded.shape[-2:]:
        there, expected = ("x".join(map(str, tensor.shape[-2:])) for tensor in (output, padded))
        raise ModelError(
            f"the network returned maps of {there} for images of {expected}, and they must have the images' size: "
            "leave model.options.upsampling out; a network of your own has to enlarge its maps itself"
        )


def padded_size(size: int, stride: int, minimum: int) -> int:
    """The smallest multiple of ``stride`` that holds ``size`` and ``minimum``."""
    # Written so that it can be exported: no comparison, and no division of negative numbers.
    return cast("int", torch.sym_max(minimum, (size + stride - 1) // stride * stride))


def reflect_pad(images: Tensor, height: int, width: int) -> Tensor:
    """Continue images (..., H, W) at the right and bottom to ``height`` x ``width``, as ``numpy.pad`` reflects.

    Unlike `torch.nn.functional.pad`, it reflects again where the padding is larger than the image.
    """
    for axis, size in ((-2, height), (-1, width)):
        # An exported graph serves images of every size: it has to pad even where this one needs none.
        if torch.compiler.is_exporting() or images.shape[axis] != size:
            images = images.index_select(axis, reflection(images.shape[axis], size, images.device))
    return images


def reflection(size: int, padded: int, device: torch.device) -> Tensor:
    """int64 (padded,): for each place of a padded axis the place of the axis of length ``size`` that it repeats."""
    period = (2 * torch.full((), size, device=device) - 2).clamp(min=1)
    index = torch.arange(padded, device=device) % period
    return torch.minimum(index, period - index)
