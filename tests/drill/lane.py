"""A row of tries: folders of their own, an undisturbed run to compare with, and chance."""

import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import write_tianchi
from tests.drill.commands import CONFIG, STAGES, Prepare, Try, start
from tests.drill.ends import differences, end_of
from tests.drill.instruments import count_calls, dies_at

# They may change between two tries: speed and comfort, never a result.
FREE = {
    "data.workers": ("0", "1", "2"),
    "inference.batch_size": ("1", "2", "8"),
    "train.save_minutes": ("null", "0.000001", "0.003"),
}


class Lane:
    """Where tries are made, one after the other.

    Attributes:
        before: of each stage, the folder as it is when the stage begins.
        wanted: of each stage, what an undisturbed run ends with.
        seconds: of each stage, how long that took.
        calls: of each stage, how often it changes the disk.
    """

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.chance = place, random.Random(seed)
        self.number = 0
        write_tianchi(place / "data", train=12, test=3)
        self.before: dict[str, Path] = {}
        self.wanted: dict[str, dict[str, bytes]] = {}
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        folder = place / "undisturbed"
        for stage in STAGES:
            if stage.startswith("train"):  # a run of its own; what follows is about the last one
                folder = place / f"undisturbed {stage}"
                folder.mkdir()
                (folder / "x.yaml").write_text(CONFIG.format(root=place / "data"))
            self._undisturbed(folder, stage)

    def _undisturbed(self, folder: Path, stage: str) -> None:
        self.before[stage] = Path(shutil.copytree(folder, self.place / f"before {stage}"))
        self.before[stage].joinpath("log.txt").unlink(missing_ok=True)
        counted = self.place / f"calls of {stage}"
        done = start(folder, STAGES[stage], [count_calls(counted)])
        if done.ended() != 0:
            raise RuntimeError(done.said)
        self.seconds[stage] = time.monotonic() - done.started
        self.calls[stage] = int(counted.read_text())
        self.wanted[stage] = end_of(folder)

    def any_stage(self) -> str:
        """A stage, by chance."""
        return self.chance.choice(list(STAGES))

    def case(self, stage: str) -> Path:
        """A new folder, as it is when a stage begins."""
        self.number += 1
        return Path(shutil.copytree(self.before[stage], self.place / f"case_{self.number}"))

    def words(self, stage: str) -> list[str]:
        """A stage's command, with other values of what may change."""
        words = list(STAGES[stage])
        for name in FREE if stage.startswith("train") else ("inference.batch_size",):
            if self.chance.random() < 0.5:
                words += [f"--{name}", self.chance.choice(FREE[name])]
        return words

    def disturbed(self, folder: Path, stage: str, prepare: Sequence[Prepare] = ()) -> Try:
        """Start a stage in which something is to happen."""
        return start(folder, self.words(stage), prepare, name=f"disturbed_{stage}")

    def killed_somewhere(self, folder: Path, stage: str) -> bool:
        """Kill a stage at a random instant, or before or after one of its changes of the disk; False: it was done."""
        if self.chance.random() < 0.5:
            done = self.disturbed(folder, stage, [dies_at(self.chance.randint(1, self.calls[stage]), self.chance)])
        else:
            done = self.disturbed(folder, stage)
            done.wait(self.chance.uniform(0, 1.05 * self.seconds[stage]))
            done.send(9)
        if (code := done.ended()) not in (0, -9) and not was_done(done):
            raise Diverged(f"{stage} ended with {code}: {done.said[-600:]}")
        return code == -9

    def finish(self, folder: Path, stage: str) -> None:
        """Give the command once more; it must end as the undisturbed one did.

        Raises:
            Diverged: it does not.
        """
        done = start(folder, STAGES[stage])
        if done.ended() != 0 and not was_done(done):
            raise Diverged(f"{stage} again: {done.code}: {done.said[-600:]}")
        self.compare(folder, stage)

    def compare(self, folder: Path, stage: str, but: str = "-") -> None:
        """Raise `Diverged` where a folder is not as after the undisturbed stage, ``but`` for names that hold this."""
        if others := differences(self.wanted[stage], end_of(folder), but):
            raise Diverged(f"{stage}: {len(others)} others, {', '.join(others[:5])}")


def was_done(done: Try) -> bool:
    """Whether an earlier try was killed when all had been done: a submission is not written twice."""
    return done.code == 1 and "sub.csv exists: choose another" in done.said


class Diverged(Exception):
    """A try that did not end as it should."""
