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


def indices(batches, n=10**9):
    return [index % n for batch in batches for _, index in batch]


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
    assert {e for rank in ranks for batch in rank for e, _ in batch} == {epoch}


def test_order_is_a_function_of_seed_and_epoch_alone():
    sampler = EpochSampler(40, batch_size=8, seed=3)
    first, second = epoch_of(sampler, 1), epoch_of(sampler, 2)
    assert epoch_of(sampler, 1) == first
    assert epoch_of(EpochSampler(40, batch_size=8, seed=3), 2) == second
    assert indices(first) != indices(second)
    assert sorted(indices(first)) == sorted(indices(second)) == list(range(40))
    assert epoch_of(EpochSampler(40, batch_size=8, seed=4), 1) != first


def test_dropped_rest_varies():
    sampler = EpochSampler(10, batch_size=4, seed=0)
    assert len(sampler) == 2
    left_out = Counter(i for epoch in range(40) for i in set(range(10)) - set(indices(epoch_of(sampler, epoch))))
    assert set(left_out) == set(range(10))


def test_few_images_make_one_short_batch():
    assert [len(batch) for batch in epoch_of(EpochSampler(3, batch_size=8, seed=0))] == [3]


def test_bootstrap_repeats_are_drawn_as_often_as_told_and_marked():
    times = np.array([1, 0, 3, 2, 0, 1, 1])
    keys = indices(epoch_of(EpochSampler(7, batch_size=2, seed=5, times=times), 4))
    assert Counter(key % 7 for key in keys) == {i: t for i, t in enumerate(times) if t}
    assert sorted(keys) == [0, 2, 3, 5, 6, 2 + 7, 3 + 7, 2 + 14]


@settings(max_examples=40, deadline=None)
@given(
    share=st.floats(0, 1),
    size=st.integers(1, 12),
    world=st.integers(1, 3),
    epoch=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_positive_share_is_exact_in_every_batch(share, size, world, epoch, seed):
    positive = np.arange(50) % 5 == 0
    for rank in range(world):
        sampler = EpochSampler(
            50, batch_size=size, seed=seed, positive=positive, positive_share=share, rank=rank, world=world
        )
        for batch in epoch_of(sampler, epoch):
            assert len(batch) == size
            assert sum(positive[index % 50] for _, index in batch) == round(share * size)


def test_positives_and_negatives_are_each_drawn_equally_often():
    positive = np.arange(30) < 7
    sampler = EpochSampler(30, batch_size=5, seed=0, positive=positive, positive_share=0.4)
    drawn = Counter(i for epoch in range(11) for i in indices(epoch_of(sampler, epoch), 30))
    for kind in (positive, ~positive):
        counts = [drawn[i] for i in np.flatnonzero(kind)]
        assert max(counts) - min(counts) <= 1


def test_repeats_within_an_epoch_have_keys_of_their_own():
    sampler = EpochSampler(6, batch_size=4, seed=0, epoch_images=20)
    for epoch in range(3):
        keys = indices(epoch_of(sampler, epoch))
        assert len(keys) == len(set(keys)) == 20
        assert max(Counter(key % 6 for key in keys).values()) <= 5


def test_epoch_images_shorter_than_the_data_go_through_all_of_it():
    sampler = EpochSampler(24, batch_size=4, seed=2, epoch_images=8)
    assert len(sampler) == 2
    assert sorted(i % 24 for epoch in range(3) for i in indices(epoch_of(sampler, epoch))) == list(range(24))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "no images"),
        ({"n": 4, "times": [0, 0, 0, 0]}, "no images"),
        ({"n": 4, "positive": [1, 1, 1, 1], "positive_share": 0.5}, "none without a mask"),
        ({"n": 4, "positive": [0, 0, 0, 0], "positive_share": 0.5}, "none with a mask"),
        ({"n": 4, "positive": [0, 0, 1, 0], "times": [1, 1, 0, 1], "positive_share": 0.5}, "none with a mask"),
        ({"n": 4, "positive_share": 0.5}, "positive=None"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        EpochSampler(**arguments, batch_size=2, seed=0)


def test_a_share_that_rounds_to_nothing_needs_no_images_of_that_kind():
    sampler = EpochSampler(4, batch_size=2, seed=0, positive=[0, 0, 0, 0], positive_share=0.2)
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
