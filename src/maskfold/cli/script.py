"""How every command begins and ends: what it does, one message for an error, no traceback, the next command."""

import atexit
import logging
import os
import re
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from maskfold.cli.failures import file_message, memory_message
from maskfold.cli.terminal import plain_output, printable
from maskfold.imports import quick_imports
from maskfold.program import command_line

# What the backends of torch.distributed say in a process whose partner is gone.
PARTNER_GONE = re.compile(r"connection (?:reset|closed|refused)|broken pipe|timed? ?out|NCCL|gloo", re.IGNORECASE)

AGAIN = "give the same command again"
_go_on = AGAIN


class Terminated(BaseException):
    """The system, or a queue's time limit, asks the process to end."""


def run_script(main: Callable[[], None]) -> None:
    """Run a command's main function; every failure is one message on stderr and exit code 1.

    Ctrl-C ends it with 130 and SIGTERM with 143, and with a line that says how to go on. They are heard when the main
    thread returns from C, a kernel say; a second SIGTERM after that ends it at once.
    """
    _speak()
    if_interrupted(AGAIN)
    former = _hear_terminate()
    # Modules of the user's own, named package.module:Name in a config, are found here; last, so that they hide nothing.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    if os.environ.get("RANK", "0") != "0":
        # Of the processes that torchrun starts, the first one speaks.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        with plain_output():
            main()
    except BrokenPipeError:
        sys.exit(1)
    except (KeyboardInterrupt, Terminated, Exception) as error:
        if former is not None:
            # Where one of its processes fails, torchrun sends it to the others, which are about to say what they met.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if isinstance(error, Exception) and os.environ.get("MASKFOLD_DEBUG"):
            raise
        _fail(*_last_words(error))
    finally:
        if former is not None:
            signal.signal(signal.SIGTERM, former)


def _last_words(error: BaseException) -> tuple[str, int]:
    """The message and the exit code of a command that ends by ``error``."""
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted: {_go_on}", 130
    if isinstance(error, Terminated):
        return f"ended by SIGTERM: {_go_on}", 143
    assert isinstance(error, Exception)
    return describe_error(error), 1


def if_interrupted(text: str) -> None:
    """Say what the user is to do after Ctrl-C or SIGTERM from now on."""
    global _go_on
    _go_on = text


def _hear_terminate() -> Any:
    """Let SIGTERM raise `Terminated`; returns what it did before, None where it is left alone: not the main thread."""
    owner = os.getpid()

    def terminate(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() == owner:
            raise Terminated
        os.kill(os.getpid(), signal.SIGTERM)  # a data worker, forked with this handler

    return signal.signal(signal.SIGTERM, terminate) if current_thread() is main_thread() else None


def _speak() -> None:
    """maskfold's own notes go to stderr as plain lines; the hub's retries, five warnings each, do not."""
    logger = logging.getLogger("maskfold")
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler()  # new, since a notebook or a test may have replaced stderr
    handler.setFormatter(_Printable())
    logger.handlers = [handler]
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="PIL")  # of what our own messages tell
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it complains of tifs that others can read


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def describe_error(error: Exception) -> str:
    """One message for the user: ours as it stands, others with their type."""
    text = _own_message(str(error))
    if message := memory_message(type(error).__name__, text):
        return message
    if _together() and isinstance(error, RuntimeError) and PARTNER_GONE.search(text):
        return (
            f"another of the {os.environ['WORLD_SIZE']} processes that train this fold together is gone: all of them "
            "end, and the same command goes on after the last complete epoch (MASKFOLD_DEBUG=1 shows the traceback)"
        )
    if isinstance(error, OSError) and (message := file_message(error)):
        return message
    if isinstance(error, ValueError) and (type(error) is not ValueError or _raised_in_maskfold(error)):
        return text
    return f"{type(error).__name__}: {text} (set MASKFOLD_DEBUG=1 for the traceback)"


def _own_message(text: str) -> str:
    """The message alone: a data worker's exception arrives with its traceback in the text."""
    if "Original Traceback" not in text:
        return text
    last = text.rpartition("Traceback (most recent call last):")[2]
    found = re.search(r"^[\w.]+: (.*)", last, re.MULTILINE | re.DOTALL)
    return (found[1] if found else last.splitlines()[-1]).strip()


def _raised_in_maskfold(error: Exception) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get("__name__", "").startswith("maskfold.")


@contextmanager
def starting(what: str) -> Iterator[None]:
    """Print what is being done, before the imports that take seconds, which stand inside."""
    print(what, flush=True)
    with quick_imports():
        yield


def next_command(command: str) -> None:
    """Name the command that follows: the last line of every command."""
    print(f"Next: {command}")


def next_scores(submission: Path, flags: Sequence[str] = ()) -> None:
    """Name the command that scores a submission, here or once the leaderboard has."""
    scored = command_line("evaluate", *flags, "--submission", str(submission), "--truth", "TRUTH")
    next_command(f"{scored} (or upload it, then --note-lb SCORE)")


def next_note(submission: Path) -> None:
    """Name the command that notes the leaderboard's score of a submission."""
    next_command(command_line("evaluate", "--submission", str(submission), "--note-lb", "SCORE"))


def _fail(message: str, code: int) -> None:
    if not _together() or _first_to_fail():
        print(f"error: {printable(message)}", file=sys.stderr, flush=True)
    sys.exit(code)


def _together() -> bool:
    """Whether this is one of several processes of torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _first_to_fail() -> bool:
    """Whether none of torchrun's processes on this machine has told of an error yet; the first one ends all."""
    import psutil

    torchrun = psutil.Process().parent()
    born = 0.0 if torchrun is None else torchrun.create_time()
    mark = Path(tempfile.gettempdir()) / f"maskfold-{os.getppid()}-{born}.failed"
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    atexit.register(mark.unlink, missing_ok=True)
    return True
