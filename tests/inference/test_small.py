"""Another threshold where little is predicted, by hand; tuning finds it where it gains on unseen folds."""

import numpy as np
import pytest
from tests.drawn_runs import dice, make_run
from tests.ensembling.test_tune import by_fold, thirds
from tests.inference.test_gates import BINARY, CLOUDS, STREET, decode, noise

from maskfold.config import PostConfig, override
from maskfold.ensembling.tune import tune
from maskfold.errors import ConfigError
from maskfold.inference.decoding import Step, build_chain, tunable_values, with_and_without


@pytest.mark.parametrize("threshold", [0.3, 0.8])
@pytest.mark.parametrize("more", [0, 1])
def test_fewer_pixels_than_that_are_decided_otherwise(threshold, more):
    probability = noise(1)
    count = sum(value >= 0.6 for value in probability.ravel().tolist())
    found = decode(probability, BINARY, threshold=0.6, small={"threshold": threshold, "area": count + more})
    np.testing.assert_array_equal(found, probability[0] >= np.float32(threshold if more else 0.6))


def test_class_by_class_and_never_from_nothing():
    probability = noise(3, seed=1) * np.array([0.55, 0.9, 0.49], np.float32)[:, None, None]
    counts = (probability >= 0.5).sum((1, 2))
    assert counts[2] == 0 < counts[0] < counts[1]
    small = {"threshold": [0.2, 0.3, 0.1], "area": {"cirrus": 60, "fog": int(counts[1]), "haze": 60}}
    found = decode(probability, CLOUDS, small=small)
    np.testing.assert_array_equal(found[0], probability[0] >= np.float32(0.2))
    np.testing.assert_array_equal(found[1], probability[1] >= 0.5, "as many are not fewer")
    assert not found[2].any()
    off = decode(probability, CLOUDS, small={"threshold": 0.2, "area": [60, 0, 0]})
    np.testing.assert_array_equal(off[0], found[0])
    np.testing.assert_array_equal(off[1:], probability[1:] >= 0.5)


def test_eight_bits_and_what_follows():
    levels = np.rint(255 * noise(1, seed=3)).astype(np.uint8)
    values = levels.astype(np.float32) / np.float32(255)
    post = {"threshold": 0.95, "small": {"threshold": 0.7, "area": 1000}, "min_area": 4}
    np.testing.assert_array_equal(decode(levels, BINARY, **post), decode(values, BINARY, **post))
    np.testing.assert_array_equal(
        decode(values, BINARY, **post), decode(values, BINARY, threshold=0.7, min_area=4), "components come after it"
    )


def test_off_by_default_and_refused_where_classes_exclude_each_other():
    assert build_chain(PostConfig(), BINARY).small is None
    assert build_chain(PostConfig(small={"area": 0}), BINARY).small is None
    with pytest.raises(ConfigError, match=r"post\.small .* 3 classes exclude each other"):
        build_chain(PostConfig(small={}), STREET)
    names = [value.name for value in tunable_values(PostConfig(small={}), CLOUDS, {})]
    place = names.index("small.threshold of fog")
    assert names.index("threshold of haze") < place < names.index("small.area of fog") < names.index("min_area of fog")
    assert [each.small is None for each in with_and_without(PostConfig(small={}))] == [True, False]


class Decides(Step):
    stage = "decision"

    def __call__(self, layers, image):
        return layers > 0


def test_nobody_else_decides():
    with pytest.raises(ConfigError, match=r"test_small:Decides has the stage decision, .* to probability or mask"):
        build_chain(PostConfig(steps={f"{__name__}:Decides": {}}), BINARY)


@pytest.mark.parametrize("helps", [True, False])
def test_tuning_finds_it_out_of_fold(config, competition, truth, tmp_path, helps):
    """What is small is a ring too wide at 0.5 and right at 0.7; what is large is right at 0.5 and too narrow at 0.7."""
    areas = {name: int(mask.sum()) for name, mask in truth.items() if mask.any()}
    limit = int(np.median(list(areas.values())))
    valid = thirds(truth)

    def seen(name):
        mask = truth[name]
        grown = np.zeros_like(mask)
        grown[:-1] |= mask[1:]
        grown |= mask
        narrow = mask.copy()
        narrow[1:] &= mask[:-1]
        if helps and mask.sum() < limit:
            return 0.1 + 0.5 * grown + 0.3 * mask
        return 0.1 + 0.5 * mask + 0.3 * narrow

    tried = {"threshold": [0.5], "fill_holes": [0], "min_area": [0]}
    tried["small"] = {"threshold": [0.5, 0.7], "area": [0, limit + 60]}
    config = override(config, {"post.small": {"area": limit + 60}, "tune.tried": tried})
    run = make_run(tmp_path, "a", config, {"best": by_fold(valid, seen)}, valid)
    choice = tune([run], competition, config)
    if not helps:
        assert choice.post.small is None, "nothing scores higher with it"
        assert choice.scores["after"] == 1.0
        return
    assert choice.post.small is not None
    assert choice.post.small.threshold == 0.7
    plain = np.mean([dice((seen(n) >= 0.5).astype(np.uint8), truth[n]) for n in truth])
    assert choice.scores["before"] == pytest.approx(plain)
    assert choice.scores["after"] > plain + 0.01
