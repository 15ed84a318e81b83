"""The command that follows, of runs and files whose names hold a space: typed into a shell, it names them."""

import shlex
from pathlib import Path

import pytest

from maskfold.cli.arguments import run_flags
from maskfold.cli.commands import board, predict
from maskfold.cli.script import next_note, next_scores
from maskfold.cli.train import train_and_tell
from maskfold.config import override
from maskfold.errors import RunError
from maskfold.runs import Run
from maskfold.steps.choose import choose

FLAGS = ["--config", "my config.yaml", "--name", "my run"]


@pytest.fixture
def run(tiny, here):
    return Run.create(tiny.model_copy(update={"name": "my run"}), Path("runs"))


@pytest.fixture
def typed(capsys):
    """The words of the last line, behind the program's name."""

    def words() -> list[str]:
        last = capsys.readouterr().out.splitlines()[-1]
        return shlex.split(last.partition(" (or ")[0])[2:]

    return words


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        ([0], ["src/train_fold.py", *FLAGS, "--fold", "1"]),
        ([0, 1, 2], ["src/tune.py", "--runs", "runs/my run"]),
    ],
)
def test_of_a_training(run, typed, monkeypatch, finished, expected):
    monkeypatch.setattr("maskfold.steps.train.train", lambda *_, **__: run)
    monkeypatch.setattr(Run, "finished_folds", lambda self: finished)
    train_and_tell(run.config, [0], FLAGS, overwrite=False)
    assert typed() == expected


def test_a_training_says_where_its_run_is(run, monkeypatch, capsys):
    monkeypatch.setattr("maskfold.cli.train.RUNS", Path("/mnt/all runs"))
    monkeypatch.setattr("maskfold.steps.train.train", lambda *_, **__: run)
    train_and_tell(run.config, [2, 0], FLAGS, overwrite=False)
    assert capsys.readouterr().out.startswith("Training folds 2, 0 of /mnt/all runs/my run …\n")


def test_of_a_submission(typed):
    next_scores(Path("submissions/my run.csv"), ["--runs", "runs/my run"])
    expected = ["--runs", "runs/my run", "--submission", "submissions/my run.csv", "--truth", "TRUTH"]
    assert typed() == ["src/evaluate.py", *expected]
    next_note(Path("submissions/my run.csv"))
    assert typed() == ["src/evaluate.py", "--submission", "submissions/my run.csv", "--note-lb", "SCORE"]


def test_of_a_prediction(run, typed, monkeypatch):
    monkeypatch.setattr("sys.argv", ["predict.py", "--runs", "runs/my run"])
    monkeypatch.setattr("maskfold.cli.arguments.folds_of", lambda run, asked: [0])
    monkeypatch.setattr("maskfold.steps.predict.predict", lambda *_, **__: Path("submissions/my run.csv"))
    predict.main()
    assert typed()[:5] == ["src/evaluate.py", "--runs", "runs/my run", "--submission", "submissions/my run.csv"]


def test_of_a_board(run, typed, monkeypatch):
    class Board:
        reference = run

    monkeypatch.setattr("sys.argv", ["board.py"])
    monkeypatch.setattr("maskfold.board.make_board", lambda *_: Board)
    monkeypatch.setattr("maskfold.board.board_text", lambda *_: "")
    board.main()
    assert typed() == ["src/report.py", "--runs", "runs/my run"]


def test_in_an_error(run):
    other = Run.create(run.config.model_copy(update={"name": "other"}), Path("runs"))
    with pytest.raises(RunError) as error:
        choose([run, other], run.config, set(), untuned=False)
    assert "tune.py --runs 'runs/my run' runs/other first" in str(error.value)


def test_with_the_competition_elsewhere(run):
    flags = run_flags([run], {"competition.root": "my data"})
    assert flags == ["--runs", "runs/my run", "--competition.root", "my data"]
    assert str(override(run.config, {flags[2].removeprefix("--"): flags[3]}).competition.root) == "my data"
