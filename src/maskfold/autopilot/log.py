"""What an autopilot has done, and the time that it has used: written down all the time, so that it can be killed."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from maskfold.errors import RunError, StorageError
from maskfold.files import write_file

BEAT = 1.0  # seconds between two notes of the time
FINISH = 0.985  # of the hours at which every step is ended at the latest; the page, or empty masks, need the rest
STATE = "state.json"


@dataclass
class Step:
    """One step: a command that a user could type.

    Attributes:
        name: such as ``plan`` or ``first: tune``; of the ladder ``second: train fold 0``.
        command: as it was given.
        seconds: that it took, all its attempts together.
        ended: how: "" while it is under way, ``done``, ``failed``, ``out of time``, ``skipped``; of a rung also
            ``kept`` and ``dropped``.
        note: why, or what came of it.
    """

    name: str
    command: str = ""
    seconds: float = 0.0
    ended: str = ""
    note: str = ""


@dataclass
class Log:
    """The state of an autopilot, in ``state.json`` of its folder.

    Attributes:
        folder: where it is.
        hours: that it was given.
        used: seconds until the last note.
        steps: in their order.
        facts: what later steps need: of the plan, of the ladder.
        child: process id and time of creation of the command that runs.
    """

    folder: Path
    hours: float
    used: float = 0.0
    steps: list[Step] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    child: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        self._since, self._before = time.monotonic(), self.used
        self._lock = threading.Lock()
        self._content: dict[str, Any] = {}

    @classmethod
    def open(cls, folder: Path, hours: float, *, spent: float = 0.0) -> "Log":
        """The state in a folder, or a new one.

        Args:
            folder: of the autopilot.
            hours: that it is given.
            spent: seconds that this process has used already.

        Raises:
            RunError: it is damaged, or was begun with other hours.
        """
        path = folder / STATE
        if not path.exists():
            return cls(folder, hours, used=spent)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            steps = [Step(**step) for step in found.pop("steps")]
            child = found.pop("child")
            used = found.pop("used") + spent
            log = cls(folder, steps=steps, child=child and (child[0], child[1]), used=used, **found)
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(f"{path} is damaged ({error}): remove {folder}, or give another --name") from None
        if log.hours != hours:
            raise RunError(f"{folder} was begun with --hours {log.hours:g}: go on with these, or give another --name")
        return log

    def time_used(self) -> float:
        """Seconds so far, those of earlier processes included."""
        return self._before + time.monotonic() - self._since

    @property
    def last(self) -> float:
        """Seconds of this time at which every step is over."""
        return self.hours * 3600 * FINISH

    def time_left(self) -> float:
        """Seconds that are left for steps."""
        return self.last - self.time_used()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Within it the time is noted every second, whatever this process does."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT):
                with suppress(OSError, StorageError):  # a full disk: the next `save` says so
                    self._write()

        thread = threading.Thread(target=beat, daemon=True)
        self.save()
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def save(self) -> None:
        """Write everything."""
        steps = [asdict(step) for step in self.steps]
        self._content = {"hours": self.hours, "facts": deepcopy(self.facts), "steps": steps, "child": self.child}
        self._write()

    def _write(self) -> None:
        """Write what was known at the last `save`, and the time."""
        with self._lock:
            self.used = self.time_used()
            content = {**self._content, "used": round(self.used, 2)}
            write_file(self.folder / STATE, json.dumps(content, indent=1))

    def step(self, name: str) -> Step:
        """The step of a name, a new one where it was not begun."""
        found = next((step for step in self.steps if step.name == name), None)
        if found is None:
            found = Step(name)
            self.steps.append(found)
        return found

    def begin(self, name: str, command: str) -> Step:
        """The step of a name, whose command is shown with the time; not saved yet."""
        entry = self.step(name)
        entry.command = command
        print(f"[{self.time_used():.0f} s of {self.hours * 3600:.0f}] {command}", flush=True)
        return entry

    def end(self, name: str, note: str, *, ended: str = "done") -> None:
        """Note how a step ended and what came of it, and say so."""
        entry = self.step(name)
        entry.ended, entry.note = ended, note
        print(f"{name}: {ended}, {note}", flush=True)
        self.save()

    def note(self, name: str, text: str) -> None:
        """Note what came of a step that said so itself."""
        self.step(name).note = text
        self.save()

    def why(self, name: str) -> str:
        """Why a step did not come to a good end."""
        entry = self.step(name)
        return entry.note or entry.ended

    def ended(self, name: str) -> bool:
        """Whether a step came to an end, whatever end."""
        return any(step.name == name and step.ended for step in self.steps)

    def end_child(self) -> None:
        """End the command of an earlier process that was killed, and what it started."""
        if self.child is None:
            return
        pid, created = self.child
        with suppress(psutil.Error):  # it ended by itself
            if abs(psutil.Process(int(pid)).create_time() - created) < 1:
                end_process(int(pid))
        self.child = None


def end_process(pid: int) -> None:
    """End a process and all that it started; those that ended by themselves are no error."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [*process.children(recursive=True), process]:
            with suppress(psutil.Error):
                each.kill()
        process.wait(10)
