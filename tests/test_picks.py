"""Which of many are looked at, counted by hand."""

import pytest

from maskfold.picks import evenly_spaced, every_nth


@pytest.mark.parametrize(
    ("most", "evenly", "nth"),
    [
        (1, "a", "a"),
        (2, "ag", "ae"),
        (3, "adg", "adg"),
        (4, "aceg", "aceg"),
        (5, "acdeg", "aceg"),  # places 0, 1.5, 3, 4.5, 6
        (7, "abcdefg", "abcdefg"),
        (9, "abcdefg", "abcdefg"),
    ],
)
def test_which_of_seven(most, evenly, nth):
    assert evenly_spaced("abcdefg", most) == list(evenly)
    assert every_nth("abcdefg", most) == list(nth)


def test_of_nothing_nothing():
    assert evenly_spaced([], 3) == every_nth([], 3) == evenly_spaced([1, 2], 0) == []
