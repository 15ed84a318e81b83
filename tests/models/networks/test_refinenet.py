"""RefineNet: its blocks written out, the order of its cascades."""

import pytest
import torch
import torch.nn.functional as F
from tests.models.networks.conftest import count

from maskfold.models.networks.refinenet import Cascade, ChainedResidualPooling, ResidualUnit


@pytest.mark.slow
def test_parameters_as_published(build):
    assert count(build("refinenet", "resnet101", classes=21)) == 118_052_437


@pytest.fixture
def maps():
    return torch.randn(2, 3, 9, 11, generator=torch.Generator().manual_seed(0))


def conv(maps, layer):
    return F.conv2d(maps, layer.weight, layer.bias, padding=1)


@torch.no_grad()
def test_residual_unit(maps):
    unit = ResidualUnit(3)
    assert unit.first.bias is not None
    assert unit.second.bias is None
    before = maps.clone()
    torch.testing.assert_close(unit(maps), maps + conv(conv(maps.relu(), unit.first).relu(), unit.second))
    assert torch.equal(maps, before)


@torch.no_grad()
def test_chained_residual_pooling(maps):
    block = ChainedResidualPooling(3)
    one, two, three, four = block.convolutions
    pooled = [maps]
    for layer in (one, two, three, four):
        windows = F.pad(pooled[-1], (2, 2, 2, 2), value=-torch.inf).unfold(2, 5, 1).unfold(3, 5, 1)
        pooled.append(conv(windows.amax((-2, -1)), layer))
    torch.testing.assert_close(block(maps), sum(pooled[1:], pooled[0]))


@torch.no_grad()
def test_a_cascade_adds_the_coarser_map_before_the_pooling(maps):
    cascade, coarser = Cascade(3, 4, out=5), torch.randn(2, 4, 5, 6)
    fused = conv(cascade.adapt(conv(maps, cascade.reduce)), cascade.fuse)
    fused = fused + F.interpolate(coarser, size=(9, 11), mode="bilinear")
    expected = conv(cascade.refine(cascade.pool(fused.relu())), cascade.hand_on)
    assert expected.shape == (2, 5, 9, 11)
    torch.testing.assert_close(cascade(maps, coarser), expected)


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "vgg11", "tu-convnext_atto", "mit_b0"])
def test_cascades_go_from_the_coarsest_map_to_the_finest(build, images, encoder):
    net = build("refinenet", encoder, classes=2, width=6).net.eval()
    seen = []
    for cascade in net.cascades:
        cascade.register_forward_hook(lambda module, inputs, found: seen.append((inputs[0].shape[1:], found.shape[1:])))
    with torch.no_grad():
        maps = net.encoder(images)
        logits = net(images)
        last = F.conv2d(seen and net.cascades[3](maps[-4], _found(net, maps)), net.segmentation_head.weight,
                        net.segmentation_head.bias, padding=1)  # fmt: skip
    assert [inputs for inputs, _ in seen[:4]] == [m.shape[1:] for m in maps[:-5:-1]]
    assert [tuple(found) for _, found in seen[:4]] == [(6, 2, 3), (6, 4, 6), (6, 8, 12), (6, 16, 24)]
    torch.testing.assert_close(logits, F.interpolate(last, size=(64, 96), mode="bilinear"))


def _found(net, maps):
    """What the three coarser cascades make."""
    found = None
    for cascade, feature in zip(net.cascades, maps[:-4:-1], strict=False):
        found = cascade(feature, found)
    return found


def test_dropout_is_where_the_publication_has_it(build, images):
    net = build("refinenet", "resnet18", width=4, dropout=1.0).net.train()
    seen = []
    for cascade in net.cascades:
        cascade.register_forward_hook(lambda module, inputs, found: seen.append(bool(inputs[0].any())))
    logits = net(images)
    assert seen == [False, False, True, True]
    torch.testing.assert_close(logits, net.segmentation_head.bias.view(1, -1, 1, 1).expand_as(logits))
