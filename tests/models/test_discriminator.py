"""The discriminator: a verdict for every 8 x 8 pixels of any image, each about 33 x 33 of them."""

import pytest
import torch

from maskfold.models import Discriminator

CASES = [(3, 1, (96, 64), (12, 8)), (4, 5, (101, 77), (13, 10)), (1, 2, (8, 9), (1, 2))]


@pytest.mark.parametrize(("images", "classes", "size", "verdicts"), CASES)
def test_one_verdict_for_every_8_by_8_pixels(images, classes, size, verdicts):
    network = Discriminator(images=images, classes=classes, width=4)
    found = network(torch.randn(2, images, *size), torch.rand(2, classes, *size))
    assert found.shape == (2, 1, *verdicts)
    # 5 x 5 convolutions of image and mask; then 3 x 3 from 8 channels to 16, 16 and the verdict.
    expected = (images * 25 + 1) * 4 + (classes * 25 + 1) * 4 + (8 * 9 + 1) * 16 + (16 * 9 + 1) * 16 + 16 * 9 + 1
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_the_field_of_view_is_33_pixels_of_image_and_mask():
    network = Discriminator(images=3, classes=2, width=8)
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.01)  # no gradient is cut off by chance
    pair = torch.ones(1, 3, 120, 136, requires_grad=True), torch.ones(1, 2, 120, 136, requires_grad=True)
    network(*pair)[0, 0, 7, 8].backward()
    for part in pair:
        rows, columns = (part.grad[0, 0].abs().sum(axis).nonzero().flatten() for axis in (1, 0))
        assert (rows[0].item(), rows[-1].item() + 1) == (8 * 7 - 16, 8 * 7 + 17)
        assert (columns[0].item(), columns[-1].item() + 1) == (8 * 8 - 16, 8 * 8 + 17)


def test_true_and_predicted_masks_in_one_batch_do_not_know_of_each_other():
    network = Discriminator(images=3, classes=1, width=4)
    images, masks = torch.randn(3, 3, 24, 32), torch.rand(3, 1, 24, 32)
    alone = torch.cat([network(images[i : i + 1], masks[i : i + 1]) for i in range(3)])
    assert torch.allclose(network(images, masks), alone, atol=1e-6)
