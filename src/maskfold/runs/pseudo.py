"""A folder of pseudo-labels: what networks see on images without masks, and which of it is sure enough to train on.

========================  ====================================================================================
file                      what
========================  ====================================================================================
``fold_k/``               8-bit probability maps of the kept images, made by the networks of fold k alone
``fold_all/``             instead of these, with ``--all-folds``: made by the networks of all folds
``images.csv``            a row for each fold and image: whether it is kept, how sure, the paths of its files
``folds.csv``             the folds of the networks; a run with other validation images is refused
``manifest.json``         classes, rules, round, weights; it comes last, without it the folder holds nothing
========================  ====================================================================================
"""

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from maskfold.competitions.files import safe_path
from maskfold.competitions.samples import Sample, Samples, paths_of
from maskfold.errors import RunError
from maskfold.files import sweep
from maskfold.labels import LabelSpec, Task
from maskfold.program import command_line
from maskfold.runs.documents import read_json, to_json
from maskfold.runs.maps import MapStore
from maskfold.runs.pseudo_rules import Rules, confidence_of
from maskfold.storage import LocalStorage

if TYPE_CHECKING:  # a folder is described without its tables
    import pandas as pd

MANIFEST, IMAGES, FOLDS = "manifest.json", "images.csv", "folds.csv"
PATH = "file_"  # columns of the table: file_1, file_2 …


class PseudoManifest(BaseModel):
    """What a folder holds.

    Attributes:
        task: of the competition.
        class_names: of the competition.
        images: folder of the images; None: the competition's own.
        folds: names of the folds whose maps there are; ``all`` alone where the networks of all folds made them.
        rules: which pixels and images are kept.
        round: 1, or one more than that of the pseudo-labels that the networks themselves were trained on.
        optimistic: whether some of what a fold gets here comes from networks that saw its validation images.
        temperatures: fold -> what divided the logits before anything was asked of the probabilities.
        weights: of each fold, SHA-256 of the networks' weights.
        files: SHA-256 of the two tables.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: Task
    class_names: tuple[str, ...]
    images: str | None
    folds: tuple[str, ...]
    rules: Rules
    round: int
    optimistic: bool
    temperatures: dict[str, float] = {}
    weights: dict[str, list[str]]
    files: dict[str, str] = {}
    kind: Literal["pseudo-labels"] = "pseudo-labels"

    @property
    def labels(self) -> LabelSpec:
        """The classes."""
        return LabelSpec(self.task, self.class_names)


class PseudoFolder:
    """Reads and writes a folder of pseudo-labels."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.storage = LocalStorage(self.path)

    def exists(self) -> bool:
        """Whether the folder is there as a whole."""
        return self.storage.exists(MANIFEST)

    def manifest(self) -> PseudoManifest:
        """What the folder holds.

        Raises:
            RunError: there is no such folder, or it is damaged or not whole.
        """
        again = f"make it with {command_line('pseudo-label')}"
        found = read_json(self.storage, MANIFEST, advice=again)
        if found is None:
            raise RunError(f"{self.path} holds no pseudo-labels (no {MANIFEST}): {again}")
        try:
            return PseudoManifest.model_validate(found)
        except ValidationError as error:
            reason = " ".join(str(error).split())[:200]
            raise RunError(f"{self.path / MANIFEST} is damaged ({reason}): {again}") from None

    def maps(self, fold: int | str) -> MapStore:
        """The maps of the networks of a fold, or of all."""
        return MapStore(self.storage, f"fold_{fold}")

    def table(self) -> "pd.DataFrame":
        """``images.csv``: fold (text), id, kept, mean and share (confidence), coverage (share of foreground), files."""
        import pandas as pd

        table = pd.read_csv(io.BytesIO(self._read(IMAGES)), dtype=str, keep_default_na=False)
        figures = dict.fromkeys(("mean", "share", "coverage"), float)
        return table.assign(kept=table["kept"] == "True").astype(figures)

    def samples(self, rows: "pd.DataFrame") -> Samples:
        """The samples, without masks, of rows of `table`.

        Raises:
            CompetitionError: the name of a file leaves the folder of the images.
        """
        columns = [column for column in rows if column.startswith(PATH)]
        files = rows[columns].itertuples(index=False, name=None)
        safe = [tuple(map(safe_path, paths)) for paths in files]
        images = [paths[0] if len(paths) == 1 else paths for paths in safe]
        return Samples(Sample(image_id, image) for image_id, image in zip(rows["id"], images, strict=True))

    def folds(self) -> bytes:
        """The content of the ``folds.csv`` of the networks."""
        return self._read(FOLDS)

    def strangers(self) -> list[str]:
        """What is there and is not of a folder of pseudo-labels."""
        own = (MANIFEST, IMAGES, FOLDS)
        return [key for key in self.storage.list() if key not in own and not key.startswith("fold_")]

    def clear(self) -> None:
        """Remove what is there, the manifest first, and what a killed writer left; nobody else may be writing here."""
        for key in (MANIFEST, *self.storage.list()):
            self.storage.remove(key)
        for folder in (self.path, *self.path.glob("fold_*")):
            sweep(folder)

    def finish(self, manifest: PseudoManifest, rows: list[dict[str, Any]], folds: bytes) -> None:
        """Publish the tables, then the manifest."""
        import pandas as pd

        tables = {IMAGES: pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").encode(), FOLDS: folds}
        for key, content in tables.items():
            self.storage.publish(key, content)
        digests = {key: hashlib.sha256(content).hexdigest() for key, content in tables.items()}
        manifest = manifest.model_copy(update={"files": digests})
        self.storage.publish(MANIFEST, to_json(manifest.model_dump(mode="json")))

    def _read(self, key: str) -> bytes:
        again = f"make the folder again with {command_line('pseudo-label')}"
        try:
            content = self.storage.read(key)
        except FileNotFoundError:
            raise RunError(f"there is no {self.path / key}: {again}") from None
        if self.manifest().files.get(key) != hashlib.sha256(content).hexdigest():
            raise RunError(f"{self.path / key} is damaged (its content is not what was written): {again}")
        return content


def image_row(fold: int | str, sample: Sample, probability: np.ndarray, rules: Rules, labels: LabelSpec) -> dict:
    """The row of `PseudoFolder.table` of an image."""
    confidence = confidence_of(probability, labels)
    files = {f"{PATH}{number}": path for number, path in enumerate(paths_of(sample.image), start=1)}
    return {
        "fold": str(fold),
        "id": sample.id,
        "kept": rules.keeps(confidence),
        "mean": round(float(confidence.mean()), 6),
        "share": round(float((confidence >= rules.confidence).mean()), 6),
        "coverage": round(float(labels.foreground(labels.decide(probability)).mean()), 6),
        **files,
    }
