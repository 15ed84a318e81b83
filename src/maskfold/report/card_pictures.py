"""The pictures of one card of the gallery."""

from collections.abc import Mapping

import cv2
import numpy as np

from maskfold.drawing import (
    CLASSES,
    ERRORS,
    UNSCORED,
    class_colours,
    colour_numbers,
    error_numbers,
    fitting_size,
    object_numbers,
    shrink_labels,
)
from maskfold.labels import Label, LabelSpec
from maskfold.report.evidence import encode_evidence, evidence
from maskfold.report.pictures import BASE64, Pictures, data_uri, encode_labels, encode_photograph, picture_side
from maskfold.report.pixels import Seen
from maskfold.report.rings import ring_places

# Bytes that all pictures of a gallery may take once encoded; the rest of the page needs less than 3 MB.
GALLERY_BYTES = 20_000_000
EVIDENCE = 0.45  # share of an image's bytes that its probabilities may take
GREYS = [(level, level, level) for level in range(256)]


def make_pictures(
    image: np.ndarray, seen: Seen, *, labels: LabelSpec, count: int, shares: np.ndarray | None = None
) -> Pictures:
    """Pictures of one of ``count`` images.

    Masks, probabilities and photograph together stay below the image's share of `GALLERY_BYTES`, the photograph by its
    quality. Images are never enlarged.

    Args:
        image: uint8 RGB (H, W, 3).
        seen: what is known of it.
        labels: the classes.
        count: of images in the gallery.
        shares: float32 (H, W), the share of annotators who have marked a pixel.
    """
    side = picture_side(count)
    size = fitting_size(image.shape[:2], side)
    colours = [colour for colour, _ in class_colours(labels)]
    truth, mask = seen.truth, seen.mask
    drawn = {
        "truth": (colour_numbers(labels, truth.values, truth.valid), [*colours, UNSCORED]),
        "prediction": (colour_numbers(labels, mask), colours),
        "errors": (error_numbers(labels, truth, mask), ERRORS),
        **{name: (object_numbers(numbers), CLASSES) for name, numbers in _objects(truth, seen).items()},
        **({} if shares is None else {"annotators": ((255 * shares).round(), GREYS)}),
    }
    masks = {name: encode_labels(shrink_labels(numbers, size), palette) for name, (numbers, palette) in drawn.items()}
    budget = GALLERY_BYTES / BASE64 / count
    layers = encode_evidence(evidence(labels, seen.probability, truth, mask), side, EVIDENCE * budget)
    left = budget - len(layers) - sum(map(len, masks.values()))
    photograph = encode_photograph(cv2.resize(image, size, interpolation=cv2.INTER_AREA), left)
    uris = {name: data_uri(content, "png") for name, content in masks.items()}
    return Pictures(
        *size,
        image=data_uri(photograph, "webp"),
        truth=uris.pop("truth"),
        prediction=uris.pop("prediction"),
        errors=uris.pop("errors"),
        evidence=data_uri(layers, "webp"),
        further=uris,
        rings=ring_places(labels, truth, mask),
    )


def _objects(truth: Label, seen: Seen) -> Mapping[str, np.ndarray]:
    """Masks of instances by what they are called, where objects of a class are told apart."""
    if truth.instances is None or seen.objects is None:
        return {}
    return {"objects labelled": truth.instances, "objects predicted": seen.objects}
