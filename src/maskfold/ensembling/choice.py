"""``ensemble.yaml``: what tuning chose, what it was chosen on, and what it gained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from maskfold.errors import RunError
from maskfold.files import atomic_path


class CheckpointChoice(BaseModel):
    """One run's part in the ensemble: a checkpoint for all its folds, and its weight."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    run: str
    checkpoint: str
    weight: float


class EnsembleChoice(BaseModel):
    """A tuned ensemble.

    ``scores`` holds the out-of-fold score ``before`` (equal weights, threshold 0.5) and ``after`` tuning
    (cross-fitted); ``hashes`` maps each file of weights to the SHA-256 it had when the choice was made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    checkpoints: list[CheckpointChoice]
    views: str
    scales: tuple[float, ...] = (1.0,)
    merge: Literal["probabilities", "logits", "vote"] = "probabilities"
    window: int | None = None
    overlap: float = 0.25
    threshold: float = 0.5
    min_area: int = 0
    fill_holes: int = 0
    metric: str = ""
    scores: dict[str, float] = {}
    hashes: dict[str, str] = {}

    @property
    def score(self) -> float | None:
        """Out-of-fold score of the choice itself, cross-fitted; null if it was not tuned."""
        return self.scores.get("after")

    def moved_to(self, runs: Sequence[Path]) -> "EnsembleChoice":
        """The same choice where its runs lie now; ``runs`` in the checkpoints' order."""
        places = dict(zip((checkpoint.run for checkpoint in self.checkpoints), map(str, runs), strict=True))
        hashes = {}
        for file, digest in self.hashes.items():
            run = next((run for run in places if Path(file).is_relative_to(run)), None)
            hashes[file if run is None else str(Path(places[run], Path(file).relative_to(run)))] = digest
        checkpoints = [checkpoint.model_copy(update={"run": places[checkpoint.run]}) for checkpoint in self.checkpoints]
        return self.model_copy(update={"checkpoints": checkpoints, "hashes": hashes})


def write_ensemble(choice: EnsembleChoice, path: Path) -> None:
    """Write a choice whole."""
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(choice.model_dump(mode="json"), sort_keys=False))


def read_ensemble(path: Path, runs: Sequence[Path]) -> EnsembleChoice:
    """Read a choice that was made for ``runs``, in this order; their folders may have been moved since.

    Raises:
        RunError: the file is missing, not such a file, or of another number of runs.
    """
    try:
        content: Any = yaml.safe_load(path.read_text())
        choice = EnsembleChoice.model_validate(content)
    except FileNotFoundError:
        raise RunError(f"there is no {path}: run python src/tune.py first") from None
    except (yaml.YAMLError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{path} is damaged ({reason}): run python src/tune.py again") from None
    if len(choice.checkpoints) != len(runs):
        raise RunError(f"{path} is of {len(choice.checkpoints)} runs, not of {len(runs)}: run python src/tune.py again")
    return choice.moved_to(runs)
