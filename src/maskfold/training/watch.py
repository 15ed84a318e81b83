"""What a validation tells beside the score: the loss, and a picture of some images."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate.utils import gather_object

from maskfold.datasets.dataset import EXTRAS
from maskfold.inference.predict import Prediction
from maskfold.training.preview import draw_preview, preview_places

if TYPE_CHECKING:
    from maskfold.training.session import Session


class Watch:
    """Looks at the predictions of a validation as they stream by; nothing of them stays but some images' maps."""

    def __init__(self, session: "Session") -> None:
        self.session = session
        self.losses: list[tuple[int, float]] = []
        self._shown: dict[int, Prediction | None] = dict.fromkeys(preview_places(session))

    def __call__(self, prediction: Prediction) -> None:
        """See one prediction of this process."""
        loss = mask_loss(self.session, prediction)
        if loss is not None:
            self.losses.append((prediction.index, loss))
        if prediction.index in self._shown:
            self._shown[prediction.index] = prediction

    def loss(self) -> float | None:
        """Mean over the images of all processes; None: no term of the loss is of the mask, or no pixel counts."""
        found = dict(gather_object(self.losses))
        return math.fsum(found.values()) / len(found) if found else None

    def draw(self, title: str) -> None:
        """Store the picture of the present epoch, where there is one."""
        seen = [prediction for prediction in self._shown.values() if prediction is not None]
        if seen:
            self.session.fold.save_preview(self.session.epoch, draw_preview(self.session, seen, title))


@torch.no_grad()
def mask_loss(session: "Session", prediction: Prediction) -> float | None:
    """The loss of one image with its label, of its probabilities as logits, at the size of its mask.

    The terms are those of the mask that are active in this epoch; None: there is none, or no pixel counts.
    """
    loss, labels, label = session.train_step.loss, session.competition.labels, prediction.label
    assert label is not None  # validation images are training images, which have masks
    if not label.valid.any():
        return None

    def placed(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(session.accelerator.device)

    logits = labels.logits(placed(prediction.probability)[None])
    mask = labels.compared(labels.target(placed(label.values))[None])
    needed = {name: placed(EXTRAS[name](label, labels))[None] for name in sorted(loss.mask_needs)}
    found = loss.of_mask(logits, {"mask": mask, **needed}, placed(label.valid)[None, None])
    return None if found is None else float(found)
