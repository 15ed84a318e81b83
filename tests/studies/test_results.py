"""What a difference and its interval say."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from maskfold.errors import StudyError
from maskfold.metrics import PairedResult
from maskfold.studies import results as module
from maskfold.studies.columns import Column
from maskfold.studies.results import gather, judge
from maskfold.studies.scores import Scores


def verdict(difference, low, high, folds=1, all_folds=5, groups=40):
    return judge(PairedResult(difference, low, high, 0.5), folds, all_folds, groups)


def test_an_interval_that_leaves_out_0_decides():
    assert verdict(0.02, 0.001, 0.05) == "keep"
    assert verdict(-0.02, -0.05, -0.001) == "drop"


def test_more_folds_narrow_the_interval_by_their_square_root():
    # 0.03 wide towards 0, of a difference of 0.02: (3/2)² = 2.25 times as many images.
    assert verdict(0.02, -0.01, 0.04) == "undecided: 2 more folds would decide"
    assert verdict(-0.02, -0.09, 0.01) == "undecided: 2 more folds would decide"
    assert verdict(0.02, -0.001, 0.04) == "undecided: 1 more fold would decide"
    assert verdict(0.02, -0.01, 0.04, folds=2) == "undecided: 3 more folds would decide"
    assert verdict(0.02, -0.01, 0.04, folds=3) == "undecided: some 7 folds would decide, there are 5"


def test_an_interval_that_ends_at_0_needs_one_more_fold():
    assert verdict(0.02, 0.0, 0.04) == "undecided: 1 more fold would decide"


def test_differences_are_from_the_baseline_and_their_intervals_over_seeds_too(monkeypatch):
    """Each image of the variant is better by 0.1 with one seed and by 0.3 with the other, which is the better one."""
    base = np.linspace(0.2, 0.6, 12)

    def scored(plan, name, seed):
        values = base + 0.1 * seed + (name == "new") * (0.1, 0.3)[seed]
        return Scores([f"{n}" for n in range(12)], [f"{n}" for n in range(12)], {"dice": values[:, None]})

    mean = Column("dice", lambda *_: np.zeros(1), lambda rows: rows[..., 0].mean(-1))
    monkeypatch.setattr(module, "columns_of", lambda plan: [mean])
    monkeypatch.setattr(module, "score", scored)
    monkeypatch.setattr(module, "_summaries", lambda plan, name: [{"seconds": 60.0, "device": "cpu"}])
    monkeypatch.setattr(module, "_fold_count", lambda plan: 5)
    against = {"old": None, "new": "old"}
    study = SimpleNamespace(seeds=(0, 1), truth=None, variants=against, against=against.get)
    found = gather(SimpleNamespace(study=study, folds=lambda name: (0,)), ["old", "new"])
    (figure,) = found.rows[1].figures
    assert (found.rows[0].figures[0].value, figure.value) == pytest.approx((0.45, 0.65))
    assert figure.difference.difference == pytest.approx(0.2)
    assert figure.difference.low < 0.1 < 0.3 < figure.difference.high
    assert (found.images, found.groups) == (12, 12)


class Drawn:
    """A study of one seed: scores of twelve images that a variant has, in groups, and of its networks the names."""

    def __init__(self, monkeypatch, values, groups, *, ids=None, truth=None):
        ids = ids or {}
        self.values, self.study = (
            values,
            SimpleNamespace(seeds=(0,), truth=truth, variants=["old", "new"], against={"old": None, "new": "old"}.get),
        )

        def scored(plan, name, seed):
            rows = np.array(values[name], float)[:, None]
            own = ids.get(name, [str(number) for number in range(12)])
            return Scores(own, groups, {"ece": rows}, rows if truth else None, groups)

        mean = Column("ece", lambda *_: np.zeros(1), lambda rows: rows[..., 0].mean(-1), lower=True)
        monkeypatch.setattr(module, "columns_of", lambda plan: [mean])
        monkeypatch.setattr(module, "score", scored)
        monkeypatch.setattr(module, "_summaries", lambda plan, name: [{"seconds": 60.0, "device": "cpu"}])
        monkeypatch.setattr(module, "_fold_count", lambda plan: 5)

    def folds(self, name):
        """Of any variant."""
        return (0,)


def test_intervals_are_over_groups_which_are_drawn_whole(monkeypatch):
    """Of two scenes, of nine and three images, one is worse: over images that is a gain, over scenes it is none."""
    values, scenes = {"old": [0.5] * 12, "new": [0.6] * 9 + [0.45] * 3}, ["a"] * 9 + ["b"] * 3
    alone = gather(Drawn(monkeypatch, values, [str(number) for number in range(12)]), ["old", "new"])
    found = gather(Drawn(monkeypatch, values, scenes, truth="truth"), ["old", "new"])
    assert [each.rows[1].figures[0].difference.low > 0 for each in (alone, found)] == [True, False]
    assert (found.images, found.groups, found.lower) == (12, 2, ("ece",))
    assert found.rows[1].verdict.startswith("undecided")
    sure = gather(Drawn(monkeypatch, {**values, "new": [0.6] * 9 + [0.7] * 3}, scenes), ["old", "new"])
    assert sure.rows[1].verdict == "undecided: 2 more folds would decide", "both gain, but two scenes are few"
    assert found.rows[1].out_of_fold == pytest.approx((0.5625, 0.45, 0.6)), "an interval over two scenes is all of it"


def test_a_variant_is_compared_with_its_own_baseline_on_the_same_images_or_not_at_all(monkeypatch):
    values, groups = {"old": [0.5] * 12, "new": [0.6] * 12}, [str(number) for number in range(12)]
    (row,) = gather(found := Drawn(monkeypatch, values, groups), ["new"]).rows
    assert (row.against, row.verdict, row.figures[0].difference) == (None, "", None)
    assert gather(found, ["new"]).missing == ("old",)
    others = Drawn(monkeypatch, values, groups, ids={"new": [f"x{number}" for number in range(12)]})
    with pytest.raises(StudyError, match="new was scored on 12 images and old on 12, not the same"):
        gather(others, ["old", "new"])


def test_few_groups_decide_nothing():
    assert verdict(0.02, 0.001, 0.05, groups=2) == "undecided: 2 more folds would decide"
    assert verdict(0.02, 0.001, 0.05, groups=5) == "undecided: 1 more fold would decide"
    assert verdict(0.02, 0.001, 0.05, groups=6) == "keep"
    assert verdict(0.02, -0.06, 0.05, groups=2) == "undecided: some 16 folds would decide, there are 5"


def test_folds_do_not_help_where_the_images_are_others():
    assert verdict(0.02, -0.01, 0.04, all_folds=None) == "undecided"
    assert verdict(0.02, 0.01, 0.04, all_folds=None) == "keep"


@pytest.mark.parametrize("difference", [0.0, 1e-4])
def test_no_difference(difference):
    assert verdict(difference, -0.01, 0.01) == "undecided: no difference to speak of"


def test_one_group_tells_nothing():
    assert verdict(0.1, math.nan, math.nan, groups=1).startswith("undecided: one image or group")
