"""Which pseudo-labels are sure enough to train on."""

from typing import Any

import numpy as np
from pydantic import Field, model_validator

from maskfold.config.section import Section, Share
from maskfold.labels import Label, LabelSpec

SHARE = 0.8  # of the pixels that count, in an image that is kept


class Rules(Section):
    """Which pixels and which images are sure enough.

    The confidence of a pixel is max(p, 1 - p), of several classes that overlap the lowest of theirs; of exclusive
    classes it is the probability of the most probable one.
    """

    confidence: Share = Field(default=0.8, description="of a pixel, below which it does not count")
    confident_share: Share | None = Field(
        default=None,
        description=f"an image is kept if this share of its pixels counts; null: {SHARE} without mean_confidence, else "
        "that is not asked",
    )
    mean_confidence: Share | None = Field(
        default=None, description="or if its pixels have this mean confidence; null: that is not asked"
    )
    hard: bool = Field(default=False, description="labels of 0 and 1, not probabilities")

    @model_validator(mode="before")
    @classmethod
    def _one_at_least(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("mean_confidence") is not None:
            return given
        share = given.get("confident_share")
        return {**given, "confident_share": SHARE if share is None else share}

    def keeps(self, confidence: np.ndarray) -> bool:
        """Whether an image of these confidences (H, W) is kept."""
        share, mean = self.confident_share, self.mean_confidence
        enough = share is not None and (confidence >= self.confidence).mean() >= share
        return bool(enough or (mean is not None and confidence.mean() >= mean))

    def label(self, probability: np.ndarray, labels: LabelSpec) -> Label:
        """The label of a probability map (C, H, W)."""
        valid = confidence_of(probability, labels) >= self.confidence
        shares = labels.layers(labels.decide(probability)) if self.hard else probability
        return Label(np.where(valid, shares, 0).astype(np.float32), valid)


def confidence_of(probability: np.ndarray, labels: LabelSpec) -> np.ndarray:
    """Confidence (H, W) of a probability map (C, H, W), see `Rules`."""
    if labels.exclusive:
        return probability.max(0)
    return np.maximum(probability, 1 - probability).min(0)
