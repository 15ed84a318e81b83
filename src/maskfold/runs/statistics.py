"""What scoring a checkpoint found, image by image: enough for any score of it, and for intervals, without its maps."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskfold.errors import RunError
from maskfold.labels import LabelSpec
from maskfold.runs.fold import AGAIN, FoldFolder


@dataclass(frozen=True)
class FoldStatistics:
    """Of a fold's validation images, at threshold 0.5 or by the most probable class, without views.

    Attributes:
        metric: as the competition's profile names it, and its ``options``.
        labels: that it was built with.
        ids: of the images.
        stats: float64 (n, k), a row of `maskfold.metrics.gathered_stats` for each image.
        groups: of the images, over which intervals are drawn; None: they are not known.
    """

    metric: str
    labels: LabelSpec
    ids: Sequence[str]
    stats: np.ndarray
    groups: Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def write_statistics(fold: FoldFolder, checkpoint: str, found: FoldStatistics) -> None:
    """Store the statistics of a checkpoint as ``stats/<checkpoint>.npz``."""
    labels = found.labels
    facts = {
        "metric": found.metric,
        "options": dict(found.options),
        "task": labels.task,
        "class_names": labels.class_names,
        "ids": list(found.ids),
        "groups": None if found.groups is None else list(found.groups),
    }
    # Text as bytes: with one array for each list a board of hundreds of runs opens three times as slowly.
    arrays = {"stats": found.stats, "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    fold.manifest.publish(_name(checkpoint), buffer.getvalue())


def read_statistics(fold: FoldFolder, checkpoint: str) -> FoldStatistics | None:
    """What `write_statistics` wrote; None where there is none.

    Raises:
        RunError: the file is damaged.
    """
    try:
        content = fold.manifest.read(_name(checkpoint))
    except FileNotFoundError:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
            labels = LabelSpec(facts["task"], tuple(facts["class_names"]))
            given = labels, facts["ids"], arrays["stats"], facts["groups"], facts["options"]
            return FoldStatistics(facts["metric"], *given)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{fold.path / 'stats' / checkpoint}.npz is damaged ({reason}): remove it, or {AGAIN}") from None


def _name(checkpoint: str) -> str:
    return f"stats/{checkpoint}.npz"
