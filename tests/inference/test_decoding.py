import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from maskfold.config import PostConfig
from maskfold.errors import ConfigError, InferenceError, MaskfoldError
from maskfold.inference.decoding import build_chain, tunable_values
from maskfold.inference.predict import Prediction
from maskfold.labels import LabelSpec

BINARY = LabelSpec("binary", ("building",))
CLOUDS = LabelSpec("multilabel", ("cirrus", "fog", "haze"))
STREET = LabelSpec("multiclass", ("sky", "road", "car"))


def drawn(text):
    """A mask from lines of . and #."""
    return np.array([[pixel == "#" for pixel in line] for line in text.split()], np.uint8)


def decode(probability, labels=BINARY, image=None, **post):
    return build_chain(PostConfig(**post), labels).decode(probability, image)


def clean(mask, **options):
    return decode(mask[None].astype(np.float32), **options)


def test_the_threshold_belongs_to_the_foreground():
    probability = np.array([[[0.2, np.nextafter(np.float32(0.2), np.float32(0)), 0.9, 0.0]]], np.float32)
    assert decode(probability, threshold=0.2).tolist() == [[1, 0, 1, 0]]
    assert decode(probability, threshold=0.0).tolist() == [[1, 1, 1, 1]]
    assert decode(probability, threshold=1.0).tolist() == [[0, 0, 0, 0]]
    assert decode(probability).dtype == np.uint8


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 1) | st.integers(0, 255).map(lambda v: v / 255) | st.integers(0, 100).map(lambda v: v / 100))
def test_eight_bit_maps_are_thresholded_as_the_probabilities_that_they_stand_for(threshold):
    eight_bit = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    as_float = eight_bit.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(decode(eight_bit, threshold=threshold), decode(as_float, threshold=threshold))


def test_small_components_go_and_diagonal_neighbours_are_one():
    mask = drawn("#.....## .#...... ..#....# ........ ####....")
    assert clean(mask, min_area=3).tolist() == drawn("#....... .#...... ..#..... ........ ####....").tolist()
    assert clean(mask, min_area=4).tolist() == drawn("........ ........ ........ ........ ####....").tolist()
    assert clean(mask, min_area=1).tolist() == mask.tolist()
    assert clean(mask, min_area=5).sum() == 0


def test_holes_are_filled_up_to_their_area_but_not_bays():
    mask = drawn("######. #....#. ###.##. #.##.#. ######. .###..# .#.#.## .....##")
    filled = clean(mask, fill_holes=1)
    assert filled.tolist() == drawn("######. #....#. ###.##. ######. ######. .###..# .#.#.## .....##").tolist()
    assert clean(mask, fill_holes=4).tolist() == filled.tolist()
    assert clean(mask, fill_holes=5)[1:3, 1:5].all()
    assert clean(mask, fill_holes=100)[6, 2] == 0


def test_holes_do_not_leak_through_diagonal_gaps():
    ring = drawn("..... ..#.. .#.#. ..#.. .....")
    assert clean(ring, fill_holes=1)[2, 2] == 1


def test_holes_are_filled_before_areas_are_counted():
    ring = drawn("..... .###. .#.#. .###. .....")
    assert clean(ring, min_area=9, fill_holes=1).sum() == 9
    assert clean(ring, min_area=9).sum() == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 12), st.floats(0.3, 0.7))
def test_random_masks_as_scipy_has_it(seed, min_area, fill_holes, share):
    mask = (np.random.default_rng(seed).random((23, 31)) < share).astype(np.uint8)
    expected = mask.astype(bool)
    holes, count = ndimage.label(~expected)
    for hole in range(1, count + 1):
        where = holes == hole
        rows, columns = np.nonzero(where)
        touches = rows.min() == 0 or columns.min() == 0 or rows.max() == 22 or columns.max() == 30
        if not touches and where.sum() <= fill_holes:
            expected = expected | where
    parts, count = ndimage.label(expected, np.ones((3, 3)))
    for part in range(1, count + 1):
        if (parts == part).sum() < min_area:
            expected = expected & (parts != part)
    np.testing.assert_array_equal(clean(mask, min_area=min_area, fill_holes=fill_holes), expected)


@pytest.mark.parametrize("value", [0, 1])
def test_uniform_masks_stay(value):
    mask = np.full((5, 7), value, np.uint8)
    assert (clean(mask, min_area=3, fill_holes=50) == value).all()


def test_the_most_probable_class_wins_in_both_forms():
    probability = np.random.default_rng(0).random((3, 6, 5), np.float32)
    eight_bit = np.round(probability * 255).astype(np.uint8)
    for maps in (probability, eight_bit):
        mask = decode(maps, STREET, threshold=0.9)
        assert (mask == maps.argmax(0)).all(), "exclusive classes have no threshold"
        assert mask.dtype == np.uint8


LAYERS = [drawn("##.. .... ...# ####"), drawn(".#.. #.#. .#.. ...."), drawn("#... .... .... ...#")]


@pytest.mark.parametrize("form", ["list", "mapping"])
def test_layers_that_overlap_have_values_of_their_own(form):
    probability = np.stack([0.1 + 0.4 * layer for layer in LAYERS]).astype(np.float32)
    values = {"threshold": [0.4, 0.5, 0.6], "fill_holes": [0, 1, 0], "min_area": [3, 0, 0]}
    if form == "mapping":
        names = CLOUDS.class_names[::-1]
        values = {key: dict(zip(names, each[::-1], strict=True)) for key, each in values.items()}
    mask = decode(probability, CLOUDS, **values)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [
        drawn(".... .... ...# ####").tolist(),
        drawn(".#.. ###. .#.. ....").tolist(),
        drawn(".... .... .... ....").tolist(),
    ]
    same = decode(probability, CLOUDS, threshold=0.5, min_area=2)
    assert [layer.sum() for layer in same] == [7, 4, 0]
    assert (decode(probability, CLOUDS, threshold=0.0) == 1).all()


@pytest.fixture
def own_steps(tmp_path, monkeypatch):
    (tmp_path / "their_steps.py").write_text(
        """
import cv2
import numpy as np
from maskfold.inference.decoding import Step


class Add(Step):
    stage = "probability"
    tried = {"share": (0.0, 0.2)}

    def __init__(self, share, factor=1.0):
        self.share, self.factor = share, factor

    def __call__(self, layers, image):
        assert layers.dtype == np.float32 and image is None
        return layers * self.factor + self.share


class Double(Step):
    stage = "probability"

    def __call__(self, layers, image):
        return 2.0 * layers


class OnBright(Step):
    each_class = False
    needs_image = True
    tried = {"level": (50, 100)}

    def __init__(self, level=100):
        self.level = level

    def __call__(self, layers, image):
        assert layers.ndim == 3 and layers.dtype == np.uint8
        return layers & (image.max(-1) >= self.level)


class Wrong(Step):
    def __call__(self, layers, image):
        return layers[1:]


class NoStep:
    pass
"""
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own_steps")
def test_steps_of_ones_own_come_in_the_order_given():
    eight_bit = np.array([[[51, 102]]], np.uint8)  # 0.2 and 0.4
    add, double = "their_steps:Add", "their_steps:Double"
    assert decode(eight_bit, steps={add: {"share": 0.1}, double: {}}, threshold=0.7).tolist() == [[0, 1]]
    # 2 * 0.2 + 0.1 and 2 * 0.4 + 0.1, against 2 * (0.2 + 0.1) and 2 * (0.4 + 0.1)
    assert decode(eight_bit, steps={double: {}, add: {"share": 0.1}}, threshold=0.55).tolist() == [[0, 1]]
    assert decode(eight_bit, steps={add: {"share": 0.1}, double: {}}, threshold=0.55).tolist() == [[1, 1]]
    shares = {"cirrus": 0.3, "haze": 0.0, "fog": 0.1}
    mask = decode(np.full((3, 1, 2), 0.45, np.float32), CLOUDS, steps={add: {"share": shares}})
    assert mask[:, 0, 0].tolist() == [1, 1, 0]


@pytest.mark.usefixtures("own_steps")
def test_the_image_is_loaded_once_and_only_where_a_step_asks():
    loads = []

    def image():
        loads.append(1)
        return np.array([[[200, 0, 0], [0, 10, 99]]], np.uint8)

    ones = np.ones((3, 1, 2), np.float32)
    steps = {"their_steps:OnBright": {}}
    mask = build_chain(PostConfig(steps=steps), CLOUDS)(Prediction("a", 0, ones, image=image))
    assert mask[:, 0].tolist() == [[1, 0]] * 3
    assert len(loads) == 1
    decode(ones, CLOUDS, image)
    assert len(loads) == 1
    with pytest.raises(InferenceError, match="OnBright asks for the image"):
        decode(ones, CLOUDS, steps=steps)


@pytest.mark.usefixtures("own_steps")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_image_has_the_size_of_the_layers(dtype):
    """An image twice as high and three times as wide as the map: each pixel of the step's is a mean of six."""
    stored = np.zeros((4, 9, 5), dtype)
    stored[:2, 3:6, 4] = 120
    stored[2:, 6:, 1] = [[110, 110, 70], [110, 110, 80]]  # mean 98.3
    mask = decode(np.ones((3, 2, 3), np.float32), CLOUDS, lambda: stored, steps={"their_steps:OnBright": {"level": 98}})
    assert mask[2].tolist() == [[0, 1, 0], [0, 0, 1]]
    mask = decode(np.ones((3, 2, 3), np.float32), CLOUDS, lambda: stored, steps={"their_steps:OnBright": {"level": 99}})
    assert mask[2].tolist() == [[0, 1, 0], [0, 0, 0]]
    larger = decode(np.ones((3, 8, 18), np.float32), CLOUDS, lambda: stored, steps={"their_steps:OnBright": {}})
    assert larger.shape == (3, 8, 18)
    assert larger[0, 1, 8] == 1


@pytest.mark.usefixtures("own_steps")
@pytest.mark.parametrize(
    ("probability", "labels", "post", "message"),
    [
        (np.zeros((4, 4), np.float32), BINARY, {}, r"float32 \(4, 4\), expected"),
        (np.zeros((1, 4, 4)), BINARY, {}, "float64"),
        (np.zeros((2, 4, 4), np.float32), BINARY, {}, r"\(2, 4, 4\), expected .* C = 1"),
        (None, STREET, {"min_area": 5}, "post.min_area is 5, but the 3 classes exclude each other"),
        (None, STREET, {"fill_holes": [0, 4, 0]}, r"post.fill_holes is \(0, 4, 0\), but the 3 classes"),
        (None, STREET, {"steps": {"their_steps:Wrong": {}}}, "their_steps:Wrong is a step after the decision, but"),
        (None, CLOUDS, {"threshold": [0.5, 0.4]}, r"post.threshold has 2 values .*one for each of cirrus, fog, haze"),
        (None, CLOUDS, {"min_area": {"cirrus": 3}}, "post.min_area has values for cirrus: give one for each of cirrus"),
        (None, BINARY, {"steps": {"min_area": {}}}, "has a key of its own: set post.min_area"),
        (None, BINARY, {"steps": {"smooth": {}}}, "no decoding step 'smooth'"),
        (None, BINARY, {"steps": {"their_steps:Nothing": {}}}, "their_steps has no Nothing"),
        (None, BINARY, {"steps": {"their_steps:NoStep": {}}}, "NoStep is not a subclass of Step: docs"),
        (None, BINARY, {"steps": {"their_steps:Add": {"share": 1, "much": 2}}}, "cannot be made with .*'much'"),
        (np.ones((3, 4, 4), np.float32), CLOUDS, {"steps": {"their_steps:Wrong": {}}}, r"made \(3, 3, 4\) of"),
    ],
)
def test_what_makes_no_sense_is_refused(probability, labels, post, message):
    if probability is None:
        with pytest.raises(MaskfoldError, match=message):
            build_chain(PostConfig(**post), labels)
    else:
        with pytest.raises(InferenceError, match=message):
            decode(probability, labels, **post)


@pytest.mark.usefixtures("own_steps")
def test_values_to_tune_come_from_the_steps_in_their_order():
    post = PostConfig(threshold=0.45, steps={"their_steps:OnBright": {}, "their_steps:Add": {"share": 0.1}})
    found = tunable_values(post, BINARY, {"min_area": [40, 0, 7], "their_steps:OnBright": {"level": [3]}})
    assert [value.name for value in found] == [
        "their_steps:Add.share", "threshold", "fill_holes", "min_area", "their_steps:OnBright.level",
    ]  # fmt: skip
    add, threshold, _, area, bright = found
    assert (add.tried, area.tried, bright.tried) == ((0.0, 0.2), (0, 7, 40), (3,))
    assert [value.value(post) for value in found] == [0.1, 0.45, 0, 0, 100]
    assert area.moved(post, 7) == post.model_copy(update={"min_area": 7})
    assert bright.moved(post, 3).steps == {"their_steps:OnBright": {"level": 3}, "their_steps:Add": {"share": 0.1}}
    assert threshold.moved(area.moved(post, 7), 0.6).model_dump(include={"threshold", "min_area"}) == {
        "threshold": 0.6, "min_area": 7,
    }  # fmt: skip
    exclusive = tunable_values(post.model_copy(update={"steps": {"their_steps:Add": {"share": 0.1}}}), STREET, {})
    assert [value.name for value in exclusive] == [f"their_steps:Add.share of {name}" for name in STREET.class_names]


def test_classes_that_overlap_are_tuned_one_by_one():
    post = PostConfig(threshold={"haze": 0.3, "cirrus": 0.4, "fog": 0.6})
    found = {value.name: value for value in tunable_values(post, CLOUDS, {})}
    assert list(found)[:3] == ["threshold of cirrus", "threshold of fog", "threshold of haze"]
    assert found["threshold of haze"].value(post) == 0.3
    moved = found["threshold of fog"].moved(post, 0.7)
    assert moved.threshold == (0.4, 0.7, 0.3)
    assert found["min_area of haze"].moved(moved, 9).min_area == (0, 0, 9)


@pytest.mark.parametrize(
    ("tried", "message"),
    [
        ({"min_areas": [3]}, "the step min_areas, which is not in the chain: did you mean min_area"),
        ({"threshold": {"value": [0.5]}}, "tune.tried.threshold is .*: expected a list"),
        ({"their_steps:Add": [0.5]}, "expected a list of values for each option"),
        ({"their_steps:Add": {"much": [0.5]}}, "the option much of their_steps:Add: it has share"),
    ],
)
@pytest.mark.usefixtures("own_steps")
def test_values_that_fit_no_step_are_refused(tried, message):
    post = PostConfig(steps={"their_steps:Add": {"share": 0.1}})
    with pytest.raises(ConfigError, match=message):
        tunable_values(post, BINARY, tried)


def test_values_out_of_range_are_named():
    (area,) = [value for value in tunable_values(PostConfig(), BINARY, {"min_area": [-4]}) if value.name == "min_area"]
    assert not area.allows(-4)
    with pytest.raises(ConfigError, match=r"tune\.tried holds -4 for min_area: input should be greater"):
        area.moved(PostConfig(), -4)


def gated(probability, there, labels=BINARY, **post):
    chain = build_chain(PostConfig(**post), labels)
    return chain(Prediction("a", 0, np.asarray(probability, np.float32), presence=np.array(there, np.float32)))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_a_class_that_is_hardly_present_is_nowhere(dtype, threshold):
    """Whatever the threshold: 0, from which everything is of the class, included."""
    probability = np.linspace(0, 255, 12).reshape(1, 3, 4).astype(np.uint8)
    if dtype == np.float32:
        probability = probability.astype(np.float32) / 255
    plain = build_chain(PostConfig(threshold=threshold), BINARY).decode(probability)
    chain = build_chain(PostConfig(threshold=threshold, presence=0.7), BINARY)
    assert plain.any()
    # 0.7 in float32 is below 0.7 in float64; equal is present.
    for presence, expected in ((0.7, plain), (0.95, plain), (0.69, 0 * plain), (0.0, 0 * plain)):
        mask = chain.decode(probability, presence=np.array([presence], np.float32))
        np.testing.assert_array_equal(mask, expected)
        assert mask.dtype == np.uint8


def test_each_class_that_overlaps_has_its_own_gate():
    probability = np.full((3, 2, 4), 0.8)
    mask = gated(probability, [0.3, 0.3, 0.1], CLOUDS, presence={"haze": 0.0, "fog": 0.4, "cirrus": 0.2})
    assert mask.any((1, 2)).tolist() == [True, False, True]
    assert gated(probability, [0.3, 0.3, 0.1], CLOUDS, presence=0.25).any((1, 2)).tolist() == [True, True, False]


def test_exclusive_classes_that_are_gated_leave_their_pixels_to_the_others():
    probability = np.array([[[0.2, 0.2, 0.2]], [[0.7, 0.3, 0.1]], [[0.1, 0.5, 0.7]]], np.float32)
    assert gated(probability, [1, 1, 0.5], STREET, presence=0.4).tolist() == [[1, 2, 2]]
    assert gated(probability, [1, 1, 0.3], STREET, presence=0.4).tolist() == [[1, 1, 0]]
    assert gated(probability, [0, 1, 0], STREET, presence=[0.1, 0, 0.1]).tolist() == [[1, 1, 1]]
    assert gated(probability, [0, 0, 0], STREET, presence=0.4).tolist() == [[1, 2, 2]], "a pixel has some class"
    assert [value.name for value in tunable_values(PostConfig(), STREET, {}, presence=True)] == [
        f"presence of {name}" for name in STREET.class_names
    ]


@pytest.mark.usefixtures("own_steps")
def test_the_gate_comes_after_all_that_changes_probabilities_and_before_areas():
    steps = {"their_steps:Add": {"share": 0.5}}
    assert gated(np.full((1, 3, 3), 0.4), [0.1], presence=0.2, steps=steps).sum() == 0
    assert gated(np.full((1, 3, 3), 0.4), [0.1], presence=0.1, steps=steps).sum() == 9
    assert gated(np.full((1, 3, 3), 0.9), [0.1], presence=0.2, fill_holes=9, min_area=2).sum() == 0


@pytest.mark.usefixtures("own_steps")
def test_the_gate_is_no_part_of_what_is_refined():
    """So that settings that differ in it alone share what is costly."""
    probability, presence = np.full((1, 3, 3), 102, np.uint8), np.array([0.1], np.float32)
    steps = {"their_steps:Add": {"share": 0.5}}
    plain, gate = (build_chain(PostConfig(presence=value, steps=steps), BINARY) for value in (0, 0.2))
    assert plain.refinement == gate.refinement != build_chain(PostConfig(presence=0.2), BINARY).refinement
    refined = plain.refine(probability)
    np.testing.assert_array_equal(gate.refine(probability, presence=presence), refined)
    assert plain.decide(refined).all()
    assert not gate.decide(refined, presence=presence).any()
    assert plain.decide(refined).all(), "the refined map is as it was"
    with pytest.raises(ConfigError, match="asks for the presence"):
        gate.decide(refined)


def test_a_chain_reaches_as_far_as_all_its_steps_together():
    """A hole of 30 pixels and what is just beyond it; then a component of 40."""
    assert build_chain(PostConfig(fill_holes=30, min_area=40), BINARY).reach == (30 + 1) + 40


def test_a_step_that_changes_nothing_is_not_in_the_chain():
    assert build_chain(PostConfig(), CLOUDS).after == ()
    assert [part.name for part in build_chain(PostConfig(min_area=[0, 0, 2]), CLOUDS).after] == ["min_area"]
    assert build_chain(PostConfig(min_area=1, fill_holes=[0, 0, 0], presence=0), STREET).after == ()


def test_a_gate_without_presence_is_refused_and_off_by_default():
    ones = np.ones((3, 2, 2), np.float32)
    assert decode(ones, CLOUDS, presence=0).all(), "0 is off: nobody is asked"
    chain = build_chain(PostConfig(presence=[0, 0.2, 0]), CLOUDS)
    message = "presence asks for the presence of classes, which no network here predicts: set post.presence to 0"
    with pytest.raises(ConfigError, match=message):
        chain.decode(ones)
    with pytest.raises(ConfigError, match=message):
        chain.check_presence(False)
    chain.check_presence(True)
    assert chain.needs_presence == ["presence"]


def test_the_gate_is_tuned_where_there_is_a_presence():
    names = [value.name for value in tunable_values(PostConfig(), BINARY, {}, presence=True)]
    assert names == ["presence", "threshold", "fill_holes", "min_area"]
    assert "presence" not in [value.name for value in tunable_values(PostConfig(), BINARY, {})]
    post = PostConfig(presence=(0, 0.3, 0))
    found = {value.name: value for value in tunable_values(post, CLOUDS, {"presence": [0.5, 0]})}
    assert list(found)[:4] == ["presence of cirrus", "presence of fog", "presence of haze", "threshold of cirrus"]
    assert found["presence of fog"].value(post) == 0.3
    assert found["presence of haze"].tried == (0, 0.5)
    assert found["presence of haze"].moved(post, 0.5).presence == (0, 0.3, 0.5)
    assert 0 in tunable_values(PostConfig(), BINARY, {}, presence=True)[0].tried


def test_a_step_of_ones_own_may_ask_for_the_presence(tmp_path, monkeypatch):
    (tmp_path / "trusting_steps.py").write_text(
        """
from maskfold.inference.decoding import Step


class Scale(Step):
    stage = "probability"
    needs_presence = True

    def __call__(self, layers, image, presence):
        return layers * presence


class Absent(Step):
    each_class = False
    needs_presence = True

    def __call__(self, layers, image, presence):
        assert layers.shape[0] == len(presence) == 3
        return layers * (presence >= presence.max())[:, None, None]
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    ones, presence = np.ones((3, 2, 2)), [0.4, 0.6, 0.9]
    scaled = gated(ones, presence, CLOUDS, steps={"trusting_steps:Scale": {}})
    assert scaled.any((1, 2)).tolist() == [False, True, True]
    absent = gated(ones, presence, CLOUDS, steps={"trusting_steps:Absent": {}})
    assert absent.any((1, 2)).tolist() == [False, False, True]
    with pytest.raises(ConfigError, match=r"trusting_steps:Scale asks for the presence .* leave it out"):
        decode(ones.astype(np.float32), CLOUDS, steps={"trusting_steps:Scale": {}})
