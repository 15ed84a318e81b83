import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from maskfold.errors import ModelError
from maskfold.models import Outputs, SegmentationModel
from maskfold.models.wrapper import reflect_pad


class Strided(nn.Module):
    """Stands for a network: refuses sizes that stride 4 does not divide, returns two maps of its input."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 2, 1)
        self.decoder = nn.Conv2d(2, 2, 1)
        self.seen = None

    def forward(self, images):
        self.seen = images
        assert images.shape[-1] % 4 == 0
        assert images.shape[-2] % 4 == 0
        return self.decoder(self.encoder(images))


def strided(**options):
    torch.manual_seed(3)
    return SegmentationModel(Strided(), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0), stride=4, **options)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 30), st.integers(0, 30))
def test_padding_reflects_as_numpy_does_however_often(height, width, more_rows, more_columns):
    image = np.random.default_rng(height * 10 + width).integers(0, 256, (2, 3, height, width), np.uint8)
    expected = np.pad(image, ((0, 0), (0, 0), (0, more_rows), (0, more_columns)), mode="reflect")
    padded = reflect_pad(torch.from_numpy(image), height + more_rows, width + more_columns)
    np.testing.assert_array_equal(padded.numpy(), expected)


def test_images_are_normalised_by_the_encoders_statistics_and_padded_at_right_and_bottom():
    model = strided(minimum=16)
    images = torch.randint(0, 256, (2, 3, 5, 11), dtype=torch.uint8)
    logits = model(images).logits
    assert logits.shape == (2, 2, 5, 11)
    assert model.net.seen.shape == (2, 3, 16, 16)
    values = images.numpy() / 255
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 2.0)]):
        np.testing.assert_allclose(
            model.net.seen[:, channel, :5, :11].numpy(), (values[:, channel] - mean) / std, atol=1e-5
        )
    # A pointwise network knows no borders, so cropping back must give what it says of each pixel.
    unpadded = model.net.decoder(model.net.encoder((images.float() - model.mean) / model.std))
    torch.testing.assert_close(logits, unpadded)


def test_floats_and_bytes_mean_the_same():
    images = torch.randint(0, 256, (1, 3, 4, 8), dtype=torch.uint8)
    model = strided()
    torch.testing.assert_close(model(images).logits, model(images.float()).logits, rtol=0, atol=0)


def test_statistics_are_saved_with_the_weights_that_need_them():
    model = strided()
    other = SegmentationModel(Strided(), mean=(0.5,) * 3, std=(0.5,) * 3, stride=4)
    other.load_state_dict(model.state_dict())
    images = torch.randint(0, 256, (1, 3, 4, 8), dtype=torch.uint8)
    assert torch.equal(other(images).logits, model(images).logits)


def test_parameters_are_divided_without_rest():
    model = strided()
    encoder, other = model.encoder_parameters(), model.other_parameters()
    assert {id(p) for p in encoder} == {id(p) for p in model.net.encoder.parameters()}
    assert {id(p) for p in other} == {id(p) for p in model.net.decoder.parameters()}
    assert len(encoder) + len(other) == len(list(model.parameters()))


def test_what_the_network_itself_keeps_fixed_is_not_thawed():
    """No optimiser would clear its gradients, and they would count for the norm at which others are clipped."""
    net = strided().net
    net.encoder.weight.requires_grad_(False)
    model = SegmentationModel(net, mean=(0.0,) * 3, std=(1.0,) * 3, stride=4)
    for frozen in (True, False):
        model.freeze_encoder(frozen)
        assert (net.encoder.weight.requires_grad, net.encoder.bias.requires_grad) == (False, not frozen)


def test_images_of_another_shape_are_refused():
    with pytest.raises(ModelError, match=r"given \(3, 8, 8\).*\(N, 3, H, W\)"):
        strided()(torch.zeros(3, 8, 8))
    with pytest.raises(ModelError, match=r"given \(1, 1, 8, 8\)"):
        strided()(torch.zeros(1, 1, 8, 8))


def test_training_on_one_image_is_refused_where_the_network_pools_to_one_pixel():
    model = strided(pools_to_one=True)
    with pytest.raises(ModelError, match=r"train\.batch_size"):
        model.train()(torch.zeros(1, 3, 8, 8))
    model.eval()(torch.zeros(1, 3, 8, 8))


class Resized(Strided):
    """`Strided` whose logits, or whose map ``further``, are ``factor`` times as high and wide as the images."""

    def __init__(self, factor, *, further=False):
        super().__init__()
        self.factor, self.further = factor, further

    def forward(self, images):
        logits = super().forward(images)
        other = nn.functional.interpolate(logits, scale_factor=self.factor)
        return Outputs(logits, {"edge": other}) if self.further else other


@pytest.mark.parametrize(("factor", "there"), [(2, "32x24"), (0.5, "8x6")])
@pytest.mark.parametrize("further", [False, True])
def test_maps_that_are_not_of_the_images_size_are_refused(factor, there, further):
    """Cropped, they would be the image's top left at another zoom."""
    model = SegmentationModel(Resized(factor, further=further), mean=(0,) * 3, std=(1,) * 3, stride=4)
    with pytest.raises(ModelError, match=rf"maps of {there} for images of 16x12.*model\.options\.upsampling"):
        model(torch.zeros(2, 3, 13, 10))


class Normed(Strided):
    """`Strided` that normalises a map of one pixel for each stride, over batch and pixels."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)

    def forward(self, images):
        logits = super().forward(images)
        return nn.functional.interpolate(self.norm(nn.functional.avg_pool2d(logits, 4)), scale_factor=4)


def test_training_on_one_image_of_one_stride_is_refused_where_it_would_be_normalised_alone():
    model = SegmentationModel(Normed(), mean=(0,) * 3, std=(1,) * 3, stride=4).train()
    with pytest.raises(ModelError, match=r"one image of 4x4 .*data\.crop above 4, or train\.batch_size"):
        model(torch.zeros(1, 3, 3, 2))
    for size in ((2, 3, 4, 4), (1, 3, 4, 5), (1, 3, 5, 4)):
        assert model(torch.zeros(size)).logits.shape[2:] == size[2:]
    model.net.norm.eval()  # as a frozen encoder's are
    model(torch.zeros(1, 3, 4, 4))
    model.eval()(torch.zeros(1, 3, 4, 4))
    strided().train()(torch.zeros(1, 3, 4, 4))
