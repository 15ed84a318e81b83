"""A score that is a plain function of two masks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from maskfold.errors import MaskfoldError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics.competition import CompetitionMetric


class FunctionMetric(CompetitionMetric):
    """Mean over images of ``function(mask, truth, **options)``, a number, higher is better.

    The function gets what was predicted and the truth, uint8 as `maskfold.labels` has masks, with 0 in both where a
    pixel does not count. An image for which it returns nan leaves the mean. Stats: that number.

    Args:
        name: as configs and reports call it.
        labels: of the masks.
        function: see above.
        options: its further arguments.
    """

    def __init__(self, name: str, labels: LabelSpec, function: Callable[..., float], options: dict[str, Any]) -> None:
        self.name = name
        super().__init__(labels)
        self.function, self.options = function, options

    def image_stats(self, mask: np.ndarray, label: Label) -> np.ndarray:
        if not label.valid.any():
            return np.array([np.nan])
        seen = [np.where(label.valid, one, 0).astype(np.uint8) for one in (mask, label.values)]
        found = self.function(*seen, **self.options)
        try:
            return np.array([float(found)])
        except (TypeError, ValueError):
            raise MaskfoldError(
                f"the metric {self.name} returned {type(found).__name__} for a mask of {mask.shape}: expected one "
                "number, its score"
            ) from None

    def per_image(self, stats: np.ndarray) -> np.ndarray:
        return stats[..., 0]
