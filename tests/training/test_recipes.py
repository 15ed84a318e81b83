"""Mixed images, weighted draws and moved labels: stopped and resumed a training ends with the same bits."""

import numpy as np
import pytest
from tests.drawn_runs import constant_run
from tests.training.test_resumed_configs import StopAfterOne, content

from maskfold.config import override
from maskfold.runs import Run
from maskfold.training import fit


@pytest.mark.slow
def test_stopped_and_resumed(config, tmp_path):
    first = constant_run(tmp_path / "runs", "first", config, {0: 0.5, 1: 0.5, 2: 0.5})
    asked = override(
        config,
        {
            "data.mix": {"recipe": "mosaic"},
            "data.weights": {"runs": [str(first.path)], "hard": 1.0, "doubtful": 0.2},
            "data.label_shift": [0.5, -1],
            "train.epoch_images": 8,
        },
    )
    runs = {place: Run.create(asked, tmp_path / place) for place in ("whole", "stopped")}
    fit(runs["whole"], 0)
    assert fit(runs["stopped"], 0, [StopAfterOne()])["epochs"] == 1
    assert fit(runs["stopped"], 0)["epochs"] == 2
    assert content(runs["stopped"]) == content(runs["whole"])
    losses = np.genfromtxt(runs["whole"].fold(0).path / "metrics.csv", delimiter=",", names=True)["loss"]
    assert np.isfinite(losses).all()
