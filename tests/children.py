"""A forked process of a test: it ends in any case, so that pytest never runs on in two processes."""

import os
import signal
import traceback
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> int:
    """Do ``work`` in a fork of this process: 0, 1 where it raised, or less than 0, the number of the signal."""
    if (child := os.fork()) == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(work: Callable[[], object]) -> bool:
    """Whether ``work``, in a fork of this process, came to where it kills itself; see `die`."""
    return in_child(work) == -signal.SIGKILL


def die(*given: object) -> None:
    """Stands in for what is never reached: the process is killed here."""
    os.kill(os.getpid(), signal.SIGKILL)
