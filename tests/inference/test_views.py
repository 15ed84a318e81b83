import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfold.inference.views import build_views, resize

# The eight symmetries of the square by numpy, written down independently: what the image becomes.
NUMPY = {
    "identity": lambda a: a,
    "horizontal": lambda a: a[:, ::-1],
    "vertical": lambda a: a[::-1],
    "both": lambda a: np.rot90(a, 2),
    "transpose": lambda a: a.T,
    "rotate_right": lambda a: np.rot90(a, -1),
    "rotate_left": lambda a: np.rot90(a, 1),
    "antitranspose": lambda a: np.rot90(a, 2).T,
}


@pytest.mark.parametrize(("name", "count"), [("none", 1), ("hflip", 2), ("flips", 4), ("d4", 8)])
def test_views_are_the_named_symmetries_all_different(name, count):
    images = torch.rand(2, 3, 5, 7)
    views = build_views(name)
    assert len(views) == count
    assert [view.name for view in views] == list(NUMPY)[:count]
    for view in views:
        seen = view.forward(images)
        for n in range(2):
            for c in range(3):
                np.testing.assert_array_equal(seen[n, c].numpy(), NUMPY[view.name](images[n, c].numpy()))
    assert len({tuple(view.forward(images).flatten().tolist()) for view in views}) == count


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
def test_inverses_are_exact_for_any_batch_channels_and_size(n, c, height, width):
    images = torch.rand(n, c, height, width)
    for view in build_views("d4"):
        seen = view.forward(images)
        assert torch.equal(view.inverse(seen, (height, width)), images)
        # Logits have other channels than images.
        assert torch.equal(view.inverse(seen[:, :1], (height, width)), images[:, :1])


def test_views_of_bytes_stay_bytes():
    images = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8)
    for view in build_views("d4"):
        assert view.forward(images).dtype == torch.uint8


@pytest.mark.parametrize("scale", [0.5, 0.77, 1.25, 2.0])
@pytest.mark.parametrize("size", [(5, 7), (33, 20), (1, 3)])
def test_scales_come_back_to_exactly_the_input_size(scale, size):
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    for view in build_views("d4", (scale,)):
        seen = view.forward(images)
        expected = sorted(max(1, round(scale * side)) for side in size)
        assert sorted(seen.shape[-2:]) == expected
        assert view.inverse(seen[:, :1], size).shape == (2, 1, *size)


def test_every_view_is_taken_at_every_scale():
    views = build_views("flips", (1.0, 0.75, 1.5))
    assert len(views) == 12
    assert len({view.name for view in views}) == 12
    assert views[5].name == "horizontal_x0.75"


def test_scaled_views_keep_linear_ramps_in_place():
    """A ramp enlarged bilinearly is the ramp at the new pixels' centres; shrunk back it is itself, but for borders."""
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    ramp = (10 * rows + 3 * columns)[None, None]
    for view in build_views("flips", (2.0,)):
        seen = view.forward(ramp)
        back = view.inverse(seen, (12, 16))
        torch.testing.assert_close(back[..., 2:-2, 2:-2], ramp[..., 2:-2, 2:-2], rtol=0, atol=1e-3)
    plain = build_views("none", (2.0,))[0].forward(ramp)
    assert plain[0, 0, 5, 9].item() == pytest.approx(10 * (5.5 / 2 - 0.5) + 3 * (9.5 / 2 - 0.5), abs=1e-4)


def enlarged(values, size):
    """Bilinear by `numpy.interp`, one axis after the other; the pixels' centres agree, the edge is repeated."""
    for axis, wanted in enumerate(size):
        length = values.shape[axis]
        centres = (np.arange(wanted) + 0.5) * length / wanted - 0.5
        values = np.apply_along_axis(lambda line, at: np.interp(at, np.arange(len(line)), line), axis, values, centres)
    return values


@pytest.mark.parametrize(("size", "scale", "small"), [((8, 14), 0.5, (4, 7)), ((10, 15), 0.4, (4, 6))])
def test_scaled_symmetries_are_undone_where_the_network_saw_them(size, scale, small):
    """Of a network that tells where a pixel of what it sees stands, each pixel at the place that it was taken from."""
    images = torch.rand(1, 1, *size)
    plain = build_views("none", (scale,))[0].forward(images)[0, 0].numpy()
    assert plain.shape == small
    taken = np.arange(plain.size).reshape(small)
    for view in build_views("d4", (scale,)):
        symmetry = NUMPY[view.name.removesuffix(f"_x{scale:g}")]
        seen = view.forward(images)
        np.testing.assert_array_equal(seen[0, 0].numpy(), symmetry(plain))
        rows, columns = np.indices(seen.shape[-2:])
        told = rows**2 + 0.3 * columns
        expected = np.empty(plain.size)
        expected[symmetry(taken).ravel()] = told.ravel()
        found = view.inverse(torch.from_numpy(told)[None, None].float(), size)[0, 0].numpy()
        np.testing.assert_allclose(found, enlarged(expected.reshape(small), size), atol=1e-4, err_msg=view.name)


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = torch.zeros(1, 1, 16, 16)
    stripes[..., ::4] = 1.0
    assert resize(stripes, (4, 4))[0, 0, 1:3, 1:3].mean() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(
    ("name", "scales", "message"),
    [
        ("d8", (1.0,), "no views d8: known are none, hflip, flips, d4"),
        ("d4", (), "scales are"),
        ("d4", (1.0, 0.0), "above 0"),
    ],
)
def test_unknown_views_are_refused(name, scales, message):
    with pytest.raises(ValueError, match=message):
        build_views(name, scales)
