"""The further output that tells objects apart: one more channel of the net, split off by the wrapper."""

import pytest
import torch
from torch import nn

from maskfold.config import ModelConfig, TTAConfig
from maskfold.inference import predict_batches
from maskfold.inference.predict import logits_of
from maskfold.labels import LabelSpec
from maskfold.losses import build_loss
from maskfold.models import build_model
from maskfold.models.outputs import Outputs
from maskfold.models.torchscript import scripted

BINARY = LabelSpec("binary", ("nucleus",))
SMALL = {"encoder_depth": 3, "decoder_channels": [16, 12, 8]}
NETWORKS = {
    "unet": {},
    "deep": {"deep_supervision": 2, "hypercolumns": True, "presence": True},
    "fpn": {"architecture": "fpn", "options": {}},
    "unet_original": {"architecture": "unet_original", "encoder": "own", "options": {}},
}


def build(kind, **changes):
    torch.manual_seed(0)
    config = {"encoder": "mobilenet_v2", "encoder_weights": None, "options": SMALL, "instances": kind}
    return build_model(ModelConfig(**{**config, **changes}), classes=1)


@pytest.fixture
def images():
    return torch.randint(0, 256, (2, 3, 45, 70), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind", ["border", "inner"])
def test_it_stands_beside_the_mask(name, kind, images):
    model = build(kind, **NETWORKS[name]).eval()
    found = model(images)
    assert found.logits.shape == found.aux[kind].shape == (2, 1, 45, 70)
    assert not torch.equal(found.logits, found.aux[kind])
    model.train()
    trained = model(images)
    assert list(trained.named()) == ["mask", *model.aux_names]
    assert {output.shape for name, output in trained.aux.items() if name != "presence"} == {(2, 1, 45, 70)}


def test_without_it_nothing_changes(images):
    plain = build(None)
    assert plain.aux_names == []
    assert plain.net.segmentation_head[0].out_channels == 1
    assert build("inner").aux_names == ["inner"]


def test_both_outputs_learn_from_targets_of_their_own(images):
    model = build("border").train()
    loss = build_loss([{"name": "bce"}], BINARY, outputs=model.aux_names)
    assert loss.needs == {"border"}
    mask = (torch.rand(2, 1, 45, 70, generator=torch.Generator().manual_seed(2)) < 0.3).float()
    border = (torch.rand(2, 1, 45, 70, generator=torch.Generator().manual_seed(3)) < 0.1).float()
    found = model(images).named()
    total, terms = loss(found, {"mask": mask, "border": border})
    bce = nn.functional.binary_cross_entropy_with_logits
    assert set(terms) == {"bce", "border_bce", "border_dice"}
    torch.testing.assert_close(terms["border_bce"], bce(found["border"], border).detach())
    expected = bce(found["mask"], mask) + 0.5 * terms["border_bce"] + 0.5 * terms["border_dice"]
    torch.testing.assert_close(total.detach(), expected.detach())


def test_a_term_of_ones_own_has_the_target_of_its_output():
    loss = build_loss([{"name": "bce"}, {"name": "focal", "output": "border"}], BINARY, outputs=["border"])
    assert loss.needs == {"border"}
    zeros, ones = torch.zeros(1, 1, 2, 3), torch.ones(1, 1, 2, 3)
    _, terms = loss({"mask": zeros, "border": zeros}, {"mask": ones, "border": zeros})
    assert set(terms) == {"bce", "border_focal"}


@pytest.mark.parametrize("merge", ["probabilities", "logits", "vote"])
def test_prediction_says_how_far_inside_a_pixel_is(merge, images):
    """0 where a border is; views move it with the mask."""
    models = [build("border").eval(), build("border").eval()]
    nn.init.normal_(models[1].net.segmentation_head[0].weight)
    batch = {"image": images, "id": ["a", "b"], "index": [0, 1], "size": torch.tensor([[45, 70], [45, 70]])}
    tta = TTAConfig(views="none", merge=merge)
    found = list(predict_batches(models, [batch], labels=BINARY, tta=tta, device=torch.device("cpu")))
    with torch.no_grad():
        borders = [model(images).aux["border"] for model in models]
        means = {
            "probabilities": sum(1 - b.sigmoid() for b in borders) / 2,
            "logits": (-sum(borders) / 2).sigmoid(),
            "vote": sum((b <= 0).float() for b in borders) / 2,
        }
    for prediction, mean in zip(found, means[merge], strict=True):
        assert prediction.probability.shape == (1, 45, 70)
        torch.testing.assert_close(torch.from_numpy(prediction.inside), mean[0], rtol=1e-5, atol=1e-5)


def test_views_move_it_with_the_mask(images):
    model = build("inner").eval()
    batch = {"image": images, "id": ["a", "b"], "index": [0, 1], "size": torch.tensor([[45, 70], [45, 70]])}
    flips = TTAConfig(views="flips")
    found = list(predict_batches([model], [batch], labels=BINARY, tta=flips, device=torch.device("cpu")))
    with torch.no_grad():
        views = [model(images.flip(axes)).aux["inner"].sigmoid().flip(axes) for axes in ((), (2,), (3,), (2, 3))]
    mean = sum(views) / 4
    torch.testing.assert_close(torch.from_numpy(found[1].inside), mean[1, 0], rtol=1e-4, atol=1e-5)


def test_other_networks_have_no_such_map(images):
    assert logits_of(Outputs(images.float(), {})).shape == images.shape
    batch = {"image": images, "id": ["a", "b"], "index": [0, 1], "size": torch.tensor([[45, 70], [45, 70]])}
    tta = TTAConfig(views="none")
    found = predict_batches([build(None).eval()], [batch], labels=BINARY, tta=tta, device=torch.device("cpu"))
    assert all(prediction.inside is None for prediction in found)


def test_torchscript_holds_the_mask(images):
    model = build("inner").eval()
    with torch.no_grad():
        torch.testing.assert_close(scripted(model)(images.float()), model(images).logits, rtol=1e-4, atol=1e-4)
