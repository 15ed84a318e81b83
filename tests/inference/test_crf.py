"""The fully connected CRF against the direct sum over all pairs of pixels, written here in float64."""

import numpy as np
import pytest
import torch
from tests.conftest import draw_scene

from maskfold.config import CRFConfig, PostConfig
from maskfold.errors import ConfigError, InferenceError
from maskfold.images import ImageSpec
from maskfold.inference.decoding import build_chain, crf, tunable_values
from maskfold.inference.decoding.permutohedral import PermutohedralLattice
from maskfold.labels import LabelSpec

BINARY = LabelSpec("binary", ("building",))
CLOUDS = LabelSpec("multilabel", ("cirrus", "fog"))
CAMVID = LabelSpec(
    "multiclass",
    ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),
)
OPTIONS = {"w1": 3.5, "theta_alpha": 9.0, "theta_beta": 14.0, "w2": 1.5, "theta_gamma": 1.25, "steps": 4}


def direct(probability, image, *, w1, theta_alpha, theta_beta, w2, theta_gamma, steps):
    """Mean field (Krähenbühl & Koltun 2011, algorithm 1) of all labels (L, H, W), each sum written out."""
    height, width = image.shape[:2]
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2).astype(float)
    colours = image.reshape(-1, 3).astype(float)
    apart = ((places[:, None] - places[None]) ** 2).sum(-1)
    unlike = ((colours[:, None] - colours[None]) ** 2).sum(-1)
    appearance = np.exp(-apart / (2 * theta_alpha**2) - unlike / (2 * theta_beta**2))
    smoothness = np.exp(-apart / (2 * theta_gamma**2))
    pairwise = 0
    for weight, kernel in ((w1, appearance), (w2, smoothness)):
        root = np.sqrt(kernel.sum(1))
        pairwise = pairwise + weight * kernel / root[:, None] / root[None]
    highest = 1 - 0.5 / 255 if len(probability) == 2 else 1
    given = np.clip(probability.reshape(len(probability), -1).astype(float), 0.5 / 255, highest)
    given /= given.sum(0)
    belief = given
    for _ in range(steps):
        message = belief @ pairwise.T
        cost = message.sum(0) - message  # Potts: what every other label holds
        belief = given * np.exp(-cost)
        belief /= belief.sum(0)
    return belief.reshape(probability.shape)


def scene(height=23, width=31, seed=0, classes=1):
    """An image with clear edges, and a noisy probability of its bright parts (or of several classes)."""
    rng = np.random.default_rng(seed)
    image, mask = draw_scene(rng, height, width, buildings=3)
    if classes == 1:
        return image, (0.3 + 0.4 * mask + rng.normal(0, 0.2, mask.shape)).clip(0, 1)[None].astype(np.float32), mask
    label = mask * (1 + (np.arange(width) * 3 // width)) % classes
    noisy = 0.8 * np.eye(classes)[label].transpose(2, 0, 1) + rng.random((classes, height, width))
    return image, (noisy / noisy.sum(0)).astype(np.float32), label


def refined(probability, image, labels, **options):
    chain = build_chain(PostConfig(crf=OPTIONS | options), labels)
    return chain.refine(probability, lambda: image)


def two(layer):
    return np.stack([1 - layer, layer])


@pytest.mark.parametrize("options", [{}, {"w1": 0.0}, {"w2": 0.0}, {"steps": 1}, {"theta_alpha": 60.0, "w1": 6.0}])
def test_small_images_are_exact(options):
    image, probability, _ = scene()
    expected = direct(two(probability[0]), image, **OPTIONS | options)[1]
    found = refined(probability, image, BINARY, **options)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected, atol=5e-6)
    assert np.abs(expected - probability[0]).mean() > 0.05, "the field does something"


def test_each_class_has_a_field_of_its_own_where_classes_overlap():
    image, first, _ = scene()
    _, second, _ = scene(seed=5)
    found = refined(np.concatenate([first, second]), image, CLOUDS)
    for layer, one in zip(found, (first, second), strict=True):
        np.testing.assert_allclose(layer, direct(two(one[0]), image, **OPTIONS)[1], atol=5e-6)


def test_classes_that_exclude_each_other_share_a_field():
    image, probability, _ = scene(classes=11)
    found = refined(probability, image, CAMVID)
    np.testing.assert_allclose(found, direct(probability, image, **OPTIONS), atol=5e-6)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_certain_pixels_are_as_in_stored_maps(certain):
    """A map of 8 bits has no more than 1 - 1/510: what is nearer to 0 and 1 is the same."""
    image, probability, _ = scene()
    probability[:, 5:9, 7:20] = certain
    expected = direct(two(probability[0]), image, **OPTIONS)[1]
    np.testing.assert_allclose(refined(probability, image, BINARY)[0], expected, atol=1e-3)
    stored = np.rint(probability * 255).astype(np.uint8)
    np.testing.assert_allclose(
        refined(stored, image, BINARY), refined((stored / 255).astype(np.float32), image, BINARY), atol=1e-6
    )


@pytest.mark.parametrize("options", [{}, {"theta_alpha": 30.0, "theta_beta": 6.0}, {"w1": 6.0, "steps": 10}])
@pytest.mark.parametrize("labels", [BINARY, CAMVID], ids=lambda labels: labels.task)
def test_large_images_are_near_the_direct_sum(options, labels, monkeypatch):
    """The tolerance that docs/cookbook.md states: 0.02 in the mean, 5 % of the pixels decided otherwise."""
    monkeypatch.setattr(crf, "EXACT_PIXELS", 0)
    image, probability, _ = scene(44, 39, seed=2, classes=labels.channels)
    options = OPTIONS | {"steps": 5} | options
    expected = direct(two(probability[0]) if labels is BINARY else probability, image, **options)
    found = refined(probability, image, labels, **options)
    found = two(found[0]) if labels is BINARY else found
    assert np.abs(found - expected).mean() < 0.02
    assert np.mean(found.argmax(0) != expected.argmax(0)) < 0.05
    assert np.abs(found - expected).max() > 1e-4, "the lattice was asked"
    assert np.abs(probability - expected[-len(probability) :]).mean() > 0.1


@pytest.mark.parametrize(("dimensions", "most"), [(1, 0.01), (2, 0.01), (3, 0.01), (5, 0.02)])
def test_the_lattice_filters_as_the_gaussian_does(dimensions, most):
    rng = np.random.default_rng(dimensions)
    points = rng.random((dimensions, 1500)) * np.array([4.0, 3, 2, 1.5, 1])[:dimensions, None]
    values = points[0] + np.sin(3 * points[-1])
    kernel = np.exp(-0.5 * ((points[:, :, None] - points[:, None]) ** 2).sum(0))
    lattice = PermutohedralLattice(torch.tensor(points, dtype=torch.float32))
    total, ones = (lattice(torch.tensor(v, dtype=torch.float32)).numpy() for v in (values, np.ones(1500)))
    error = np.abs(total / ones - kernel @ values / kernel.sum(1))
    assert error.mean() < most * np.ptp(values)
    # Sums themselves, of which only the ratio counts.
    ratio = ones / kernel.sum(1)
    assert ratio.std() < 0.06 * ratio.mean()


def test_points_that_are_far_apart_do_not_meet():
    far = torch.tensor([[0.0, 0.1, 50.0], [0.0, 0.0, -80.0]])
    lattice = PermutohedralLattice(far)
    values = lattice(torch.tensor([1.0, 0.0, 0.0]))
    assert values[0] > values[1] > 0.3
    assert values[2] == 0
    with pytest.raises(InferenceError, match=r"set post\.crf\.theta_alpha or post\.crf\.theta_beta higher"):
        PermutohedralLattice(torch.rand(5, 4, generator=torch.Generator().manual_seed(0)) * 1e5)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("labels", [BINARY, CAMVID], ids=lambda labels: labels.task)
def test_masks_follow_the_edges(labels, exact, monkeypatch):
    monkeypatch.setattr(crf, "EXACT_PIXELS", 4096 * exact)
    image, probability, truth = scene(44, 39, seed=2, classes=labels.channels)
    plain, chain = build_chain(PostConfig(), labels), build_chain(PostConfig(crf=OPTIONS), labels)
    before, after = ((decode(probability, lambda: image) == truth).mean() for decode in (plain.decode, chain.decode))
    assert after > 0.98 > 0.9 > before


SIXTEEN_BITS = ImageSpec(channels=4, dtype="uint16", scale=5100, rgb=(2, 0, 3))


@pytest.mark.parametrize(
    ("spec", "stored"),
    [
        (SIXTEEN_BITS, lambda rgb: np.stack([rgb[..., 1], rgb[..., 0] * 0, rgb[..., 0], rgb[..., 2]], -1) * 20),
        (ImageSpec(dtype="float32"), lambda rgb: (rgb / 255).astype(np.float32)),
    ],
)
def test_colours_are_those_that_people_see(spec, stored):
    image, probability, _ = scene()
    other = stored(image.astype(np.uint16)).astype(spec.dtype)
    chain = build_chain(PostConfig(crf=OPTIONS), BINARY, spec)
    expected = refined(probability, image, BINARY)
    np.testing.assert_array_equal(chain.refine(probability, lambda: other), expected)
    # Twice as large an image is brought to the map's size.
    larger = other.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(chain.refine(probability, lambda: larger), expected)
    with pytest.raises(InferenceError, match=rf"not {spec.dtype} \(23, 31, {spec.channels}\): build the chain"):
        refined(probability, other, BINARY)


def test_an_image_of_one_channel_is_grey():
    image, probability, _ = scene()
    grey = image[..., :1]
    chain = build_chain(PostConfig(crf=OPTIONS), BINARY, ImageSpec(channels=1))
    found = chain.refine(probability, lambda: grey)[0]
    np.testing.assert_allclose(found, direct(two(probability[0]), grey.repeat(3, 2), **OPTIONS)[1], atol=5e-6)


def test_it_is_off_by_default_and_comes_before_the_threshold():
    image, probability, _ = scene()
    assert PostConfig().crf is None
    assert build_chain(PostConfig(), BINARY).before == ()
    chain = build_chain(PostConfig(crf=OPTIONS, threshold=0.8, min_area=3), BINARY)
    expected = direct(two(probability[0]), image, **OPTIONS)[1] >= 0.8
    assert (chain.decode(probability, lambda: image) <= expected).all()
    assert (
        chain.decide(chain.refine(probability, lambda: image)).tolist()
        == chain.decode(probability, lambda: image).tolist()
    )
    with pytest.raises(InferenceError, match="crf asks for the image, but there is only a map"):
        chain.decode(probability)


@pytest.mark.parametrize("labels", [BINARY, CLOUDS, CAMVID], ids=lambda labels: labels.task)
def test_its_five_parameters_are_tuned_for_all_classes_together(labels):
    post = PostConfig(crf={"w1": 5})
    found = [value for value in tunable_values(post, labels, {"crf": {"w1": [4, 2]}}) if value.step == "crf"]
    assert {value.name: value.tried for value in found} == {
        "crf.theta_beta": (3, 4, 6), "crf.theta_alpha": (30, 60, 100), "crf.w1": (2, 4),
        "crf.w2": (1, 3), "crf.theta_gamma": (1, 3),
    }  # fmt: skip
    weight = next(value for value in found if value.name == "crf.w1")
    assert weight.value(post) == 5
    assert weight.moved(post, 2) == PostConfig(crf=CRFConfig(w1=2))
    assert weight.as_tried([2, 3]) == {"crf": {"w1": [2, 3]}}
    assert weight.allows(7.5)
    assert not weight.allows(-1)
    off = tunable_values(PostConfig(), labels, {"crf": {"w1": [4, 2]}})
    assert not [value for value in off if value.step == "crf"], "tuning may have left it out"


@pytest.mark.parametrize(
    ("tried", "message"),
    [
        ({"crf": [3]}, r"tune\.tried\.crf is \[3\]: expected a list of values for each option"),
        (
            {"crf": {"sigma": [3]}},
            "the option sigma of crf: it has w1, theta_alpha, theta_beta, w2, theta_gamma",
        ),
    ],
)
def test_tried_values_that_fit_no_parameter_are_refused(tried, message):
    with pytest.raises(ConfigError, match=message):
        tunable_values(PostConfig(crf={}), BINARY, tried)


@pytest.mark.gpu
def test_a_gpu_computes_the_same(monkeypatch):
    image, probability, _ = scene(90, 75, seed=2)
    found = refined(probability, image, BINARY)
    monkeypatch.setattr(crf, "choose_device", lambda: torch.device("cpu"))
    np.testing.assert_allclose(found, refined(probability, image, BINARY), atol=1e-3)
