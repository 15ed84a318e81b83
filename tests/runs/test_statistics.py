"""What is stored of a fold's scores, and that training stores it."""

import numpy as np
import pytest
from tests.drawn_runs import dice, truth_of

from maskfold.board import make_board
from maskfold.config import override
from maskfold.errors import RunError
from maskfold.labels import LabelSpec
from maskfold.runs import Run
from maskfold.runs.statistics import FoldStatistics, read_statistics, write_statistics
from maskfold.training import fit


@pytest.fixture
def fold(tmp_path):
    return Run(tmp_path / "run").fold(2)


def test_what_is_written_is_read(fold):
    stats = np.array([[1.0, 2.5, np.nan], [3.0, 0.0, 7.0]])
    labels = LabelSpec("multiclass", ("Boden", "建筑"))
    wanted = FoldStatistics("my_parts:F2", labels, ["b 1.jpg", "编号"], stats, ["x", "y"], {"beta": 2})
    write_statistics(fold, "snapshot_1", wanted)
    found = read_statistics(fold, "snapshot_1")
    assert (found.metric, found.labels, found.ids, found.groups) == ("my_parts:F2", labels, wanted.ids, ["x", "y"])
    assert found.options == {"beta": 2}
    assert found.stats.tobytes() == stats.tobytes()
    assert read_statistics(fold, "best") is None
    assert fold.checkpoints() == [], "no checkpoint is made up"


def test_the_same_statistics_are_the_same_bytes(fold):
    found = FoldStatistics("dice", LabelSpec("binary", ("a",)), ["x"], np.ones((1, 3)))
    contents = set()
    for _ in range(2):
        write_statistics(fold, "best", found)
        contents.add(fold.storage.read("fold_2/stats/best.npz"))
    assert len(contents) == 1


def test_a_damaged_file_is_named(fold):
    fold.storage.publish("fold_2/stats/best.npz", b"PK\x03\x04 nothing")
    with pytest.raises(RunError, match=r"stats/best\.npz is damaged .* train the fold again with --overwrite"):
        read_statistics(fold, "best")


@pytest.mark.slow
def test_training_stores_them_and_the_board_shows_what_the_maps_score(tiny, drawn, tmp_path):
    config = override(tiny, {"averaging.ema": 0.8, "tta.views": "none", "train.epochs": 1})
    run = Run.create(config, tmp_path / "runs")
    summary = fit(run, 1)
    truth, store = truth_of(drawn), run.fold(1).oof("best")
    scores = {name: dice((store.read(name)[0] >= 128).astype(np.uint8), truth[name]) for name in store.ids()}
    assert set(scores.values()) - {0.0, 1.0}, "the masks are neither empty nor perfect"
    board = make_board([run], tmp_path / "none.csv")
    (entry,) = board.entries
    assert entry.score == pytest.approx(np.mean(list(scores.values())), abs=0.02)  # the maps have 8 bits
    assert entry.score == pytest.approx(summary["candidates"]["best"])
    assert entry.low < entry.score < entry.high
    assert (entry.images, entry.device, entry.finished) == (6, summary["device"], ["1"])
    assert entry.hours == pytest.approx(summary["seconds"] / 3600)
    assert entry.ended == summary["ended"]
    ema = read_statistics(run.fold(1), "ema")
    assert ema.ids == sorted(scores)
    assert run.competition().metric.score(ema.stats) == pytest.approx(summary["candidates"]["ema"])
