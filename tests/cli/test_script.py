"""How scripts end: one message for an error, an exit code, no traceback."""

import errno
import os
import signal
import sys
import time

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from maskfold.cli.doorways import command
from maskfold.cli.script import Terminated, describe_error, if_interrupted, next_command, run_script
from maskfold.config import load_config
from maskfold.errors import CompetitionError, RunError
from maskfold.labels import LabelSpec
from maskfold.metrics import build_metric

NESTED = """Caught CompetitionError in DataLoader worker process 1.
Original Traceback (most recent call last):
  File "files.py", line 3, in read
    raise KeyError("a: b")
KeyError: 'a: b'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "images.py", line 9, in image
    raise CompetitionError(
maskfold.errors.CompetitionError: T003.jpg: it is broken,
T004.jpg: and this one too
"""


class Broken(Dataset):
    """Images that cannot be read."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise self.error


def caught(error, workers=1):
    with pytest.raises(type(error)) as found:
        list(DataLoader(Broken(error), num_workers=workers))
    return found.value


def test_a_data_workers_error_reads_like_our_own():
    error = CompetitionError("train/T003.jpg: not an image (truncated: 12 bytes), expected JPEG or PNG")
    arrived = caught(error)
    assert "Original Traceback" in str(arrived)
    assert describe_error(arrived) == str(error)
    assert describe_error(caught(error, workers=0)) == str(error)


def test_a_gpu_that_is_full_is_told_what_to_lower():
    text = describe_error(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore about it"))
    assert "lower train.batch_size" in text
    assert "inference.batch_size" in text
    assert text.endswith("(CUDA out of memory. Tried to allocate 2 GiB.)")


def test_other_errors_of_workers_name_their_type():
    text = describe_error(caught(RuntimeError("no memory: 12 MB")))
    assert text == "RuntimeError: no memory: 12 MB (set MASKFOLD_DEBUG=1 for the traceback)"
    assert describe_error(caught(AssertionError())).startswith("AssertionError: AssertionError (set")


def test_the_last_of_nested_tracebacks_counts():
    assert describe_error(CompetitionError(NESTED)) == "T003.jpg: it is broken,\nT004.jpg: and this one too"


def test_our_errors_stand_alone_and_others_with_their_type():
    assert describe_error(RunError("there is no run")) == "there is no run"
    assert describe_error(OSError(9, "Bad file descriptor")) == (
        "OSError: [Errno 9] Bad file descriptor (set MASKFOLD_DEBUG=1 for the traceback)"
    )
    assert describe_error(ValueError("odd")).startswith("ValueError: odd (set")
    with pytest.raises(ValueError) as found:  # noqa: PT011
        load_config(None, {"train.epochs": "x"})
    assert describe_error(found.value) == str(found.value)


def test_a_plain_value_error_of_ours_stands_alone():
    with pytest.raises(ValueError, match="no metric") as found:
        build_metric("dise", LabelSpec("binary", ("roof",)))
    assert describe_error(found.value) == str(found.value)


def fail_with(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (RunError("there is no run"), 1, "error: there is no run\n"),
        (KeyboardInterrupt(), 130, "error: interrupted: give the same command again\n"),
        (Terminated(), 143, "error: ended by SIGTERM: give the same command again\n"),
        (BrokenPipeError(), 1, ""),  # as with "| head": nobody reads on
    ],
)
def test_failures_are_one_message_and_an_exit_code(capsys, monkeypatch, error, code, text):
    monkeypatch.delenv("MASKFOLD_DEBUG", raising=False)
    with pytest.raises(SystemExit) as stop:
        run_script(fail_with(error))
    assert stop.value.code == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", text)


def test_a_long_name_is_shown_by_its_ends():
    error = OSError(errno.ENAMETOOLONG, "File name too long", "runs/" + "x" * 400 + "/config.yaml")
    text = describe_error(error)
    assert text.startswith("runs/xxx")
    assert "xxx/config.yaml: file name too long; give a shorter one" in text
    assert len(text) < 350


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "--like-test", "--submission", "a.csv"], "--like-test belongs to runs"),
        (["evaluate", "--like-test", "--note-lb", "0.5"], "--like-test belongs to runs"),
        (["evaluate", "--truth", "a.csv"], "--truth needs --submission"),
        (["evaluate", "--submission", "a.csv", "--truth", "b.csv", "--note-lb", "0.5"], "give one of them"),
        (["predict", "--oof", "--parallel", "2"], "--oof cannot be combined with --parallel"),
        (["predict", "--oof", "--engine", "onnx"], "--oof cannot be combined with --engine onnx"),
        (["predict", "--pack", "p", "--untuned"], "--pack cannot be combined with"),
        (["vote", "a.csv", "b.csv", "--weights", "1"], "--weights has 1 numbers, there are 2 submissions"),
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(capsys, monkeypatch, words, message):
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stop:
        command(words[0])()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_sigterm_ends_a_command_with_143_and_a_line_that_says_how_to_go_on(capsys):
    before = signal.getsignal(signal.SIGTERM)

    def main():
        if_interrupted("the same command goes on")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    with pytest.raises(SystemExit) as stop:
        run_script(main)
    assert (stop.value.code, capsys.readouterr().err) == (143, "error: ended by SIGTERM: the same command goes on\n")
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_sigterm_while_a_failure_is_told_changes_nothing(capsys, monkeypatch):
    """As torchrun sends it, when another process has failed before: it left a traceback, and no message."""

    def slowly(error):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        return f"told: {error}"

    monkeypatch.delenv("MASKFOLD_DEBUG", raising=False)
    monkeypatch.setattr("maskfold.cli.script.describe_error", slowly)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        run_script(fail_with(RunError("there is no run")))
    assert (stop.value.code, capsys.readouterr().err) == (1, "error: told: there is no run\n")
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_an_interrupted_training_says_which_command_goes_on(capsys, monkeypatch, flags):
    def interrupted(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["maskfold train-fold", "--config", "demo", "--fold", "0", *flags])
    monkeypatch.setattr("maskfold.cli.train.check_competition", lambda config: None)
    monkeypatch.setattr("maskfold.steps.train.train", interrupted)
    with pytest.raises(SystemExit) as stop:
        run_script(command("train-fold"))
    again = "the same command without --overwrite" if flags else "the same command"
    assert stop.value.code == 130
    assert f"interrupted: what is stored stays, {again} goes on after the last whole epoch\n" in capsys.readouterr().err


def test_debugging_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("MASKFOLD_DEBUG", "1")
    with pytest.raises(RunError):
        run_script(fail_with(RunError("there is no run")))


def test_success_prints_and_returns(capsys):
    run_script(lambda: next_command("python src/tune.py"))
    assert capsys.readouterr().out == "Next: python src/tune.py\n"


def test_of_several_processes_the_first_one_speaks(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # so that it comes back
    monkeypatch.setenv("RANK", "1")
    run_script(lambda: print("twice"))
    monkeypatch.undo()
    assert capsys.readouterr().out == ""
