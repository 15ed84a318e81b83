"""One pass over the images serves all checkpoints and all views, and keeps no more than a batch."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, product
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from maskfold.config import TTAConfig
from maskfold.errors import InferenceError
from maskfold.inference.absorbed import AbsorbedBatchNorms, absorb_batch_norms
from maskfold.inference.batch_norm import check_batch_norm
from maskfold.inference.dropout import check_dropout, dropped, noise_seed
from maskfold.inference.merge import build_merge, mean_of_known, normalised_weights
from maskfold.inference.views import resize, weighted_views
from maskfold.inference.window import window_logits
from maskfold.labels import Label, LabelSpec
from maskfold.resizing import moved

Item = TypeVar("Item")


@dataclass(frozen=True)
class Prediction:
    """One image's merged probability.

    Attributes:
        id: the image's.
        index: row of the samples.
        probability: float32 (C, H, W) at the size that is asked for.
        label: its truth, where it is known.
        image: loads the image as stored, for a decoding step that asks for it; `None` where nobody can.
        presence: float32 (C,), the probability that each class is anywhere in the image; `None` where no network has
            such a head.
        inside: float32 (H, W) in [0, 1], how far inside of an object a pixel is, away from the others; `None` where no
            network has such an output (``model.instances``).
    """

    id: str
    index: int
    probability: np.ndarray
    label: Label | None = None
    image: Callable[[], np.ndarray] | None = None
    presence: np.ndarray | None = None
    inside: np.ndarray | None = None


def predict_batches(
    models: Sequence[nn.Module],
    loader: Iterable[Mapping[str, Any]],
    *,
    labels: LabelSpec,
    tta: TTAConfig,
    window_batch: int = 8,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    device: torch.device,
    precision: torch.dtype | None = None,
) -> Iterator[Prediction]:
    """Predictions of the weighted ``models``, in the loader's order, while the images stream by.

    Every model's logits of every view (``tta.views`` at ``tta.scales``; in sliding windows where ``tta.window``
    says so) are brought back to the batch's geometry, turned into what ``tta.merge`` averages, and added up in
    float32: ``probabilities``, ``logits`` (the sigmoid or softmax comes after the mean) or ``vote`` (share of votes).
    Views weigh the same or as in ``tta.view_weights``, models as in ``weights`` (`None`: the same). The merged map is
    resized bilinearly, once, to the size that the batch asks for, and moved by the ``shift`` that it may ask for.

    With ``tta.dropout_passes`` every model looks so often at every view, its dropout on, and all passes are merged: see
    `maskfold.inference.dropout`. The noise is a function of ``seed``, the image's id, the view, the model and the pass.

    The presence of a class is the mean of the sigmoids over the same models, views and passes, whatever ``tta.merge``
    is, and over those models that have the head. In sliding windows it is the largest of the windows': what is anywhere
    in one of them is in the image.

    Args:
        models: return `maskfold.models.Outputs`. They are moved to ``device``, and are in evaluation mode until the
            iterator ends, then as before.
        loader: batches with image uint8 (N, 3, h, w), id, index, size (of each map that is asked for, (H, W)) and, for
            labelled images, label (a `Label` each); where masks stand beside the images, shift (pixels of the map,
            (down, right)).
        labels: decide how logits become probabilities.
        window_batch: windows that go through a network together.
        seed: of the dropout's noise.
        precision: type of autocast, None for float32.

    Raises:
        InferenceError: no models, weights that do not fit them, or logits that are NaN or infinite.
        ModelError: passes with dropout of a network that has none; adapted batch norms of a network without.
    """
    if not models:
        raise InferenceError("there is no model to predict with: give at least one")
    if tta.dropout_passes:
        check_dropout(models)
    if tta.batch_norm_prior is not None:
        check_batch_norm(models)
    shares = normalised_weights(weights, len(models))
    networks = _Networks(models, shares, labels, tta, window_batch, seed, precision)
    for model in models:
        model.to(device)

    def queued(batch: Mapping[str, Any]) -> Callable[[], Iterator[Prediction]]:
        found = _on_host(batch["size"], *networks.merged(batch["image"].to(device, non_blocking=True), batch["id"]))
        return partial(_predictions, batch, found, labels, precision)

    with _evaluating(models):
        waiting = map(queued, loader)
        for predictions in waiting if device.type == "cpu" else one_ahead(waiting):
            yield from predictions()


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items, each given out once the next one was asked for: a GPU works on that one in the meantime."""
    held = list(islice(items, 1))
    for item in items:
        yield held.pop()
        held.append(item)
    yield from held


@dataclass(frozen=True)
class _Networks:
    """Weighted models, the views they look at, and how: see `predict_batches`."""

    models: Sequence[nn.Module]
    shares: Sequence[float]
    labels: LabelSpec
    tta: TTAConfig
    window_batch: int
    seed: int
    precision: torch.dtype | None
    absorbed: dict[int, AbsorbedBatchNorms] = field(default_factory=dict)  # of a model's id

    @torch.inference_mode()
    def merged(self, images: Tensor, ids: Sequence[str]) -> tuple[Tensor, Tensor | None, Tensor]:
        """Probability (N, C, h, w), presence (N, C), and for each image whether all its logits were finite."""
        merge, views = build_merge(self.tta.merge, self.labels), weighted_views(self.tta)
        passes = max(1, self.tta.dropout_passes)
        height, width = images.shape[-2:]
        total = images.new_zeros((), dtype=torch.float32)
        presences: list[tuple[float, Tensor | None]] = []
        finite = images.new_ones(len(images), dtype=torch.bool)
        for view, weight in views:
            seen = view.forward(images)
            for number, turn in product(range(len(self.models)), range(passes)):
                seeds = [noise_seed(self.seed, number, turn, view.name, image_id) for image_id in ids]
                found, presence = self._logits(self.models[number], seen, seeds)
                logits, share = view.inverse(found, (height, width)), self.shares[number] / passes * weight
                presences.append((share, presence))
                finite = finite & logits.isfinite().flatten(1).all(1)
                finite = finite if presence is None else finite & presence.isfinite().all(1)
                total = total + merge.vote(logits) * (share / len(views))
        return merge.finish(total), mean_of_known(presences), finite

    def _logits(self, model: nn.Module, images: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Float32 logits of one pass; its presence (N, C), `None` where the model has no such head."""
        presences: list[Tensor] = []
        quick = self._quick(model, images)

        def network(images: Tensor) -> Tensor:
            found = quick(images)
            if "presence" in found.aux:
                presences.append(found.aux["presence"].float().sigmoid())
            return logits_of(found)

        tta = self.tta
        dropping = dropped(model, seeds) if tta.dropout_passes else nullcontext()
        narrow = torch.autocast(images.device.type, dtype=self.precision, enabled=self.precision is not None)
        with dropping, narrow:
            if tta.window is None:
                logits = network(images).float()
            else:
                logits = window_logits(
                    network, images, window=tta.window, overlap=tta.overlap, batch_size=self.window_batch
                )
        # A batch of windows holds one place of all images after the other.
        return logits, torch.cat(presences).unflatten(0, (-1, len(images))).amax(0) if presences else None

    def _quick(self, model: nn.Module, images: Tensor) -> Callable[[Tensor], Any]:
        """The model, on a CPU in a narrow type with absorbed batch norms, which take up to a third of a pass there.

        In float32 they take less, and the last bits would change.
        """
        if self.precision is None or images.device.type != "cpu" or model._compiled_call_impl is not None:
            return model
        if id(model) not in self.absorbed:
            self.absorbed[id(model)] = absorb_batch_norms(model, images, self.precision)
        return self.absorbed[id(model)]


def logits_of(found: Any) -> Tensor:
    """Logits of an `Outputs` as the merge sees them: those of the mask, and of a further output of how far inside.

    Of the border between objects the logit changes its sign: where no border is, a pixel is inside.
    """
    further = [found.aux["inner"]] if "inner" in found.aux else [-found.aux["border"]] if "border" in found.aux else []
    return torch.cat([found.logits, *further], dim=1) if further else found.logits


class _Found(NamedTuple):
    """A batch's results on their way to the host; `wait` until they are there."""

    maps: list[Tensor]
    presence: Tensor | None
    finite: Tensor
    wait: Callable[[], None]


@torch.inference_mode()
def _on_host(sizes: Sequence[tuple[int, int]], probability: Tensor, presence: Tensor | None, finite: Tensor) -> _Found:
    """Each map (1, C, H, W) at the size that is asked for; the copies go to pinned memory while the device goes on."""
    places = range(len(probability))
    maps = [resize(probability[place : place + 1], (int(sizes[place][0]), int(sizes[place][1]))) for place in places]
    device, host = probability.device, partial(Tensor.to, device="cpu", non_blocking=True)
    found = [host(one) for one in maps], None if presence is None else host(presence), host(finite)
    if device.type == "cpu":
        return _Found(*found, wait=lambda: None)
    return _Found(*found, wait=torch.accelerator.current_stream(device).record_event().synchronize)


def _check_finite(finite: Tensor, ids: Sequence[str], precision: torch.dtype | None) -> None:
    if bool(finite.all()):
        return
    image = ids[int((~finite).nonzero()[0])]
    advice = "train longer or with a lower learning rate, or use other weights"
    if precision == torch.float16:
        advice = "fp16 may have overflowed: set train.precision to bf16 or fp32"
    raise InferenceError(f"the network's output for image {image} is NaN or infinite: {advice}")


def _predictions(
    batch: Mapping[str, Any], found: _Found, labels: LabelSpec, precision: torch.dtype | None
) -> Iterator[Prediction]:
    found.wait()
    _check_finite(found.finite, batch["id"], precision)
    truths = batch.get("label")
    shares = None if found.presence is None else found.presence.numpy()
    shifts = batch.get("shift")
    for position, image_id in enumerate(batch["id"]):
        maps = found.maps[position][0].numpy()
        maps = maps if shifts is None else moved(maps, shifts[position])
        classes, further = maps[: labels.channels], maps[labels.channels :]
        yield Prediction(
            id=image_id,
            index=int(batch["index"][position]),
            probability=classes,
            label=None if truths is None else truths[position],
            presence=None if shares is None else shares[position],
            inside=next(iter(further), None),
        )


@contextmanager
def _evaluating(models: Sequence[nn.Module]) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module is as it was (parts may be frozen)."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
