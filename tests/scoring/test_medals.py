"""The closed boards' lines, where a score would have stood, and that every place says what it is worth."""

import pytest
from tests.drawn_runs import make_run
from tests.report.conftest import fake_run

from maskfold.board import make_board
from maskfold.board.columns import board_text
from maskfold.competitions import load_profile, open_competition
from maskfold.competitions.profile_base import Medals
from maskfold.config import override
from maskfold.report import make_report, read_choice
from maskfold.scoring.medals import WORTH, placed, standing
from maskfold.steps.evaluate import show_runs

# gold, silver, bronze, median, winner
LINES = {
    "tgs-salt": (0.89097, 0.87163, 0.85918, 0.81665, 0.89646),
    "hubmap-kidney": (0.9484, 0.9455, 0.9439, None, 0.9515),
    "contrails": (0.71059, 0.69360, 0.67929, 0.63819, 0.72432),
    "gi-tract": (0.87917, 0.87139, 0.86699, 0.85499, 0.88593),
    "vesuvius-ink": (0.64497, 0.59842, 0.57183, 0.37249, 0.68269),
    "airbus-ships": (0.85156, 0.84679, 0.84416, 0.83344, 0.85448),
}


@pytest.mark.parametrize("name", LINES)
def test_the_figures(name):
    medals = load_profile(name).medals
    assert (medals.gold, medals.silver, medals.bronze, medals.median, medals.winner) == LINES[name]
    assert medals.source


def test_standing():
    tgs, kidney = (load_profile(name).medals for name in ("tgs-salt", "hubmap-kidney"))
    for score, expected in ((0.9, "at or above the winner's score"), (0.89646, "at or above the winner's score"),
                            (0.8955, "gold"), (0.87163, "silver"), (0.8716, "bronze"), (0.82, "above the median"),
                            (0.5, "below the median")):  # fmt: skip
        assert standing(tgs, score) == expected
    assert standing(kidney, 0.94) == "below bronze"
    assert standing(load_profile("siim-pneumothorax").medals, 0.86) == "below the winner"
    assert placed(tgs, 0.86, 0.85, 0.88).endswith("been in bronze, its interval: above the median to silver")
    assert placed(tgs, 0.865, 0.86, 0.87).endswith("its interval: bronze")
    assert placed(tgs, 0.5) == "0.5000 would have been below the median"
    assert placed(tgs, 0.86, float("nan"), float("nan")) == "0.8600 would have been in bronze"


def test_lines_must_fall():
    with pytest.raises(ValueError, match=r"must fall from winner to median"):
        Medals(winner=0.8, gold=0.9, source="x")


def test_evaluate_board_and_report_say_it(config, drawn, truth, tmp_path, monkeypatch, capsys):
    """A profile of one's own with medals; without them nobody says anything."""
    monkeypatch.chdir(tmp_path)
    shipped = (load_profile.__globals__["SHIPPED"] / "tianchi-buildings.yaml").read_text()
    (tmp_path / "own.yaml").write_text(f"{shipped}\nmedals: {{winner: 0.99, gold: 0.95, bronze: 0.2, source: here}}\n")
    ids = sorted(truth)
    valid = {0: ids[::2], 1: ids[1::2]}
    maps = {"best": {fold: {n: (0.1 + 0.5 * truth[n] * (i % 3 > 0))[None] for i, n in enumerate(own)}
                     for fold, own in valid.items()}}  # fmt: skip
    for name, profile in (("plain", config.competition.profile), ("own", str(tmp_path / "own.yaml"))):
        run = make_run(tmp_path / "runs", name, override(config, {"competition.profile": profile}), maps, valid)
        competition = open_competition(run.config.competition)
        show_runs([run], competition, run.config)
        told = capsys.readouterr().out
        assert ("would have been in bronze" in told) == (WORTH in told) == (name == "own")
    board = board_text(make_board([run], tmp_path / "log.csv"))
    assert "  own: 0.5000 would have been in bronze" in board, "what training reported, without an interval"
    assert board.count("would have been") == board.count(WORTH) == 1
    changes = {"competition.root": drawn, "competition.profile": str(tmp_path / "own.yaml")}
    run = fake_run(tmp_path / "pages", "page", **changes)
    choice = read_choice([run], run.ensemble_path)
    page = make_report([run], competition, choice, tmp_path / "report.html", count=3).path.read_text()
    assert "would have been" in page
    assert WORTH in page
