"""A picture of some validation images, the same ones in every epoch: what the network makes of them so far."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskfold.drawing import error_overlay, fitting_size, overlay, shrink_label
from maskfold.images import to_rgb
from maskfold.inference.predict import Prediction
from maskfold.labels import LabelSpec
from maskfold.picks import evenly_spaced

if TYPE_CHECKING:
    from maskfold.training.session import Session

IMAGES = 4
SIDE = 224  # pixels of a picture's longest side
GAP, HEAD = 4, 22  # pixels between pictures, and of the line above them
LEAST = 420  # pixels that this line needs
QUALITY = 88
PAPER, INK = (245, 247, 250), (22, 32, 43)


def preview_places(session: "Session") -> list[int]:
    """Places of the images that are shown, spread over those validation images that the main process looks at."""
    if not session.config.train.preview or not session.is_main or session.data.valid is None:
        return []
    own = sorted(index for batch in session.data.valid.batch_sampler or () for index in batch)
    return evenly_spaced(own, IMAGES)


def draw_preview(session: "Session", predictions: Sequence[Prediction], title: str) -> bytes:
    """A JPEG with a column for each image: with its truth, with its errors, and the probability that there is anything.

    Errors are of what is decided at one half, or for the most probable class.
    """
    columns = [_panels(session, prediction) for prediction in predictions]
    cell = tuple(max(panel.shape[axis] for panels in columns for panel in panels) for axis in (0, 1))
    framed = [np.concatenate([_framed(panel, cell) for panel in panels]) for panels in columns]
    sheet = np.concatenate(framed, axis=1)
    head = np.full((HEAD, max(sheet.shape[1], LEAST), 3), PAPER, np.uint8)
    text = f"{title}: truth, errors, probability"
    cv2.putText(head, text, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
    rest = head.shape[1] - sheet.shape[1]
    sheet = cv2.copyMakeBorder(sheet, 0, 0, 0, rest, cv2.BORDER_CONSTANT, value=PAPER)
    picture = np.concatenate([head, sheet])[..., ::-1]
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _panels(session: "Session", prediction: Prediction) -> list[np.ndarray]:
    competition, labels = session.competition, session.competition.labels
    sample = competition.samples("train").by_id[prediction.id]
    truth = prediction.label
    assert truth is not None  # validation images are training images, which have masks
    size = fitting_size(truth.valid.shape, SIDE)
    image = cv2.resize(to_rgb(competition.image(sample.image), competition.images), size, interpolation=cv2.INTER_AREA)
    label = shrink_label(truth, size)
    layers = [cv2.resize(layer, size, interpolation=cv2.INTER_NEAREST) for layer in prediction.probability]
    probability = np.stack(layers)
    panels = [
        overlay(image, label.values, labels=labels, valid=label.valid),
        error_overlay(image, label, labels.decide(probability), labels=labels),
        np.repeat(_certainty(labels, probability)[..., None], 3, 2),
    ]
    times = SIDE // max(size)  # small images are shown larger
    return [panel.repeat(times, 0).repeat(times, 1) for panel in panels]


def _certainty(labels: LabelSpec, probability: np.ndarray) -> np.ndarray:
    """Grey (H, W): the probability that there is anything; where classes overlap, of the most probable one."""
    shares = 1 - probability[0] if labels.exclusive else probability.max(0)
    return (255 * shares).round().clip(0, 255).astype(np.uint8)


def _framed(panel: np.ndarray, cell: tuple[int, ...]) -> np.ndarray:
    """The picture in the middle of a cell (H, W), with a gap to the right and below."""
    down, right = cell[0] - panel.shape[0], cell[1] - panel.shape[1]
    edges = (down // 2, down - down // 2 + GAP, right // 2, right - right // 2 + GAP)
    return cv2.copyMakeBorder(panel, *edges, cv2.BORDER_CONSTANT, value=PAPER)
