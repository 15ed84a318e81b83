"""Commands of maskfold in processes of their own, with a time at which they are ended."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import psutil

from maskfold.autopilot.log import Log, end_process
from maskfold.program import command_line, script_of

POLL = 0.1  # seconds


def run_command(log: Log, step: str, name: str, words: Sequence[str], *, until: float) -> bool:
    """Run ``maskfold NAME WORDS``, and note how it ended.

    What it prints is shown; of an error the message is kept.

    Args:
        log: the autopilot's.
        step: what it is called there.
        name: of the command, such as ``train-all``.
        words: its options.
        until: seconds of the autopilot's time at which it is ended.

    Returns:
        Whether it came to a good end.
    """
    print()
    entry = log.begin(step, command_line(name, *words))
    log.save()
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([*_program(name), *words], stderr=errors)
        log.child = (process.pid, psutil.Process(process.pid).create_time())
        log.save()
        on_time = _wait(log, process, until)
        errors.seek(0)
        message = _message(errors.read())
    log.child = None
    entry.seconds += time.monotonic() - started
    entry.ended = "out of time" if not on_time else "done" if process.returncode == 0 else "failed"
    entry.note = message if entry.ended == "failed" else ""
    if entry.note:
        print(entry.note, flush=True)
    log.save()
    return entry.ended == "done"


def _program(name: str) -> list[str]:
    script = script_of(name)
    if script.exists():
        return [sys.executable, str(script)]
    return [sys.executable, "-c", "from maskfold.cli.doorways import main; main()", name]


def _wait(log: Log, process: subprocess.Popen, until: float) -> bool:
    """Wait for the end; False where it had to be ended."""
    try:
        while process.poll() is None:
            if log.time_used() >= until:
                return False
            time.sleep(POLL)
        return True
    finally:
        if process.poll() is None:
            end_process(process.pid)
            process.wait()


def _message(errors: str) -> str:
    """The error of a command, or its last line."""
    found = re.findall(r"^error: .*", errors, re.MULTILINE)
    lines = found or errors.strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "it ended without a message"
