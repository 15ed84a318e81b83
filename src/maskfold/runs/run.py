"""A run: one resolved config, the competition it is about, its folds, and its folder ``runs/<name>/``."""

import logging
from collections.abc import Collection
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfold.competitions.find import open_competition
from maskfold.config import MADE_WITH, Config, changed_keys, config_from_tree, config_yaml
from maskfold.config.load import flatten
from maskfold.errors import RunError, YamlError, first_few
from maskfold.program import command_line
from maskfold.runs.begun import facts, refuse_changed
from maskfold.runs.fold import ALL, FoldFolder
from maskfold.runs.profile import keep_profile, with_kept_profile
from maskfold.runs.versions import made_with
from maskfold.storage import Storage, open_storage, url_of
from maskfold.yaml_text import load_yaml

if TYPE_CHECKING:  # a run is opened without what reads images and tables
    import numpy as np
    import pandas as pd

    from maskfold.competitions import Competition, Samples
    from maskfold.datasets.annotators import Annotations

logger = logging.getLogger(__name__)

CONFIG, FOLDS = "config.yaml", "folds.csv"
LOCAL = Path("runs")  # pages about runs, and runs where nobody asks for another place
# They change speed, comfort or place, never a result: a run may go on with other values.
FREE_KEYS = (
    "name",
    "competition.root",
    "competition.max_pixels",
    "competition.follow_links",
    "data.workers",
    "data.cache",
    "data.cache_gib",
    "folds.trained",
    "inference.batch_size",
    "train.max_hours",
    "train.preview",
    "train.save_minutes",
    "train.trackers",
    "train.watched_images",
)


class Run:
    """A run and its facts. ``path`` is where people find it; its files are read and written through ``storage``."""

    def __init__(self, path: Path, storage: Storage | None = None) -> None:
        self.path = Path(path)
        self.storage = open_storage(self.path) if storage is None else storage
        self._competition: Competition | None = None
        self._folds: pd.DataFrame | None = None
        self._annotations: Annotations | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Without what was read of it: another process reads it where it needs it.
        return {"path": self.path, "storage": self.storage, "_competition": None, "_folds": None, "_annotations": None}

    @classmethod
    def open(cls, path: Path) -> "Run":
        """An existing run.

        Raises:
            RunError: there is no run in this folder.
        """
        run = cls(path)
        if not run.storage.exists(CONFIG):
            first = command_line("train-fold", "--fold", "0")
            raise RunError(f"{path} is not a run (no config.yaml): train first, {first}")
        return run

    @classmethod
    def create(cls, config: Config, root: Path) -> "Run":
        """The run of this config in ``root``: see `adopt`."""
        run = cls(root / config.name)
        run.adopt(config)
        return run

    def adopt(self, config: Config) -> None:
        """Make ``config`` that of this run: a new run, or one that was made with the same config.

        A run may go on with other values of `FREE_KEYS`: where the competition's folder is now, say. Until a fold has
        begun everything may change, and folds that were written down for another competition or ``folds`` section
        are made again.

        Raises:
            RunError: folds were trained with another config.
        """
        known = self.storage.exists(CONFIG)
        changes = changed_keys(self.config, config) if known else []
        real = self._refuse_changes(changes, self.begun_folds())
        if any(change.startswith(("folds.", "competition.")) for change in real):
            self.storage.remove(FOLDS)
        if changes or not known:
            made = self.made_with() if known and not real else made_with()
            self.storage.publish(CONFIG, config_yaml(config, **made).encode())
            keep_profile(config, self.storage, self.path)
            for known_of_it in ("config", "_written"):
                self.__dict__.pop(known_of_it, None)
            self._competition = self._folds = self._annotations = None

    def restart(self, folds: Collection[int | str], config: Config) -> None:
        """Remove the training of ``folds``, so that they start again with ``config``.

        Raises:
            RunError: folds that stay were trained with another config, or another process is working on one of
                ``folds``: then nothing is removed.
        """
        if self.storage.exists(CONFIG):
            staying = self.begun_folds() - {str(fold) for fold in folds}
            self._refuse_changes(changed_keys(self.config, config), staying)
        with ExitStack() as stack:
            for fold in folds:
                stack.enter_context(self.fold(fold).lock())
            for fold in folds:
                self.fold(fold).clear()
        self.adopt(config)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def local_path(self) -> Path:
        """Where pages, exported files and trackers' logs go: `path`, or ``runs/NAME`` here where that is a URL."""
        return self.path if url_of(self.path) is None else LOCAL / self.name

    @property
    def config_path(self) -> Path:
        """Where people find the config."""
        return self.path / CONFIG

    @property
    def folds_path(self) -> Path:
        """Where people find the folds."""
        return self.path / FOLDS

    @property
    def ensemble_path(self) -> Path:
        """What tuning chose."""
        return self.path / "ensemble.yaml"

    @cached_property
    def config(self) -> Config:
        """The resolved config that the run was made with; a profile of one's own that is gone is the run's copy."""
        return with_kept_profile(self._written, self.path)

    @cached_property
    def _written(self) -> Config:
        tree = self._tree()
        tree.pop(MADE_WITH, None)
        return config_from_tree(tree, source=str(self.config_path))

    def made_with(self) -> dict[str, Any]:
        """Versions and code commit that were written down when the run was made."""
        facts = self._tree().get(MADE_WITH)
        return facts if isinstance(facts, dict) else {}

    def config_text(self) -> str:
        """``config.yaml`` as it stands: the config, and how the run was made."""
        return self.storage.read(CONFIG).decode()

    def competition(self) -> "Competition":
        """The competition that the config names, opened once.

        Raises:
            CompetitionError: its folder is not there, or does not fit the profile.
        """
        if self._competition is None:
            self._competition = open_competition(self.config.competition)
        return self._competition

    def folds(self, competition: "Competition | None" = None) -> "pd.DataFrame":
        """The table of `maskfold.datasets.make_folds`: made and written down on the first call, read and checked then.

        Args:
            competition: the same competition, where its files have moved; None: `competition`.

        Raises:
            FoldsError: folds cannot be made as the config asks, or those written down do not fit.
        """
        from maskfold.datasets import coverages, ignored_groups, load_groups, make_folds, read_folds, write_folds

        if self._folds is None:
            competition = competition or self.competition()
            samples = competition.samples("train")
            made = self.storage.exists(FOLDS)
            groups = load_groups(competition, samples, self.config.folds, search=not made)
            if note := ignored_groups(samples, self.config.folds):
                logger.warning("%s", note)
            if not made:
                for note in competition.survey("train").notes:
                    logger.warning("%s", note)
                if unnamed := competition.unnamed_images():
                    logger.warning("%d images are in no table and are not used: %s", len(unnamed), first_few(unnamed))
                table = make_folds(samples, coverages(competition, samples), self.config.folds, groups)
                self.storage.publish(FOLDS, write_folds(table))
            written = self.storage.read(FOLDS)
            for name in sorted(self.begun_folds()):
                refuse_changed(self.fold(name), self._facts(written), self.folds_path, self.config_path)
            self._folds = read_folds(written, self.folds_path, samples.ids, groups=groups)
        return self._folds

    def fold_numbers(self) -> list[int]:
        """The folds that are written down, or that the config asks for; the competition's images are not looked at."""
        if not self.storage.exists(FOLDS):
            return list(range(self.config.folds.made))
        lines = self.storage.read(FOLDS).decode().splitlines()[1:]
        return sorted({int(number) for line in lines if (number := line.partition(",")[0]).isdecimal()})

    def bind(self, fold: int | str) -> None:
        """Write down with which folds and config a fold is trained; the caller holds its lock.

        Raises:
            FoldsError, RunError: it was begun with others.
        """
        folder, now = self.fold(fold), self._facts(self.storage.read(FOLDS))
        if folder.begun():
            refuse_changed(folder, now, self.folds_path, self.config_path)
        if not folder.manifest.bound() or not folder.begun():
            folder.manifest.bind(**now)

    def refuse_replaced(self, fold: int | str) -> None:
        """Refuse to train a fold when another process gave the run another config since this one read it.

        Two that begin folds of a new run at once may both find nothing that keeps their configs apart, such as the
        steps that each measured for ``train.hours``.

        Raises:
            RunError: then the fold, of which the caller has stored no more than a first state, is as it was before.
        """
        try:
            self._refuse_changes(changed_keys(Run(self.path, self.storage).config, self.config), [str(fold)])
        except RunError:
            self.fold(fold).clear()
            raise

    def _facts(self, folds: bytes) -> dict[str, Any]:
        tree = flatten(self._written.model_dump(mode="json"))
        return facts(folds, {key: value for key, value in tree if key not in FREE_KEYS})

    def fold_samples(self, fold: int | str) -> "tuple[Samples, np.ndarray | None, Samples]":
        """A fold's training images, how often each stands in a round (None: once), and its validation images.

        Raises:
            FoldsError: there is no such fold; see `folds` too.
        """
        from maskfold.datasets import fold_splits

        samples = self.competition().samples("train")
        if fold == ALL:
            return samples, None, samples[:0]
        train, valid = fold_splits(self.folds(), int(fold))
        return samples.select(train["id"]), train["times"].to_numpy(), samples.select(valid["id"])

    def annotations(self) -> "Annotations | None":
        """The masks by several annotators that ``targets.annotators`` names: read, and said what they lack, once.

        Raises:
            CompetitionError: see `maskfold.datasets.annotators.read_annotations`.
        """
        config = self.config.targets.annotators
        if config is not None and self._annotations is None:
            from maskfold.datasets.annotators import read_annotations

            self._annotations = read_annotations(self.competition(), config)
            for note in self._annotations.gaps():
                logger.warning("%s", note)
        return self._annotations

    def fold(self, fold: int | str) -> FoldFolder:
        """The folder of a fold number, or of ``all``."""
        return FoldFolder(self.path, self.storage, fold)

    def finished_folds(self) -> list[int]:
        """Numbers of the folds that are trained to an end."""
        return sorted(int(name) for name in self._fold_names() if name.isdecimal() and self.fold(name).finished())

    def finished(self) -> list[FoldFolder]:
        """The folders of all folds that are trained to an end, ``all`` last."""
        return [fold for fold in map(self.fold, [*self.finished_folds(), ALL]) if fold.finished()]

    def folds_to_train(self) -> list[int]:
        """Numbers of the folds that are trained where none are named: all, or the first ``folds.trained``."""
        return sorted(set(self.folds()["fold"]))[: self.config.folds.trained]

    def begun_folds(self) -> set[str]:
        """Names of the folds that have a checkpoint or a training state: ``0``, ``3``, ``all`` …"""
        return {name for name in self._fold_names() if self.fold(name).begun()}

    def _fold_names(self) -> set[str]:
        folders = {key.split("/")[0] for key in self.storage.list() if "/" in key}
        return {folder.removeprefix("fold_") for folder in folders if folder.startswith("fold_")}

    def _refuse_changes(self, changes: list[str], folds: Collection[str]) -> list[str]:
        """Those of ``changes`` that change results; an error if there are any and ``folds`` were trained."""
        real = [change for change in changes if change.split(":")[0] not in FREE_KEYS]
        if real and folds:
            raise RunError(
                f"{self.path} was made with another config ({'; '.join(real)}): "
                "give this one another --name, or remove the folder, or go on with its own by "
                f"--config {self.config_path} --name {self.name}"
            )
        return real

    def _tree(self) -> dict[str, Any]:
        try:
            tree = load_yaml(self.storage.read(CONFIG))
        except YamlError as error:
            advice = "restore it, or train under a new --name"
            raise RunError(f"{self.config_path} is damaged ({error}): {advice}") from None
        if not isinstance(tree, dict):
            raise RunError(f"{self.config_path} is damaged (not a mapping of sections): restore it")
        return tree
