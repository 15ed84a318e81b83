"""Plans of ten drawn competitions: made within seconds, and the network that they ask for can be built."""

import time

import pytest
from tests.planning.kinds import CPU, LITE

from maskfold.config import Config, load_config
from maskfold.losses import build_loss
from maskfold.models import build_model
from maskfold.planning import make_plan, take_fingerprint
from maskfold.planning.write import plan_yaml

PROFILES = (
    *("tianchi-buildings", "tgs-salt", "severstal-steel", "understanding-clouds", "carvana"),
    *("airbus-ships", "gi-tract", "contrails", "dsb2018-nuclei", "sartorius-cells"),
)


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_a_drawn_competition_is_planned_for(opened, profile, tmp_path):
    twin, competition = opened(profile)
    base = Config(name="drawn", competition={"profile": profile, "root": twin.root})
    started = time.monotonic()
    data = take_fingerprint(competition, base.folds)
    plan = make_plan(base, data, CPU, hours=1, networks=LITE)
    assert time.monotonic() - started < 60
    path = tmp_path / "drawn.yaml"
    path.write_text(plan_yaml(plan, base))
    config = load_config(path)
    assert data.train == len(competition.samples("train"))
    assert config.loss is not None
    network = build_model(
        config.model, classes=competition.labels.channels, images=competition.images, pretrained=False
    )
    build_loss(config.loss, competition.labels, outputs=network.aux_names)
    assert competition.labels.exclusive == (config.loss[0]["name"] == "cross_entropy")
    assert config.data.crop >= 32
