from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfold.datasets.sampler import EpochSampler, size_batches
from maskfold.errors import SamplerError


def epoch_of(sampler, epoch=0):
    sampler.epoch = epoch
    return list(sampler)


def indices(batches):
    return [draw.index for batch in batches for draw in batch]


@pytest.mark.parametrize("share", [None, 0.5])
def test_weights_say_how_often_images_are_drawn(share):
    """In each round every image occurs as often as its share says, rounded up or down; over many, exactly so often."""
    weights = np.array([0.25, 1.0, 4.0, 1.0, 0.5, 2.25, 1.0, 2.0])
    positive = np.arange(8) % 2 == 0
    sampler = EpochSampler(8, batch_size=4, seed=3, positive=positive, positive_share=share, weights=weights)
    kinds = [np.arange(8)] if share is None else [np.flatnonzero(positive), np.flatnonzero(~positive)]
    drawn = np.array([np.bincount(np.ravel([indices(batch) for batch in [epoch_of(sampler, epoch)]]), minlength=8)
                      for epoch in range(400)])  # fmt: skip
    for kind in kinds:
        expected = weights[kind] / weights[kind].sum() * len(kind)
        assert (np.abs(drawn[:, kind] - expected) < 1).all()
        np.testing.assert_allclose(drawn[:, kind].mean(0), expected, atol=0.06)
    again = EpochSampler(8, batch_size=4, seed=3, positive=positive, positive_share=share, weights=weights)
    assert epoch_of(again, 17) == epoch_of(sampler, 17)
    even = EpochSampler(8, batch_size=4, seed=3, positive=positive, positive_share=share, weights=np.full(8, 7.0))
    assert sorted(indices(epoch_of(even, 5))) == list(range(8))


def draws(batches):
    return [(draw.index, draw.repeat) for batch in batches for draw in batch]


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 60), size=st.integers(1, 9), world=st.integers(1, 4), epoch=st.integers(0, 5))
def test_ranks_are_disjoint_equal_and_cover_all_but_a_rest(n, size, world, epoch):
    if n < world:
        with pytest.raises(SamplerError, match="fewer"):
            EpochSampler(n, batch_size=size, seed=1, world=world)
        return
    samplers = [EpochSampler(n, batch_size=size, seed=1, rank=rank, world=world) for rank in range(world)]
    ranks = [epoch_of(sampler, epoch) for sampler in samplers]
    assert {len(rank) for rank in ranks} == {len(samplers[0])}
    lengths = {len(batch) for rank in ranks for batch in rank}
    assert len(lengths) == 1
    length = lengths.pop()
    assert length == min(size, n // world)
    drawn = [index for rank in ranks for index in indices(rank)]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) <= set(range(n))
    assert 0 <= n - len(drawn) < length * world
    assert {draw.epoch for rank in ranks for batch in rank for draw in batch} == {epoch}


def test_order_is_a_function_of_seed_and_epoch_alone():
    sampler = EpochSampler(40, batch_size=8, seed=3)
    first, second = epoch_of(sampler, 1), epoch_of(sampler, 2)
    assert epoch_of(sampler, 1) == first
    assert epoch_of(EpochSampler(40, batch_size=8, seed=3), 2) == second
    assert indices(first) != indices(second)
    assert sorted(indices(first)) == sorted(indices(second)) == list(range(40))
    assert epoch_of(EpochSampler(40, batch_size=8, seed=4), 1) != first


def test_an_epoch_that_has_begun_stays_the_same():
    sampler = EpochSampler(12, batch_size=4, seed=3)
    expected = epoch_of(sampler, 1)
    begun = iter(sampler)
    sampler.epoch = 5
    assert list(begun) == expected


def test_dropped_rest_varies():
    sampler = EpochSampler(10, batch_size=4, seed=0)
    assert len(sampler) == 2
    left_out = Counter(i for epoch in range(40) for i in set(range(10)) - set(indices(epoch_of(sampler, epoch))))
    assert set(left_out) == set(range(10))


def test_few_images_make_one_short_batch():
    assert [len(batch) for batch in epoch_of(EpochSampler(3, batch_size=8, seed=0))] == [3]


def test_bootstrap_repeats_are_drawn_as_often_as_told_and_marked():
    times = np.array([1, 0, 3, 2, 0, 1, 1])
    drawn = draws(epoch_of(EpochSampler(7, batch_size=2, seed=5, times=times), 4))
    assert sorted(drawn) == [(0, 0), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (5, 0), (6, 0)]
    assert [repeat for index, repeat in drawn if index == 2] == [0, 1, 2], "numbered in the order of the epoch"


@settings(max_examples=40, deadline=None)
@given(
    share=st.floats(0, 1),
    size=st.integers(1, 12),
    world=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_positive_share_is_kept_over_the_batches(share, size, world, seed):
    positive = np.arange(50) % 5 == 0
    arguments = {"batch_size": size, "seed": seed, "positive": positive, "positive_share": share, "world": world}
    samplers = [EpochSampler(50, **arguments, rank=rank) for rank in range(world)]
    found = 0
    for epoch in range(3):
        ranks = [epoch_of(sampler, epoch) for sampler in samplers]
        for number, batch in enumerate(batch for together in zip(*ranks, strict=True) for batch in together):
            count = sum(positive[draw.index] for draw in batch)
            assert len(batch) == size
            assert abs(count - share * size) < 1
            found += count
            assert abs(found - share * size * (epoch * world * len(samplers[0]) + number + 1)) < 0.51


def test_a_small_share_of_small_batches_is_drawn_all_the_same():
    """0.1 of a batch of 4 is less than one image: two batches of five have one."""
    positive = np.arange(40) < 8
    sampler = EpochSampler(40, batch_size=4, seed=1, positive=positive, positive_share=0.1)
    counts = [sum(positive[i] for i in indices([batch])) for epoch in range(4) for batch in epoch_of(sampler, epoch)]
    assert len(counts) == 40
    assert sum(counts) == 16
    assert set(counts) == {0, 1}
    assert all(sum(counts[start : start + 5]) == 2 for start in range(0, 40, 5))
    drawn = [i for epoch in range(2) for i in indices(epoch_of(sampler, epoch)) if positive[i]]
    assert sorted(drawn) == list(range(8)), "a round of the positive images goes on from epoch to epoch"
    assert epoch_of(EpochSampler(40, batch_size=4, seed=1, positive=positive, positive_share=0.1), 3) == epoch_of(
        sampler, 3
    )


def test_positives_and_negatives_are_each_drawn_equally_often():
    positive = np.arange(30) < 7
    for share in (0.4, 0.25):
        sampler = EpochSampler(30, batch_size=5, seed=0, positive=positive, positive_share=share)
        drawn = Counter(i for epoch in range(11) for i in indices(epoch_of(sampler, epoch)))
        for kind in (positive, ~positive):
            counts = [drawn[i] for i in np.flatnonzero(kind)]
            assert max(counts) - min(counts) <= 1


def test_repeats_within_an_epoch_are_numbered():
    sampler = EpochSampler(6, batch_size=4, seed=0, epoch_images=20)
    for epoch in range(3):
        drawn = draws(epoch_of(sampler, epoch))
        assert len(drawn) == len(set(drawn)) == 20
        for index, count in Counter(index for index, _ in drawn).items():
            assert [repeat for other, repeat in drawn if other == index] == list(range(count))


def test_epoch_images_shorter_than_the_data_go_through_all_of_it():
    sampler = EpochSampler(24, batch_size=4, seed=2, epoch_images=8)
    assert len(sampler) == 2
    assert sorted(i for epoch in range(3) for i in indices(epoch_of(sampler, epoch))) == list(range(24))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "no images"),
        ({"n": 4, "times": [0, 0, 0, 0]}, "no images"),
        ({"n": 4, "positive": [1, 1, 1, 1], "positive_share": 0.5}, "no images without a mask"),
        ({"n": 4, "positive": [0, 0, 0, 0], "positive_share": 0.1}, "no images with a mask"),
        ({"n": 4, "positive": [0, 0, 1, 0], "times": [1, 1, 0, 1], "positive_share": 0.5}, "no images with a mask"),
        ({"n": 4, "positive_share": 0.5}, "positive=None"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        EpochSampler(**arguments, batch_size=2, seed=0)


def test_a_share_of_nothing_or_all_needs_no_images_of_the_other_kind():
    for positive, share in (([0, 0, 0, 0], 0), ([1, 1, 1, 1], 1)):
        sampler = EpochSampler(4, batch_size=2, seed=0, positive=positive, positive_share=share)
        assert sorted(indices(epoch_of(sampler))) == [0, 1, 2, 3]


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([(3, 4), (4, 3), (9, 9), (2, 30)]), max_size=40),
    batch=st.integers(1, 5),
    world=st.integers(1, 3),
)
def test_size_batches_hold_each_image_once_and_one_size_each(sizes, batch, world):
    ranks = [size_batches(sizes, batch, rank, world) for rank in range(world)]
    batches = [item for rank in ranks for item in rank]
    assert sorted(i for item in batches for i in item) == list(range(len(sizes)))
    for item in batches:
        assert 1 <= len(item) <= batch
        assert len({sizes[i] for i in item}) == 1
    assert len(batches) == sum(-(-count // batch) for count in Counter(sizes).values())
    assert max(map(len, ranks)) - min(map(len, ranks)) <= 1


def test_size_batches_start_with_the_largest():
    assert size_batches([(3, 4), (9, 9), (3, 4), (9, 9), (9, 9)], 2) == [[1, 3], [4], [0, 2]]


def test_size_batches_are_of_one_resampling():
    """Largest first as networks see them: 45 x 45, 27 x 44, 30 x 30."""
    sizes = [(30, 30), (27, 44), (30, 30), (30, 30), (30, 30)]
    assert size_batches(sizes, 2, resampling=[1, 1, 1.5, 1, 1]) == [[2], [1], [0, 3], [4]]
