"""The recipes of docs/losses_metrics.md are configs that build and train."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from maskfold.config import config_from_tree
from maskfold.labels import LabelSpec
from maskfold.losses import LOSSES, build_loss

PAGE = (Path(__file__).parents[2] / "docs" / "losses_metrics.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
RECIPES = [block for block in BLOCKS if "loss" in block]


def terms(recipe):
    return recipe["loss"]


def test_the_promised_recipes_are_there():
    found = [{term["name"]: term.get("weight", 1) for term in terms(recipe)} for recipe in RECIPES]
    for wanted in [
        {"bce": 0.8, "dice": 0.2},
        {"dice": 1, "focal": 1},
        {"bce": 1, "lovasz_hinge": 0.02},
        {"bce": 0.5, "lovasz_hinge": 0.5},
        {"cross_entropy": 0.8, "lovasz_softmax": 0.2},
        {"lovasz_hinge": 1},
        {"cross_entropy": 0.25, "jml": 0.75},
        {"focal": 0.25, "jml": 0.75},
    ]:
        assert wanted in found
    assert any({term.get("output") for term in terms(recipe)} > {"deep_1"} for recipe in RECIPES)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_described(name):
    assert re.search(rf"^\| `{name}`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: "+".join(term["name"] for term in terms(recipe)))
def test_recipe(recipe):
    config = config_from_tree(recipe, source="the recipe")
    exclusive = {"cross_entropy", "lovasz_softmax"} & {term["name"] for term in terms(recipe)}
    labels = LabelSpec("multiclass", tuple("abcd")) if exclusive else LabelSpec("binary", ("a",))
    loss = build_loss(config.loss, labels)
    channels = labels.channels
    g = torch.Generator().manual_seed(0)
    target = torch.randint(0, max(2, channels), (2, 16, 12), generator=g)
    target = target if channels > 1 else target[:, None].float()
    several = [term["outputs"] for term in terms(recipe) if "outputs" in term]
    names = {term.get("output", "mask") for term in terms(recipe)}.union(*several)
    outputs = {name: torch.randn(2, channels, 16, 12, generator=g, requires_grad=True) for name in sorted(names)}
    targets = {"mask": target, **{name: torch.randn(2, channels, 16, 12, generator=g) for name in loss.needs}}
    seen = set()
    for epoch in (1, 5, 30):
        loss.set_epoch(epoch)
        value, found = loss(outputs, targets)
        for gradient in torch.autograd.grad(value, list(outputs.values())):
            assert gradient.isfinite().all()
            assert gradient.norm() > 0
        seen |= set(found)
    assert len(seen) == len(terms(recipe)) + sum(len(outputs) - 1 for outputs in several)
