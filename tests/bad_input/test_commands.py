"""Submissions that are not there, are none or were given no score: one message and an exit code, from the command."""

import pytest
from tests.scripts.conftest import call

TRUTH = ("--truth", "truth.csv")
# What `evaluate` is given -> exit code, what is said.
ASKED = {
    "a score that is none": (("--note-lb", "nan"), 2, "'nan' is not a number"),
    "an infinite score": (("--note-lb", "inf"), 2, "'inf' is not a number"),
    "a score of nothing": (("--note-lb", "0.5"), 1, "log.csv has no submission"),
    "a score of a file that is not there": (("--note-lb", "0.5", "--submission", "gone.csv"), 1, "gone.csv"),
    "no submission": (("--submission", "gone.csv", *TRUTH), 1, "gone.csv"),
    "no truth": (("--submission", "truth.csv", "--truth", "gone.csv"), 1, "gone.csv"),
    "a folder": (("--submission", "folder", *TRUTH), 1, "folder"),
    "a link that leads in a circle": (("--submission", "circle.csv", *TRUTH), 1, "circle.csv"),
    "a name that no disk takes": (("--submission", "n" * 300, *TRUTH), 1, "n" * 300),
}


@pytest.mark.parametrize("kind", ASKED)
def test_what_is_not_there(tmp_path, monkeypatch, capsys, kind):
    words, code, text = ASKED[kind]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "truth.csv").write_text("a.png,1 5\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    done = call(capsys, "evaluate", *words)
    assert done.code == code
    assert text in done.err
    assert done.err.splitlines()[-1].startswith("error: " if code == 1 else "evaluate")
    assert "Error:" not in done.err
    assert "Errno" not in done.err
    assert "MASKFOLD_DEBUG" not in done.err
