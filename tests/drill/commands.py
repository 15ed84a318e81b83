"""The commands that are drilled, each as a process of its own: forked from one that has imported what they import.

A forked process is a process like any other, with its own files, locks, data workers and end; what it saves is the
seconds in which torch is imported. The one that forks has no threads.
"""

import contextlib
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

# What the commands import in any case.
IMPORTS = (
    "maskfold.cli.commands.train_fold",
    "maskfold.cli.commands.tune",
    "maskfold.cli.commands.predict",
    "maskfold.steps.train",
    "maskfold.steps.tune",
    "maskfold.steps.predict",
    "maskfold.training.candidates",
    "tests.drill.network",
    "torch._dynamo",
    "albumentations",
)
SEMI = ("--semi.threshold", "0.5", "--semi.ramp_epochs", "0", "--semi.unlabelled_per_batch", "2")
TRAIN = ("train-fold", "--config", "x.yaml", "--name", "r", "--fold", "1")
STAGES = {
    "train, adversarial": (*TRAIN, "--adversarial.weight", "0.1", "--adversarial.width", "4"),
    "train, semi": (*TRAIN, *SEMI),
    "train": TRAIN,
    "tune": ("tune", "--runs", "runs/r"),
    "predict": ("predict", "--runs", "runs/r", "--out", "sub.csv"),
}
CONFIG = """\
competition: {{root: {root}}}
model: {{architecture: "tests.drill.network:Tiny", encoder_weights: null}}
data: {{crop: 32, workers: 1, augment: d4}}
folds: {{count: 2}}
schedule: {{name: snapshot, cycles: 2}}
averaging: {{ema: 0.9, swa_start: 0.4, bn_batches: 2}}
optim: {{name: lookahead_adamw}}
train: {{epochs: 4, batch_size: 3, precision: fp32, trackers: [], oof_checkpoints: 2}}
tta: {{views: flips, dropout_passes: 2}}
tune: {{tried: {{threshold: [0.4, 0.5], fill_holes: [0], min_area: [0, 9]}}}}
"""
HANGS = 120.0  # seconds after which a try counts as one that hangs

Prepare = Callable[[], object]


def import_all() -> None:
    """Import what the commands import, without a thread being started."""
    for name in IMPORTS:
        import_module(name)


@dataclass
class Try:
    """A command that runs, or ran: ``code`` as `subprocess` has it."""

    pid: int
    log: Path
    started: float
    code: int | None = None

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, seconds: float = HANGS) -> int | None:
        """Wait for the end; None: it takes longer."""
        until = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        return self.code

    def send(self, number: int) -> None:
        """Send a signal to the process, not to its data workers."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def ended(self) -> int:
        """Wait for the end; one that hangs is killed."""
        if self.wait() is None:
            self.send(signal.SIGKILL)
            self.wait()
            return -999
        assert self.code is not None
        return self.code

    @property
    def said(self) -> str:
        """All that it printed."""
        return self.log.read_text(errors="replace")


def start(folder: Path, words: Sequence[str], prepare: Sequence[Prepare] = (), name: str = "log") -> Try:
    """Start a command in a folder; ``prepare`` is called in the new process before it."""
    log = folder / f"{name}.txt"
    sys.stdout.flush()
    sys.stderr.flush()
    started = time.monotonic()
    pid = os.fork()
    if pid:
        return Try(pid, log, started)
    code = 70
    try:
        _become(folder, log, words)
        _same_bits()
        for each in prepare:
            each()
        from maskfold.cli.doorways import command
        from maskfold.cli.script import run_script

        run_script(command(words[0]))
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _same_bits() -> None:
    """Convolve image by image: oneDNN's kernels differ in their last bits with the number of images in a batch."""
    import torch

    torch.backends.mkldnn.enabled = False


def _become(folder: Path, log: Path, words: Sequence[str]) -> None:
    os.setsid()
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, to in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, to)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), line_buffering=True)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), line_buffering=True)
    sys.argv = [f"maskfold {words[0]}", *words[1:]]
