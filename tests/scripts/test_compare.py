"""compare.py as a user runs it."""

import re

import cv2
import numpy as np
import pytest
from tests.conftest import reference_rle
from tests.drawn_runs import truth_of


@pytest.fixture
def submissions(here):
    truth = truth_of(here / "data/mine", "test")
    for name, step in (("near", 1), ("far", 6)):
        rows = [f"{image}\t{reference_rle(np.roll(mask, step, axis=1))}\n" for image, mask in truth.items()]
        (here / f"submissions/{name}.csv").parent.mkdir(exist_ok=True)
        (here / f"submissions/{name}.csv").write_text("".join(rows))
    return ["submissions/near.csv", "submissions/far.csv"]


def test_two_submissions(here, submissions, script):
    done = script("compare", *submissions)
    assert done.code == 0, done.err
    assert "a = submissions/near.csv: foreground" in done.out
    assert "Picture: submissions/near_far.png" in done.out
    assert done.out.splitlines()[-1] == "Next: python src/evaluate.py --submission submissions/near.csv --note-lb SCORE"
    assert cv2.imread("submissions/near_far.png").shape[2] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--picture", "p.csv"), "'p.csv': expected a name ending in .png or "),
        (("--images", "-1"), "'-1' is not a whole number from 1"),
    ],
)
def test_a_picture_that_cannot_be(here, submissions, script, words, message):
    done = script("compare", *submissions, *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_with_the_truth_the_better_one_is_named(here, submissions, script):
    truth = "data/mine/test_a_truth.csv"
    done = script("compare", *submissions, "--truth", truth, "--picture", "p.png", "--images", "2")
    assert done.code == 0, done.err
    a, b = (float(re.search(rf"^{name}: dice (0\.\d+)", done.out, re.MULTILINE)[1]) for name in submissions)
    assert a > b
    between = rf"^{submissions[0]} against {submissions[1]}: difference ([+-]0\.\d+)"
    difference = float(re.search(between, done.out, re.MULTILINE)[1])
    assert difference == pytest.approx(a - b, abs=2e-4)
    verdicts = ("Verdict: submissions/near.csv is better than submissions/far.csv", "Verdict: no difference between")
    assert any(verdict in done.out for verdict in verdicts)
    evaluated = script("evaluate", "--submission", submissions[0], "--truth", truth)
    told = evaluated.out.partition(" …\n")[2].partition("Next:")[0]
    assert told.startswith(f"{submissions[0]}: dice {a}")
    assert told in done.out, "both commands score in the same words"
    swapped = script("compare", *reversed(submissions), "--truth", truth, "--picture", "q.png")
    assert swapped.out.splitlines()[-1] == (
        "Next: python src/evaluate.py --submission submissions/near.csv --note-lb SCORE"
    ), "the better one"
    two = cv2.imread("p.png").shape[0]
    script("compare", *submissions, "--picture", "p.png", "--images", "4")
    assert cv2.imread("p.png").shape[0] > 1.6 * two


def test_nothing_to_show(here, submissions, script):
    done = script("compare", submissions[0], submissions[0])
    assert done.code == 0, done.err
    assert "Picture" not in done.out
    assert not (here / "submissions/near_near.png").exists()


def test_errors_are_one_message(here, submissions, script):
    done = script("compare", submissions[0], "data/mine/train_mask.csv")
    assert done.code == 1
    assert "both must name the same images" in done.err
    done = script("compare", submissions[0], "submissions/none.csv")
    assert done.err.startswith("error: there is no file submissions/none.csv: ")
