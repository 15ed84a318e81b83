"""Objects of several voters against masks drawn by hand."""

import numpy as np
import pytest

from maskfold.rle import RLEError, Runs, objects

SHAPE = (9, 13)


def box(top, left, height, width, order="F"):
    mask = np.zeros(SHAPE, np.uint8)
    mask[top : top + height, left : left + width] = 1
    return Runs.of_mask(mask, order)


# Two that touch along a side, and one alone.
LEFT, RIGHT, ALONE = box(1, 0, 4, 3), box(1, 3, 4, 5), box(7, 9, 2, 4)


def test_equal_voters_keep_their_objects_and_their_order():
    mine = [RIGHT, ALONE, LEFT]
    assert objects.vote([mine, mine, mine]) == mine
    assert objects.vote([mine, mine[::-1], mine]) == mine, "objects are found by their pixels, not by their place"
    assert objects.agreement(mine, mine[::-1]) == 1


@pytest.mark.parametrize("order", ["F", "C"])
def test_pixels_are_voted_on_by_those_that_have_the_object(order):
    mine = [box(2, 3, 4, 5, order), box(3, 3, 4, 5, order), box(2, 4, 4, 5, order)]
    votes = np.sum([own.mask() for own in mine], axis=0)
    (found,) = objects.vote([[own] for own in mine])
    np.testing.assert_array_equal(found.mask(), votes >= 2)
    (found,) = objects.vote([[own] for own in mine], [5, 2, 2])
    assert found == mine[0], "five of nine"
    (found,) = objects.vote([[mine[0]], [], [mine[2]]], [1, 1, 2])
    assert found == mine[2], "two of the three that have it, of all only half"


def test_an_object_is_kept_by_more_than_half_of_all():
    voters = [[LEFT, ALONE], [LEFT], [RIGHT], []]
    assert objects.vote(voters) == []
    assert objects.vote(voters[:3]) == [LEFT]
    assert objects.vote(voters, [1, 1.5, 1, 1]) == [LEFT]
    assert objects.vote(voters, [1, 1, 3, 0.5]) == [RIGHT]
    assert objects.vote(voters[2:0:-1], least=1) == [RIGHT, LEFT]
    assert objects.vote(voters, least=1) == [LEFT, ALONE, RIGHT]
    assert objects.vote(voters, least=2) == [LEFT]


def test_half_of_the_union_is_not_the_same():
    half, more = box(1, 0, 4, 6), box(1, 0, 4, 5)  # IoU with 4 x 3 pixels: 12 / 24 and 12 / 20
    assert objects.vote([[LEFT], [half]]) == []
    assert objects.vote([[LEFT], [more]]) == [LEFT]
    assert objects.agreement([LEFT, ALONE], [more]) == pytest.approx(2 / 3)
    assert objects.agreement([LEFT], [half]) == 0
    assert objects.agreement([], []) == 1


def test_one_object_of_a_voter_at_most_and_the_most_alike_first():
    """Both of the second voter's fit the first one's, which overlap in turn."""
    mine, near, nearer = box(0, 0, 8, 10), box(0, 0, 8, 7), box(0, 0, 8, 9)
    assert objects.same([[mine], [near, nearer]]) == [{0: mine, 1: nearer}, {1: near}]
    assert objects.same([[near, nearer], [mine]]) == [{0: near}, {0: nearer, 1: mine}]
    assert objects.agreement([near, nearer], [mine]) == pytest.approx(2 / 3)


def test_merged_objects_of_one_voter_do_not_merge_those_of_the_others():
    whole = box(1, 0, 4, 8)
    assert objects.vote([[LEFT, RIGHT], [whole], [LEFT, RIGHT]]) == [LEFT, RIGHT]


def test_a_pixel_of_two_objects_is_the_last_ones():
    first, second, within = box(1, 0, 4, 6), box(1, 4, 4, 5), box(2, 1, 2, 2)
    assert objects.apart([first, second]) == [box(1, 0, 4, 4), second]
    assert objects.apart([second, first]) == [box(1, 6, 4, 3), first]
    assert objects.apart([within, first]) == [first], "nothing is left of it"
    assert objects.apart([]) == []
    assert objects.vote([[first, second]] * 2) == [box(1, 0, 4, 4), second]


def test_many_objects_in_noise():
    """Against a vote on labelled images, where each object stands in a cell of its own."""
    rng = np.random.default_rng(5)
    cells = np.kron(np.arange(1, 21).reshape(4, 5), np.ones((7, 9), int))  # (28, 45)
    there = rng.random((5, 21)) < 0.6
    drawn = [cells * (rng.random(cells.shape) < 0.9) * np.isin(cells, np.flatnonzero(part)) for part in there]
    voters = [[Runs.of_mask(image == cell) for cell in rng.permutation(np.unique(image[image > 0]))] for image in drawn]
    expected = set()
    for cell in range(1, 21):
        having = [image == cell for image in drawn if (image == cell).any()]
        if len(having) > 2:
            expected.add((2 * np.sum(having, axis=0) > len(having)).tobytes())
    assert {own.mask().astype(bool).tobytes() for own in objects.vote(voters)} == expected
    assert 5 < len(expected) < 20


def test_weights_and_shapes_that_do_not_fit():
    with pytest.raises(RLEError, match="the weights are 1: expected 2 numbers"):
        objects.vote([[], []], [1])
    with pytest.raises(RLEError, match="least is 4: expected more than 0"):
        objects.vote([[LEFT], [LEFT], []], least=4)
    with pytest.raises(RLEError, match="expected one shape"):
        objects.vote([[LEFT], [Runs.of_mask(np.ones((9, 12), np.uint8))]])
