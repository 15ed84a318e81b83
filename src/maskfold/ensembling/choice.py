"""``ensemble.yaml``: what tuning chose, what it was chosen on, and what it gained."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from maskfold.config import PostConfig, TTAConfig
from maskfold.ensembling.stack import Stack
from maskfold.errors import RunError, YamlError
from maskfold.program import command_line
from maskfold.runs import Run
from maskfold.storage import open_storage
from maskfold.yaml_text import load_yaml

SEAL = b"# sha256: "


class RunChoice(BaseModel):
    """What one run adds to the ensemble: a checkpoint for all its folds, and its weight."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    run: Annotated[str, Field(min_length=1)]
    checkpoint: Annotated[str, Field(pattern=r"^\w[\w-]*$")]
    weight: Annotated[float, Field(ge=0)]


class Refused(BaseModel):
    """A choice that tuning found and did not keep, see `maskfold.ensembling.traps`.

    Attributes:
        name: what was chosen.
        gain: of the score, cross-fitted.
        error: its standard error; NaN where one image or group is all there is.
        others: the gain on the folds without the one that gains most; None: there is one fold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    gain: float
    error: float
    others: float | None = None

    def line(self) -> str:
        """The choice and the two numbers that speak against it."""
        alone = "" if self.others is None else f"; without the fold that gains most {self.others:+.4f}"
        return f"{self.name}: gain {self.gain:+.4f}, standard error {self.error:.4f}{alone}"


class Mix(NamedTuple):
    """How the maps of runs are put together.

    Attributes:
        checkpoints: of each run.
        weights: of the runs; they sum to 1.
        views: weights, which sum to 1, of the views, whose maps are then read one by one; none: merged as stored.
        stack: puts the runs together in the place of the weights.
    """

    checkpoints: tuple[str, ...]
    weights: tuple[float, ...]
    views: tuple[float, ...] = ()
    stack: Stack | None = None


class EnsembleChoice(BaseModel):
    """What predicts: runs with their checkpoints and weights, test-time augmentation, decoding.

    Attributes:
        runs: in the order in which they were named.
        tta: how the maps are made, as the section of the config.
        post: how they become masks, as the section of the config.
        stack: what puts the runs' maps together in the place of their weights; None: these do.
        metric: the metric that tuning looked at.
        scores: out-of-fold score ``before`` tuning, of what the config would predict with, and ``after`` it,
            cross-fitted; empty where nothing was tuned.
        hashes: file of weights -> the SHA-256 that it had when the choice was made.
        refused: what tuning found and did not keep.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    runs: Annotated[list[RunChoice], Field(min_length=1)]
    tta: TTAConfig = TTAConfig()
    post: PostConfig = PostConfig()
    stack: Stack | None = None
    metric: str = ""
    scores: dict[str, float] = {}
    hashes: dict[str, str] = {}
    refused: tuple[Refused, ...] = ()

    @model_validator(mode="after")
    def _adds_up(self) -> "EnsembleChoice":
        if not sum(run.weight for run in self.runs) > 0:
            raise ValueError("the weights of its runs are all 0")
        if self.stack is not None and len(self.stack.own) != len(self.runs):
            raise ValueError(f"its stack is of {len(self.stack.own)} runs, and there are {len(self.runs)}")
        if self.scores and not {"before", "after"} <= set(self.scores):
            raise ValueError(f"scores has {', '.join(self.scores)}, expected before and after")
        return self

    @property
    def helped(self) -> bool:
        """Whether tuning scores higher than the config's own settings; otherwise these are the choice."""
        return bool(self.scores) and self.scores["after"] > self.scores["before"]

    @property
    def score(self) -> float | None:
        """Out-of-fold score of what is chosen: cross-fitted, or the config's own; `None` where nothing was tuned."""
        return self.scores["after" if self.helped else "before"] if self.scores else None

    @property
    def scored(self) -> str:
        """Both scores of a choice that was tuned, for people."""
        before, after = self.scores["before"], self.scores["after"]
        return f"{self.metric} {before:.4f} before tuning, {after:.4f} after (cross-fitted)"

    @property
    def checkpoints(self) -> list[str]:
        """The checkpoint of each run."""
        return [run.checkpoint for run in self.runs]

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of the runs, which sum to 1."""
        total = sum(run.weight for run in self.runs)
        return tuple(run.weight / total for run in self.runs)

    @property
    def mix(self) -> Mix:
        """How the runs' maps are put together."""
        return Mix(tuple(self.checkpoints), self.weights, stack=self.stack)

    def open_runs(self) -> list[Run]:
        """The runs, where the choice says that they are.

        Raises:
            RunError: one is not there.
        """
        return [Run.open(Path(part.run)) for part in self.runs]

    def moved_to(self, runs: Sequence[Path]) -> "EnsembleChoice":
        """The same choice with its runs where they are now, in the same order."""
        places = dict(zip((run.run for run in self.runs), map(str, runs), strict=True))
        hashes = {}
        for file, digest in self.hashes.items():
            run = next((run for run in places if Path(file).is_relative_to(run)), None)
            hashes[file if run is None else str(Path(places[run], Path(file).relative_to(run)))] = digest
        moved = [run.model_copy(update={"run": places[run.run]}) for run in self.runs]
        return self.model_copy(update={"runs": moved, "hashes": hashes})


def write_ensemble(choice: EnsembleChoice, path: Path) -> None:
    """Write a choice whole; the first line, a comment, is the SHA-256 of the others."""
    content = yaml.safe_dump(choice.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode()
    seal = SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n"
    open_storage(path.parent).publish(path.name, seal + content)


def _refuse_changed(text: bytes, path: Path) -> None:
    seal, _, content = text.partition(b"\n")
    if seal.startswith(SEAL) and seal != SEAL + hashlib.sha256(content).hexdigest().encode():
        raise RunError(
            f"{path} is not what tuning wrote: run {command_line('tune')} again or, if you changed it on purpose, "
            "remove its first line"
        )


def has_ensemble(path: Path) -> bool:
    """Whether `write_ensemble` wrote one."""
    return open_storage(path.parent).exists(path.name)


def ensemble_digest(path: Path) -> str | None:
    """SHA-256 of what `write_ensemble` wrote; None: nothing."""
    return hashlib.sha256(open_storage(path.parent).read(path.name)).hexdigest() if has_ensemble(path) else None


def read_ensemble(path: Path, runs: Sequence[Path] | None = None) -> EnsembleChoice:
    """Read a choice that was made for ``runs``, in this order; their folders may have been moved since.

    `None`: as it stands in the file.

    Raises:
        RunError: the file is missing, not such a file, or of another number of runs.
    """
    try:
        text = open_storage(path.parent).read(path.name)
        _refuse_changed(text, path)
        content: Any = load_yaml(text)
        choice = EnsembleChoice.model_validate(content)
    except FileNotFoundError:
        raise RunError(f"there is no {path}: run {command_line('tune')} first") from None
    except (YamlError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{path} is damaged ({reason}): run {command_line('tune')} again") from None
    if runs is None:
        return choice
    if len(choice.runs) != len(runs):
        raise RunError(f"{path} is for {len(choice.runs)} runs, not for {len(runs)}: run {command_line('tune')} again")
    return choice.moved_to(runs)
