"""What the board tells, against figures computed from the drawn statistics by hand."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.board.conftest import IMAGES, counts, drawn_run

from maskfold.board import board_text, make_board
from maskfold.board.columns import COLUMNS, sorted_entries
from maskfold.config import Config
from maskfold.report.board_page import board_page
from maskfold.runs import Run
from maskfold.runs.statistics import FoldStatistics, read_statistics, write_statistics
from maskfold.scoring import note_leaderboard, note_submission


def dice(quality, seed, folds=(0, 1, 2)):
    """image -> Dice, drawn again as in `drawn_run`."""
    rng, found = np.random.default_rng(seed), {}
    for fold in range(3):
        tp, fp, fn = counts(rng, 20, quality).T
        scores = dict(zip(IMAGES[fold::3], 2 * tp / (2 * tp + fp + fn), strict=True))
        found |= scores if fold in folds else {}
    return found


def board(root, reference=None, log="none.csv"):
    runs = [Run(path.parent) for path in sorted(root.glob("*/config.yaml"))]
    chosen = None if reference is None else Run(root / reference)
    made = make_board(runs, root / log, chosen)
    return made, {entry.name: entry for entry in made.entries}


def resampled(values, others=None, repeats=4000):
    """Percentiles of the mean, or of the mean difference, over images drawn with replacement."""
    values = np.array(list(values)) - (0 if others is None else np.array(list(others)))
    rows = np.random.default_rng(99).integers(len(values), size=(repeats, len(values)))
    return np.quantile(values[rows].mean(1), [0.025, 0.975])


class TestScores:
    def test_the_score_is_the_mean_over_the_images_of_all_folds(self, root):
        drawn_run(root, "a", quality=0.7, draw=3)
        drawn_run(root, "one", quality=0.7, draw=3, folds=(1,))
        _, found = board(root)
        expected = dice(0.7, 3)
        assert found["a"].score == pytest.approx(np.mean(list(expected.values())))
        assert (found["a"].images, found["one"].images) == (60, 20)
        assert found["one"].score == pytest.approx(np.mean(list(dice(0.7, 3, (1,)).values())))
        assert (found["a"].low, found["a"].high) == pytest.approx(resampled(expected.values()), abs=0.004)

    def test_the_difference_is_paired_on_the_images_that_both_have(self, root):
        drawn_run(root, "a", quality=0.7, draw=3)
        drawn_run(root, "b", quality=0.75, draw=4)
        drawn_run(root, "one", quality=0.6, draw=5, folds=(1,))
        _, found = board(root, "a")
        a, b, one = dice(0.7, 3), dice(0.75, 4), dice(0.6, 5, (1,))
        assert found["a"].difference is None
        assert found["b"].difference == pytest.approx(np.mean([b[i] - a[i] for i in a]))
        ends = (found["b"].difference_low, found["b"].difference_high)
        assert ends == pytest.approx(resampled([b[i] for i in a], a.values()), abs=0.004)
        assert found["one"].difference == pytest.approx(np.mean([one[i] - a[i] for i in one]))
        assert (found["b"].common, found["one"].common) == (60, 20)

    def test_the_best_run_is_the_reference_where_none_is_chosen(self, root):
        for name, quality in (("low", 0.5), ("high", 0.9), ("middle", 0.7)):
            drawn_run(root, name, quality=quality)
        made, found = board(root)
        assert made.reference is found["high"]
        assert found["low"].difference_high < found["middle"].difference_high < 0

    def test_the_reference_scores_the_most_images(self, root):
        drawn_run(root, "few", quality=0.95, folds=(1,))
        drawn_run(root, "many", quality=0.7)
        made, found = board(root)
        assert found["few"].score > found["many"].score
        assert made.reference is found["many"]

    def test_intervals_are_over_groups_where_they_are_known(self, root):
        drawn_run(root, "alone", draw=2)
        drawn_run(root, "groups", draw=2, groups=True)
        _, found = board(root)
        assert found["groups"].score == found["alone"].score
        assert found["groups"].low != found["alone"].low

    def test_differences_on_some_images_are_over_the_groups_of_these(self, root):
        drawn_run(root, "a", quality=0.7, draw=3, groups=True)
        drawn_run(root, "one", quality=0.6, draw=5, folds=(1,), groups=True)
        _, found = board(root, "a")
        a, one = dice(0.7, 3), dice(0.6, 5, (1,))
        differences = np.array([one[i] - a[i] for i in one])
        scenes = np.array([n // 9 for n in range(1, 60, 3)])
        rng, drawn = np.random.default_rng(99), []
        for _ in range(4000):
            rows = np.concatenate([np.flatnonzero(scenes == scene) for scene in rng.integers(7, size=7)])
            drawn.append(differences[rows].mean())
        ends = (found["one"].difference_low, found["one"].difference_high)
        assert ends == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.004)
        alone = resampled(one.values(), [a[i] for i in one])
        assert abs(ends[0] - alone[0]) + abs(ends[1] - alone[1]) > 0.008

    def test_a_difference_over_fewer_than_six_groups_shows_nothing(self, root):
        for name, scene in (("a", 0), ("five", 12), ("six", 10)):
            run = drawn_run(root, name, draw=len(name), groups=True)
            for fold in range(3 if scene else 0):
                found = read_statistics(run.fold(fold), "best")
                groups = [str(n // scene) for n in range(fold, 60, 3)]
                write_statistics(run.fold(fold), "best", replace(found, groups=groups))
        made, found = board(root, "a")
        assert (found["a"].units, found["five"].units, found["six"].units) == (None, 5, 6)
        assert "five: a difference over fewer than six images or groups shows nothing" in board_text(made)
        assert "Nor do fewer than six images or groups: five." in board_page(made)

    def test_a_metric_with_other_options_is_not_compared(self, root):
        for name, beta in (("a", 1.0), ("b", 2.0)):
            run = drawn_run(root, name)
            for fold in range(3):
                found = replace(read_statistics(run.fold(fold), "best"), metric="f_beta", options={"beta": beta})
                write_statistics(run.fold(fold), "best", found)
        _, found = board(root, "a")
        assert found["a"].score != found["b"].score
        assert found["b"].difference is None

    def test_another_metric_is_not_compared(self, root):
        drawn_run(root, "a")
        other = drawn_run(root, "b", folds=())
        for fold in range(3):
            stats = counts(np.random.default_rng(fold), 20, 0.9)
            labels = read_statistics(Run(root / "a").fold(fold), "best").labels
            write_statistics(other.fold(fold), "best", FoldStatistics("iou", labels, IMAGES[fold::3], stats))
            other.fold(fold).finish({"candidates": {}})
        _, found = board(root, "a")
        assert found["b"].score is not None
        assert found["b"].difference is None

    def test_an_older_run_has_the_score_that_training_reported_and_no_interval(self, root):
        drawn_run(root, "old", quality=0.7, draw=3, stored=False, facts={"valid_images": 20})
        drawn_run(root, "oldest", quality=0.7, draw=3, stored=False, facts={})
        made, found = board(root)
        assert found["old"].score == pytest.approx(np.mean(list(dice(0.7, 3).values())))
        assert found["oldest"].score == pytest.approx(found["old"].score)
        assert (found["old"].low, found["old"].hours, found["old"].device, found["old"].ended) == (None, None, "", "")
        assert made.reference is None
        assert "no interval: old, oldest" in board_text(made)

    def test_folds_of_which_some_have_no_statistics_count_by_their_images(self, root):
        run = drawn_run(root, "mixed", folds=(0,))
        for fold, score, images in ((1, 0.5, 30), (2, 0.2, 10)):
            run.fold(fold).save_checkpoint("best", {})
            run.fold(fold).finish({"metric": "dice", "candidates": {"best": score}, "valid_images": images})
        _, found = board(root)
        first = np.mean(list(dice(0.8, 0, (0,)).values()))
        assert found["mixed"].score == pytest.approx((20 * first + 30 * 0.5 + 10 * 0.2) / 60)
        assert (found["mixed"].images, found["mixed"].low) == (60, None)


class TestFacts:
    def test_folds_hours_device_and_size(self, root):
        run = drawn_run(root, "a", folds=(0, 2))
        run.fold("all").save_checkpoint("best", {})
        run.fold("all").finish(
            {"seconds": 3600.0, "processes": 2, "device": "H100", "ended": "2026-04-05T10:00:00+00:00"}
        )
        run.fold(1).save_checkpoint("best", {})
        _, found = board(root)
        entry = found["a"]
        assert entry.finished == ["0", "2", "all"]
        assert entry.planned == 3
        assert entry.hours == pytest.approx((1800 + 3000) / 3600 + 2)
        assert entry.device == "cpu, H100"
        assert entry.ended.startswith("2026-04-05")
        assert entry.size == sum(path.stat().st_size for path in (root / "a").rglob("*") if path.is_file())
        (folds,) = [column for column in COLUMNS if column.name == "folds"]
        assert folds.text(entry) == "2/3+all (1 begun)"

    def test_a_damaged_run_is_told_and_the_others_are_shown(self, root):
        drawn_run(root, "a")
        bad = drawn_run(root, "bad")
        (bad.path / "fold_1/stats/best.npz").write_bytes(b"PK nothing")
        worse = drawn_run(root, "worse")
        worse.config_path.write_text("train: [")
        made, found = board(root)
        assert "stats/best.npz is damaged" in found["bad"].problem
        assert "config.yaml is damaged" in found["worse"].problem
        text = board_text(made)
        assert "bad: " in text
        assert "worse: " in text
        assert found["a"].score is not None

    def test_a_run_that_is_removed_meanwhile_does_not_end_the_board(self, root):
        runs = [drawn_run(root, name) for name in ("a", "gone")]
        listed = [Run(run.path) for run in runs]
        shutil.rmtree(root / "gone")
        made = make_board(listed, root / "none.csv")
        assert [entry.score is None for entry in made.entries] == [False, True]
        assert "gone/config.yaml" in made.entries[1].problem
        assert "gone: " in board_text(made)

    def test_nothing_is_written(self, root):
        drawn_run(root, "a")
        before = {path: path.stat().st_mtime_ns for path in root.parent.rglob("*")}
        board_text(board(root)[0])
        assert {path: path.stat().st_mtime_ns for path in root.parent.rglob("*")} == before


class TestParents:
    def test_only_the_keys_that_differ_from_the_config_of_its_name(self, root):
        (root.parent / "mine.yaml").write_text("optim: {lr: 0.02}\ntrain: {epochs: 7}\n")
        changes = {"optim__lr": 0.02, "train__epochs": 7}
        drawn_run(root, "mine", **changes)
        drawn_run(root, "other", **{**changes, "seed": 5, "data__workers": 9})
        _, found = board(root)
        assert found["mine"].parent.name == "mine.yaml"
        assert found["mine"].parent.changes == ()
        assert found["other"].parent.name == "mine.yaml"
        assert found["other"].parent.changes == ("seed: 0 -> 5",)

    def test_a_run_is_the_parent_where_it_is_nearer_than_any_config(self, root):
        changes = {"optim__lr": 0.02, "train__epochs": 7, "data__crop": 64}
        drawn_run(root, "first", **changes)
        drawn_run(root, "second", **changes, model__encoder="resnet18")
        _, found = board(root)
        assert found["first"].parent.name == "the defaults"
        assert set(found["first"].parent.keys) == {"optim.lr", "train.epochs", "data.crop"}
        assert found["second"].parent.name == str(root / "first")
        encoder = Config().model.encoder
        assert found["second"].parent.changes == (f"model.encoder: {encoder} -> resnet18",)


def noted(root, scores):
    """Submissions of the run a with local and leaderboard scores."""
    log = root / "log.csv"
    for number, (local, leaderboard) in enumerate(scores):
        note_submission(log, file=f"s{number}.csv", runs="a", folds="0 1", oof_score=local)
        if leaderboard is not None:
            note_leaderboard(log, leaderboard)


class TestLeaderboard:
    def test_the_largest_local_difference_that_the_leaderboard_turned_round(self, root):
        drawn_run(root, "a")
        noted(
            root,
            [("0.800000", 0.79), ("0.803000", 0.788), ("0.801000 (optimistic)", 0.7885), ("0.9", None), (None, 0.7)],
        )
        made, found = board(root, log="log.csv")
        (gap,) = made.gaps
        assert found["a"].leaderboard == 0.79
        assert [s.local for s in gap.submissions] == [0.8, 0.803, 0.801]
        assert gap.mean == pytest.approx(np.mean([-0.01, -0.015, -0.0125]))
        assert gap.spread == pytest.approx(np.std([-0.01, -0.015, -0.0125], ddof=1))
        assert gap.sentence().startswith("A difference of 0.0030 locally has meant nothing so far: s1.csv is that much")
        assert gap.competition == "tianchi-buildings"
        assert "5 submissions, 4 with a leaderboard score" in board_text(made)

    def test_of_several_that_it_turned_round_the_largest_is_told_and_a_tie_is_one(self, root):
        drawn_run(root, "a")
        noted(root, [("0.80", 0.71), ("0.81", 0.70), ("0.85", 0.71), ("0.82", 0.72)])
        (gap,) = board(root, log="log.csv")[0].gaps
        assert gap.reversed is not None
        assert [each.file for each in gap.reversed] == ["s2.csv", "s0.csv"]
        assert (gap.pairs, gap.closest) == (6, pytest.approx(0.01))

    def test_a_score_of_several_runs_together_is_none_of_one_of_them(self, root):
        drawn_run(root, "a")
        drawn_run(root, "ab")
        for runs, score in (("a", 0.7), ("a ab", 0.9), ("ab", 0.8)):
            note_submission(root / "log.csv", file=f"{runs}.csv", runs=runs, folds="0 1", oof_score="0.8")
            note_leaderboard(root / "log.csv", score)
        _, found = board(root, log="log.csv")
        assert (found["a"].leaderboard, found["ab"].leaderboard) == (0.7, 0.8)

    def test_where_the_leaderboard_agrees(self, root):
        drawn_run(root, "a")
        noted(root, [("0.8", 0.7), ("0.81", 0.72), ("0.85", 0.725)])
        (gap,) = board(root, log="log.csv")[0].gaps
        assert gap.sentence() == (
            "So far the leaderboard has put all 3 pairs of submissions in the local order, down to a local difference "
            "of 0.0100."
        )

    def test_one_submission_tells_nothing_about_differences(self, root):
        drawn_run(root, "a")
        noted(root, [("0.8", 0.7)])
        (gap,) = board(root, log="log.csv")[0].gaps
        assert gap.spread is None
        assert gap.sentence().startswith("Two submissions with different local scores would tell")


def test_medals_of_the_best_run_come_first(root):
    for name, quality in (("a", 0.85), ("b", 0.95), ("c", 0.5)):
        drawn_run(root, name, quality=quality, competition__profile="tgs-salt")
    head, *runs, worth = board(root)[0].medals
    assert head.startswith("tgs-salt, ")
    assert "gold 0.8910" in head
    assert [line.split(":")[0].strip() for line in runs] == ["b", "a", "c"]
    assert "below the median" in runs[2]
    assert "a hint, no place" in worth


def test_sorted_by_a_column_what_is_not_known_is_last(root):
    drawn_run(root, "b", quality=0.6)
    drawn_run(root, "a", quality=0.9)
    drawn_run(root, "c", folds=())
    entries = board(root)[0].entries
    by = {column.name: [entry.name for entry in sorted_entries(entries, column)] for column in COLUMNS}
    assert by["score"] == ["a", "b", "c"]
    assert by["run"] == ["a", "b", "c"]
    assert by["difference"] == ["b", "a", "c"]
    assert by["folds"][-1] == "c"
