"""``submissions/log.csv``: rows are kept as they were written, the leaderboard's score finds its row."""

import pytest

from maskfold.errors import InferenceError
from maskfold.scoring.submission_log import COLUMNS, note_leaderboard, note_submission, read_log, same_submission


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "sub" / "log.csv"
    note_submission(path, file="submissions/a.csv", sha256="0012", runs="x y", folds="0 1 2", oof_score="0.500000")
    note_submission(path, file="submissions/b, really.csv", sha256=None, runs="x", folds="all", oof_score=None)
    note_submission(path, file="submissions/a.csv", sha256="99ff", runs="x", folds="0", ensemble_sha256="ab")
    return path


def test_rows_are_appended_and_read_back_as_written(log):
    table = read_log(log)
    assert list(table.columns) == COLUMNS
    assert table["file"].tolist() == ["submissions/a.csv", "submissions/b, really.csv", "submissions/a.csv"]
    assert table["sha256"].tolist() == ["0012", "", "99ff"]
    assert table["oof_score"].tolist() == ["0.500000", "", ""]
    assert table["ensemble_sha256"].tolist() == ["", "", "ab"]
    assert table["leaderboard"].tolist() == ["", "", ""]
    assert table["time"].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d").all()
    assert [path.name for path in log.parent.iterdir()] == ["log.csv"]


def test_the_score_goes_to_the_latest_or_to_the_one_named(log):
    assert note_leaderboard(log, 0.5) == "submissions/a.csv"
    assert note_leaderboard(log, 0.875, "submissions/b, really.csv") == "submissions/b, really.csv"
    assert read_log(log)["leaderboard"].tolist() == ["", "0.875", "0.5"]
    # Of two of one name the later one; a score can be corrected.
    assert note_leaderboard(log, 0.25, "submissions/a.csv") == "submissions/a.csv"
    assert read_log(log)["leaderboard"].tolist() == ["", "0.875", "0.25"]
    assert read_log(log)["sha256"].tolist() == ["0012", "", "99ff"]


def test_a_submission_is_found_however_its_path_is_spelt(log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert note_leaderboard(log, 0.75, tmp_path / "submissions" / "x" / ".." / "a.csv") == "submissions/a.csv"
    assert read_log(log)["leaderboard"].tolist() == ["", "", "0.75"]


def test_the_same_file_is_found_again(log):
    assert same_submission(log, "99ff").startswith("submissions/a.csv of 20")
    assert same_submission(log, "1234") is None
    note_submission(log, file="submissions/c.csv", sha256="0012")
    assert same_submission(log, "0012").startswith("submissions/c.csv of"), "the latest"


def test_submissions_that_are_not_there_are_named(log, tmp_path):
    before = log.read_bytes()
    named = r"has no submissions/c\.csv, the latest are submissions/a\.csv, submissions/b, "
    with pytest.raises(InferenceError, match=named):
        note_leaderboard(log, 0.9, "submissions/c.csv")
    assert log.read_bytes() == before
    with pytest.raises(InferenceError, match="has no submission, the latest are nothing: "):
        note_leaderboard(tmp_path / "none.csv", 0.9)
    assert not (tmp_path / "none.csv").exists()
