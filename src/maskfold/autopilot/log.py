"""What an autopilot has done, and the time that it has used: written down all the time, so that it can be killed."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from maskfold.errors import RunError
from maskfold.files import atomic_path

BEAT = 1.0  # seconds between two notes of the time
STATE = "state.json"


@dataclass
class Step:
    """One step: a command that a user could type.

    Attributes:
        name: such as ``train``; of the ladder ``second: train``.
        command: as it was given.
        seconds: that it took, all its attempts together.
        ended: how: "" while it is under way, ``done``, ``failed``, ``out of time``, ``skipped``.
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
        self._since, self._before = time.time(), self.used
        self._noted = 0.0

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
        return self._before + time.time() - self._since

    def time_left(self) -> float:
        """Seconds that are left of the hours."""
        return self.hours * 3600 - self.time_used()

    def beat(self) -> None:
        """Note the time, if the last note is a second old."""
        if time.monotonic() - self._noted >= BEAT:
            self.save()

    def save(self) -> None:
        """Write everything."""
        self.used, self._noted = self.time_used(), time.monotonic()
        facts = {"hours": self.hours, "used": round(self.used, 2), "facts": self.facts}
        content = {**facts, "steps": [asdict(step) for step in self.steps], "child": self.child}
        with atomic_path(self.folder / STATE) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def step(self, name: str) -> Step:
        """The step of a name, a new one where it was not begun."""
        found = next((step for step in self.steps if step.name == name), None)
        if found is None:
            found = Step(name)
            self.steps.append(found)
        return found

    def ended(self, name: str) -> bool:
        """Whether a step came to an end, whatever end."""
        return any(step.name == name and step.ended for step in self.steps)

    def end_child(self) -> None:
        """End the command of an earlier process that was killed, and what it started."""
        if self.child is None:
            return
        pid, created = self.child
        try:
            process = psutil.Process(int(pid))
            if abs(process.create_time() - created) < 1:
                for each in [*process.children(recursive=True), process]:
                    each.kill()
                process.wait(10)
        except psutil.Error:
            pass  # it ended by itself
        self.child = None
