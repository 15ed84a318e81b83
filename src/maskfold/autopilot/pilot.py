"""The autopilot: plan, folds, training, tuning, prediction, report, ladder, each step within what is left."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from maskfold.autopilot.after import predict, report, tune
from maskfold.autopilot.alarm import ended_after
from maskfold.autopilot.begun import move_to, same_as_begun
from maskfold.autopilot.budget import RUNG, Needs, for_training
from maskfold.autopilot.command import run_command
from maskfold.autopilot.compare import compare, too_few
from maskfold.autopilot.empty import write_empty
from maskfold.autopilot.ladder import Rung, rungs
from maskfold.autopilot.length import Timed, timed
from maskfold.autopilot.log import Log
from maskfold.autopilot.page import write_page
from maskfold.autopilot.train import Training, train_folds
from maskfold.config import Config, config_yaml, load_config, override
from maskfold.device import OUT_OF_MEMORY
from maskfold.errors import InferenceError, MaskfoldError, RunError, TrainingError
from maskfold.files import write_file
from maskfold.locks import exclusive
from maskfold.planning.costs import COMMAND
from maskfold.planning.networks import table
from maskfold.program import command_line
from maskfold.runs import Run
from maskfold.steps.competition import open_competition, with_root
from maskfold.steps.places import AUTOPILOTS, PSEUDO, RUNS, SUBMISSIONS
from maskfold.steps.plan import plan
from maskfold.training.trial import LONGEST

MEASURING = 0.03  # of the hours that each measurement takes at most


class Autopilot:
    """One competition, some hours, one submission.

    Killed at any instant, the same call goes on; the time that was used counts.
    """

    def __init__(self, config: Config, hours: float, *, flags: Sequence[str] = (), spent: float = 0.0) -> None:
        """See the class.

        Args:
            config: as in `maskfold.planning.make_plan`; its name is that of the run.
            hours: for everything.
            flags: options that led to the config, for the commands that are shown.
            spent: seconds of the hours that are gone already: Python's start and imports.

        Raises:
            CompetitionError: data that cannot be opened.
        """
        self._opened, self._spent = time.monotonic(), spent
        self.command = spent or COMMAND  # what a start of Python took is what every command takes
        self.competition = open_competition(config)
        self.base = with_root(config, self.competition)
        self.folder = AUTOPILOTS / config.name
        self.config_path = self.folder / f"{config.name}.yaml"
        self.submission = SUBMISSIONS / f"{config.name}{self.competition.submission_suffix}"
        self.hours, self.flags = hours, flags

    def run(self) -> Path:
        """Do what is left to do; returns the submission's path.

        Raises:
            RunError: what was begun under this name is damaged, or had other hours or options, or another autopilot is
                at work.
            MaskfoldError: data that cannot be used, no test images.
        """
        samples = self.competition.samples("test")
        if not len(samples):
            raise InferenceError(
                f"{self.competition.root} has no test images to predict: put them where the profile expects them, or "
                "train without the autopilot: plan.py, train_all.py"
            )
        with exclusive(self.folder / ".lock", self.folder):
            spent = self._spent + time.monotonic() - self._opened
            self.log = Log.open(self.folder, self.hours, spent=spent)
            if not self.log.steps:
                self._refuse_to_replace()
                self.competition.refuse_cut_off(samples)
            same_as_begun(self.log, self.base)
            move_to(self.base.competition.root, self.log)
            self.log.end_child()
            self.log.save()
            try:
                if self.log.time_left() <= 0:
                    raise TrainingError("the hours were used up before anything was predicted")
                with self.log.beating():
                    self._plan()
                    first, needs = self._first()
                    self._climb(first, needs)
            except (TrainingError, *OUT_OF_MEMORY) as error:
                if not self.submission.exists():
                    self._empty(str(error))
                elif self.log.time_left() > 0:
                    raise
            finally:
                write_page(self.log, self.folder / "autopilot.md", self.submission)
        return self.submission

    def _refuse_to_replace(self) -> None:
        for path in (self.submission, RUNS / self.base.name):
            if path.exists():
                raise RunError(f"{path} exists, and no autopilot of this name made it: give another --name")

    # Plan and folds: in this process, for each command would cost seconds of its own.

    def _plan(self) -> None:
        log = self.log
        if log.ended("plan") and self.config_path.exists():
            return
        words = (*self.flags, "--hours", f"{self.hours:g}", "--out", str(self.config_path))
        entry = log.begin("plan", command_line("plan", *words))
        started, hours = log.time_used(), log.time_left() / 3600
        with ended_after(log.time_left()):
            made = plan(self.base, hours, self.config_path, overwrite=True, shortest=True)
        option = made.option
        log.facts["plan"] = {
            "folds": option.folds,
            "epochs": made.values["train.epochs"].value,
            "enough": made.enough,
            "costs": dict(made.costs),
            "reasons": [f"{key} {reason.value}: {reason.why}" for key, reason in made.values.items()],
        }
        entry.ended, entry.seconds = "done", log.time_used() - started
        entry.note = f"{option.network.name}, scale {option.scale:g}, {option.folds} folds"
        log.save()

    def _first(self) -> tuple[Training, Needs]:
        """The first network and its submission."""
        config = with_root(load_config(self.config_path), self.competition)
        folds, epochs = (self.log.facts["plan"][key] for key in ("folds", "epochs"))
        most = epochs if self.log.facts["plan"]["enough"] else None
        training, needs = self._measured("first", config, range(folds), most=most)
        if not self.log.ended("submission"):
            self._folds(training)
            end = self.log.time_used() + for_training(self.log.time_left(), needs)
            predicted = train_folds(self.log, training, needs, until=end)
            if predicted:
                tune(self.log, [training.run], needs)
                predicted = predict(self.log, [training.run], self.submission, needs)
            if not predicted:
                if not self.submission.exists():
                    self._empty("nothing was predicted in time")
                if failed := [step.note for step in self.log.steps if step.ended == "failed"]:
                    raise TrainingError(failed[0])  # once it is mended, the same call tries again
            self.log.facts["predicted"] = training.finished()
            self.log.end("submission", f"{self.submission}")
        self._complete(training, needs)
        if not self.log.ended("report") and training.finished():
            report(self.log, training.run, needs)
        return training, needs

    def _complete(self, training: Training, needs: Needs) -> None:
        """Before the ladder, train folds that failed, or had no time, where there is time now; then all predict."""
        log = self.log
        if not training.finished() or len(log.facts["trainings"]) > 1:
            return
        until = log.last - needs.after()
        if training.finished() != list(training.folds) and until - log.time_used() > needs.command + needs.end:
            train_folds(log, training, needs, until=until)
        found = training.finished()
        if (
            found != log.facts["predicted"]
            and tune(log, [training.run], needs)
            and predict(log, [training.run], self.submission, needs, whole=True)
        ):
            log.facts["predicted"] = found
            log.end("submission", f"{self.submission}, with all of {len(found)} folds")

    def _folds(self, training: Training) -> None:
        """Write the folds down; in this process, too."""
        if self.log.ended("folds"):
            return
        started = self.log.time_used()
        entry = self.log.begin("folds", command_line("make-folds", *training.words))
        folds = Run.create(load_config(Path(training.words[1]), name=training.run.name), training.run.parent).folds()
        entry.seconds = self.log.time_used() - started
        self.log.end("folds", f"{folds['fold'].nunique()} folds")

    def _measured(
        self,
        rung: str,
        config: Config,
        folds: Sequence[int],
        *,
        most: int | None = None,
        seconds: float | None = None,
    ) -> tuple[Training, Needs]:
        """The training of a config that fits the time, and what follows it; measured once, then written down.

        Args:
            most: epochs beyond which nothing is gained.
            seconds: for all folds; None: what is left after the steps to come.
        """
        log = self.log
        known = log.facts.setdefault("trainings", {}).get(rung)
        if known is None:
            with ended_after(log.time_left()):
                found = timed(config, longest=min(LONGEST, MEASURING * self.hours * 3600))
            needs = found.needs(self.command, len(folds))
            budget = for_training(log.time_left(), needs) if seconds is None else seconds
            count, steps = found.steps(budget, len(folds), needs.command)
            steps = steps if most is None else min(steps, found.steps_of(most))
            known = {
                "folds": list(folds[:count]),
                "steps": steps,
                "seconds": count * found.fold(steps),
                "needs": asdict(found.needs(self.command, count)),
                "config": str(self._written(rung, found, steps)),
                "run": str(RUNS / (self.base.name if rung == "first" else f"{self.base.name}_{rung}")),
            }
            log.facts["trainings"][rung] = known
            log.save()
            print(f"{rung}: {count} folds of {steps} steps, about {known['seconds']:.0f} s", flush=True)
        run = Path(known["run"])
        words = ["--config", known["config"], "--name", run.name]
        return Training(rung, run, words, known["folds"]), Needs(**known["needs"])

    def _written(self, rung: str, found: Timed, steps: int) -> Path:
        """The config of a training, with its length, as a file that a user could train."""
        config = override(found.config, {"train.epochs": None, "train.iterations": steps, "train.hours": None})
        path = self.folder / f"{rung}.yaml"
        write_file(path, config_yaml(config))
        return path

    def _empty(self, why: str) -> None:
        entry = self.log.step("empty submission")
        self.log.save()  # so that the file is known as its own, whenever it is killed
        write_empty(self.competition, self.submission)
        entry.ended, entry.note = "done", f"{why}: all masks are empty"
        print(entry.note, flush=True)
        self.log.save()

    # The ladder.

    def _climb(self, first: Training, needs: Needs) -> None:
        if not first.finished():
            return
        first = replace(first, folds=first.finished())  # one that failed is no fold of a rung
        if why := too_few(Run.open(first.run), self.competition):
            self.log.end("ladder", why, ended="skipped")
            return
        config = load_config(Path(self.log.facts["trainings"]["first"]["config"]))
        kept = [first.run]
        test, costs = len(self.competition.samples("test")), self.log.facts["plan"]["costs"]
        for rung in rungs(config, self.competition.labels, table(), costs, str(first.run), test=test):
            if not self.log.ended(rung.name):
                try:
                    self._try(rung, config, kept, first, needs)
                except (MaskfoldError, *OUT_OF_MEMORY) as error:
                    self.log.end(rung.name, str(error), ended="failed")
            if self.log.step(rung.name).ended == "kept":
                known = self.log.facts["trainings"][rung.name]
                kept.append(Path(known["run"]))
                needs = needs.beside(Needs(**known["needs"]))

    def _try(self, rung: Rung, config: Config, kept: list[Path], first: Training, needs: Needs) -> None:
        """Train a rung, compare with and without it, and predict with it where the gain is real."""
        log = self.log
        left = log.time_left() - needs.beside(needs).after()
        begun = rung.name in log.facts.get("trainings", {})
        if not begun and left < max(RUNG * self.hours * 3600, 4 * needs.command):
            return log.end(rung.name, f"{max(left, 0):.0f} s are left for it, which is too little", ended="skipped")
        changes: dict[str, Any] = dict(rung.changes)
        if rung.labels:
            place = PSEUDO / f"{self.base.name}_autopilot"
            words = ["--runs", *map(str, kept), "--out", str(place), "--overwrite"]
            if not log.ended(f"{rung.name}: label") and not run_command(
                log, f"{rung.name}: label", "pseudo-label", words, until=log.time_used() + left / 2
            ):
                return log.end(rung.name, "no pseudo-labels were made", ended="failed")
            changes["data.extra"] = [str(place)]
            left = log.time_left() - needs.beside(needs).after()
        wanted = rung.share * log.facts["trainings"]["first"]["seconds"]
        training, own = self._measured(
            rung.name, override(config, changes), first.folds, seconds=min(left, max(wanted, needs.command))
        )
        if len(training.folds) < len(first.folds):
            return log.end(rung.name, "the time left has no room for all folds", ended="skipped")
        together = needs.beside(own)
        train_folds(log, training, own, until=log.last - together.after())
        if training.finished() != training.folds:
            return log.end(rung.name, "not all folds were trained in time", ended="dropped")
        runs = [*kept, training.run]
        if not tune(log, runs, together, rung.name):
            return log.end(rung.name, f"not tuned: {log.why(f'{rung.name}: tune')}", ended="dropped")
        with ended_after(log.time_left()):
            gain = compare(runs, kept)
        if not gain.real:
            return log.end(rung.name, gain.text, ended="dropped")
        if not predict(log, runs, self.submission, together, rung.name, whole=True):
            return log.end(rung.name, f"{gain.text}; {log.why(f'{rung.name}: predict')}", ended="dropped")
        return log.end(rung.name, gain.text, ended="kept")
