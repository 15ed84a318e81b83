import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from maskfold.competitions import Sample, Samples
from maskfold.config import FoldsConfig, GroupConfig
from maskfold.datasets.folds import KINDS, coverage_bins, coverages, ignored_groups, load_groups, make_folds
from maskfold.datasets.folds_file import fold_splits
from maskfold.errors import FoldsError


def table(n):
    """n samples whose ids sort differently as text and as numbers, with coverages, groups and a split."""
    generator = np.random.default_rng(n)
    split = ["valid" if i % 4 == 1 else "train" for i in range(n)]
    samples = Samples(Sample(f"tile_{i}", f"{i}.png", split=own) for i, own in enumerate(split))
    coverage = np.where(generator.random(n) < 0.3, 0, generator.beta(1, 4, n))
    groups = np.array([f"scene {g}" for g in generator.integers(0, max(6, n // 6), n)])
    return samples, coverage, groups


def plain(ids):
    return Samples(Sample(image_id, f"{image_id}.png") for image_id in ids)


def sides(folds, fold):
    rows = folds[folds["fold"] == fold]
    return set(rows.loc[rows["split"] == "train", "id"]), set(rows.loc[rows["split"] == "valid", "id"])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(30, 90), count=st.integers(2, 4), seed=st.integers(0, 5))
def test_every_division(kind, n, count, seed):
    samples, coverage, groups = table(n)
    config = FoldsConfig(kind=kind, count=count, seed=seed, valid_share=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = make_folds(samples, coverage, config, groups)
    assert list(folds.columns) == ["fold", "id", "split", "times"]
    expected = 1 if kind in ("holdout", "given") else count
    assert sorted(folds["fold"].unique()) == list(range(expected))
    for fold in range(expected):
        train, valid = sides(folds, fold)
        assert train
        assert valid
        assert train | valid == set(samples.ids)
        assert not train & valid
    if kind in ("kfold", "stratified", "grouped", "stratified-grouped"):
        held_out = [image for fold in range(count) for image in sides(folds, fold)[1]]
        assert sorted(held_out) == sorted(samples.ids)
    if kind in ("holdout", "grouped", "stratified-grouped", "bootstrap"):
        group_of = dict(zip(samples.ids, groups, strict=True))
        for fold in range(expected):
            train, valid = sides(folds, fold)
            assert not {group_of[i] for i in train} & {group_of[i] for i in valid}

    shuffled = np.random.default_rng(seed).permutation(n)
    again = make_folds(Samples(samples[i] for i in shuffled), coverage[shuffled], config, groups[shuffled])
    assert_frame_equal(folds, again)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "given"])
def test_the_seed_decides(kind):
    samples, _, _ = table(60)
    # Groups that are alike: where they differ, sizes and coverage decide before the seed does.
    coverage, groups = np.tile([0, 0.2, 0.6], 20), np.repeat([f"g{i}" for i in range(20)], 3)

    def validation(seed):
        folds = make_folds(samples, coverage, FoldsConfig(kind=kind, count=3, seed=seed), groups)
        return frozenset(sides(folds, 0)[1])

    assert len({validation(seed) for seed in range(6)}) > 1


def test_holdout_share():
    samples, coverage, _ = table(80)
    train, valid = sides(make_folds(samples, coverage, FoldsConfig(kind="holdout", valid_share=0.25)), 0)
    assert (len(train), len(valid)) == (60, 20)


def test_kfold_sizes_differ_by_one():
    samples, coverage, _ = table(83)
    folds = make_folds(samples, coverage, FoldsConfig(kind="kfold", count=5))
    assert sorted(len(sides(folds, k)[1]) for k in range(5)) == [16, 16, 17, 17, 17]


def test_grouped_folds_are_of_about_equal_size():
    samples, coverage, _ = table(90)
    groups = np.array([f"g{i}" for i, size in enumerate([30, 20, 10, 10, 10, 5, 5]) for _ in range(size)])
    folds = make_folds(samples, coverage, FoldsConfig(kind="grouped", count=3), groups)
    assert [len(sides(folds, k)[1]) for k in range(3)] == [30, 30, 30]


def imbalance(folds, labels, count):
    """Largest deviation of a fold's share of a label from the whole's."""
    whole = labels.value_counts(normalize=True)
    shares = [labels[list(sides(folds, k)[1])].value_counts(normalize=True) for k in range(count)]
    return max(float((share.reindex(whole.index, fill_value=0) - whole).abs().max()) for share in shares)


def test_stratified_folds_have_their_share_of_each_bin():
    samples, coverage, _ = table(203)
    half = np.median(coverage[coverage > 0])
    labels = pd.Series((coverage > 0) + 0 + (coverage > half), index=list(samples.ids))

    def imbalances(kind):
        configs = [FoldsConfig(kind=kind, count=5, bins=4, seed=seed) for seed in range(5)]
        return [imbalance(make_folds(samples, coverage, config), labels, 5) for config in configs]

    assert max(imbalances("stratified")) < min(0.04, *imbalances("kfold"))


def test_stratified_groups_are_more_even_than_groups():
    generator = np.random.default_rng(3)
    groups = np.repeat([f"g{i:02d}" for i in range(40)], 5)
    # Whole scenes are empty or built up, as on land and in towns.
    coverage = np.repeat(np.where(np.arange(40) < 15, 0, 0.3), 5) * generator.uniform(0.5, 1, 200)
    samples = plain(f"{i:03d}" for i in range(200))
    labels = pd.Series((coverage > 0).astype(int), index=list(samples.ids))

    def mean_imbalance(kind):
        return np.mean(
            [
                imbalance(make_folds(samples, coverage, FoldsConfig(kind=kind, count=5, seed=s), groups), labels, 5)
                for s in range(8)
            ]
        )

    assert mean_imbalance("stratified-grouped") < 0.5 * mean_imbalance("grouped")


def test_bootstrap_draws_n_of_n_and_validates_out_of_bag():
    samples, coverage, _ = table(400)
    folds = make_folds(samples, coverage, FoldsConfig(kind="bootstrap", count=3, seed=2))
    for fold in range(3):
        train, valid = fold_splits(folds, fold)
        assert train["times"].sum() == 400
        assert train["times"].max() >= 3
        assert set(valid["id"]) == set(samples.ids) - set(train["id"])
        assert 0.3 < len(valid) / 400 < 0.44  # 1 / e = 0.37 of them
    assert sides(folds, 0) != sides(folds, 1)


def test_bootstrap_draws_whole_groups():
    names = [f"g{i}" for i, size in enumerate([1, 2, 3] * 40) for _ in range(size)]
    samples = plain(f"{i:03d}" for i in np.random.default_rng(5).permutation(len(names)))
    group_of = dict(zip(samples.ids, names, strict=True))
    folds = make_folds(samples, np.zeros(len(names)), FoldsConfig(kind="bootstrap", count=3), np.array(names))
    for fold in range(3):
        train, valid = fold_splits(folds, fold)
        times = train.groupby(train["id"].map(group_of))["times"].agg(["min", "max"])
        assert (times["min"] == times["max"]).all(), "images of a group are drawn together"
        assert times["min"].sum() == 120
        assert not {group_of[i] for i in train["id"]} & {group_of[i] for i in valid["id"]}
        assert 0.25 < len(set(valid["id"].map(group_of))) / 120 < 0.5


def test_auto_keeps_groups_together_where_there_are_any():
    samples, coverage, groups = table(90)
    for own, kind in ((groups, "stratified-grouped"), (None, "stratified")):
        auto = make_folds(samples, coverage, FoldsConfig(seed=3), own)
        assert_frame_equal(auto, make_folds(samples, coverage, FoldsConfig(kind=kind, seed=3), own))
    assert FoldsConfig().kind == "auto"


def test_given_is_the_competitions_split():
    samples, coverage, _ = table(30)
    train, valid = sides(make_folds(samples, coverage, FoldsConfig(kind="given")), 0)
    assert valid == {sample.id for sample in samples if sample.split == "valid"}
    assert train == {sample.id for sample in samples if sample.split == "train"}


def test_bins_have_one_for_empty_masks_and_quantiles_of_the_rest():
    coverage = np.array([0, 0.1, 0.2, 0.3, 0, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert coverage_bins(coverage, 4, 2).tolist() == [0, 1, 1, 2, 0, 2, 3, 3, 4, 4]
    assert coverage_bins(coverage, 4, 3).tolist() == [0, 1, 1, 1, 0, 1, 2, 2, 2, 2], "bins hold at least 3"
    assert coverage_bins(np.array([0.5] * 6 + [0.9]), 4, 1).tolist() == [1] * 6 + [4], "equal ones stay together"
    assert coverage_bins(np.full(9, 0.5), 4, 2).tolist() == [1] * 9
    assert coverage_bins(np.zeros(3), 4, 2).tolist() == [0, 0, 0]


def test_the_few_images_with_masks_are_spread():
    samples = plain(f"{i:02d}" for i in range(40))
    coverage = np.zeros(40)
    coverage[:4] = 0.1
    folds = make_folds(samples, coverage, FoldsConfig(kind="stratified", count=4))
    assert [len(sides(folds, k)[1] & {"00", "01", "02", "03"}) for k in range(4)] == [1, 1, 1, 1]
    coverage[:] = 0
    coverage[:3] = 0.1
    small = make_folds(samples[:6], coverage[:6], FoldsConfig(kind="stratified", count=5))
    assert sorted(small["fold"].unique()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("config", "n", "groups", "message"),
    [
        ({"kind": "kfold", "count": 5}, 4, None, "4 images for 5 folds"),
        ({"kind": "stratified", "count": 1}, 20, None, "needs at least 2"),
        ({"kind": "grouped", "count": 3}, 20, ["a", "b"] * 10, "2 groups for 3 folds"),
        ({"kind": "stratified-grouped", "count": 3}, 20, ["a", "b"] * 10, "2 groups for 3 folds"),
        ({"kind": "grouped"}, 20, None, "set folds.group"),
        ({"kind": "holdout"}, 1, None, "1 images"),
        ({"kind": "holdout"}, 20, ["a"] * 20, "leaves a split empty"),
    ],
    ids=str,
)
def test_what_cannot_be_divided(config, n, groups, message):
    samples, coverage, _ = table(n)
    with pytest.raises(FoldsError, match=message):
        make_folds(samples, coverage, FoldsConfig(**config), None if groups is None else np.array(groups))


def test_given_needs_a_whole_split():
    samples, coverage, _ = table(20)
    samples = Samples(replace(sample, split=None if i == 3 else sample.split) for i, sample in enumerate(samples))
    with pytest.raises(FoldsError, match="1 without one"):
        make_folds(samples, coverage, FoldsConfig(kind="given"))


def test_coverages(fake):
    competition = fake([(40, 50), (64, 48), (32, 32)], empty=(1,), ignored=(2,))
    expected = [np.mean(mask == 1) for _, mask in competition.arrays.values()]
    assert expected[1] == 0 < min(expected[0], expected[2])
    assert coverages(competition, competition.samples()).tolist() == pytest.approx(expected)


GROUP = GroupConfig(file="groups.csv", id="name", column="place")


@pytest.fixture
def competition():
    seen = []

    def groups(samples, group):
        seen.append(group)
        return [f"{group.column} {i}" for i in samples.ids]

    return SimpleNamespace(groups=groups, seen=seen)


def samples_with(groups):
    return Samples(Sample(f"{i}", f"{i}.png", group=group) for i, group in enumerate(groups))


def test_groups_come_from_the_config_before_the_profile(competition):
    samples = samples_with(["a", "b", "a"])
    chosen = load_groups(competition, samples, FoldsConfig(kind="grouped", group=GROUP))
    assert list(chosen) == ["place 0", "place 1", "place 2"]
    assert competition.seen == [GROUP]
    assert list(load_groups(competition, samples, FoldsConfig(kind="stratified-grouped"))) == ["a", "b", "a"]
    assert load_groups(competition, samples_with([None, None]), FoldsConfig(kind="grouped")) is None
    assert list(load_groups(competition, samples, FoldsConfig())) == ["a", "b", "a"]
    assert load_groups(competition, samples_with([None, None]), FoldsConfig()) is None
    assert list(load_groups(competition, samples, FoldsConfig(group=GROUP))) == ["place 0", "place 1", "place 2"]
    assert load_groups(competition, samples, FoldsConfig(kind="stratified")) is None


def test_groups_that_a_given_split_keeps_together():
    def note(*groups):
        splits = ("train", "train", "valid")
        samples = [replace(sample, split=own) for sample, own in zip(samples_with(groups), splits, strict=True)]
        return ignored_groups(Samples(samples), FoldsConfig(kind="given"))

    assert note("a", "b", "c") is None
    assert note("a", "b", None) is None
    assert "folds.kind given splits them" in note("a", "b", "a")


@pytest.mark.parametrize("kind", ["kfold", "stratified"])
def test_groups_that_are_not_kept_together_are_named(kind):
    note = ignored_groups(samples_with(["a", "b", "a"]), FoldsConfig(kind=kind))
    assert "2 groups" in note
    assert f"folds.kind {kind} splits them" in note
    assert ignored_groups(samples_with([None, None]), FoldsConfig(kind=kind)) is None
    for keeps in ("auto", "holdout", "bootstrap", "grouped"):
        assert ignored_groups(samples_with(["a", "b", "a"]), FoldsConfig(kind=keeps)) is None


def test_groups_that_do_not_fit(competition):
    with pytest.raises(FoldsError, match="stratified ignores groups"):
        load_groups(competition, samples_with(["a"]), FoldsConfig(kind="stratified", group=GROUP))
    with pytest.raises(FoldsError, match=r"2 images have no group: 1, 3"):
        load_groups(competition, samples_with(["a", None, "b", ""]), FoldsConfig(kind="grouped"))
