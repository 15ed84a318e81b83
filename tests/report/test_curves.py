import numpy as np
import pytest
from tests.report.conftest import truths

from maskfold.competitions import open_competition
from maskfold.config import PostConfig, override
from maskfold.ensembling.choice import Mix
from maskfold.ensembling.oof import oof_images
from maskfold.ensembling.submit import default_choice
from maskfold.inference.decoding.steps import remove_small
from maskfold.labels import LabelSpec
from maskfold.metrics import build_metric
from maskfold.report.curves import score_settings

BINARY = LabelSpec("binary", ("roof",))


def test_each_curve_moves_one_setting_only(run, tiles):
    competition = open_competition(run.config.competition)
    images = oof_images([run], [["ema"]], competition, [run.config.tta])
    choice = default_choice([run], override(run.config, {"inference.checkpoint": "ema"}))
    choice = choice.model_copy(update={"post": PostConfig(threshold=0.63, min_area=30)})
    scores = score_settings(images, competition, choice, run.config.tune)
    masks = truths(tiles)

    def expected(threshold, area, folds=(0, 1, 2)):
        found = []
        for image in images:
            if image.fold in folds:
                predicted = (image.probability(Mix(("ema",), (1.0,)))[0] >= threshold).astype(np.uint8)
                predicted = remove_small(predicted, area) if area else predicted
                total = predicted.sum() + masks[image.id].sum()
                found.append(2 * (predicted & masks[image.id]).sum() / total if total else 1.0)
        return np.mean(found)

    threshold, area = scores.curves  # filled holes are tried at 0 alone
    assert (threshold.chosen, area.chosen) == (0.63, 30)
    assert (area.name, area.title) == ("min_area", "minimum area in pixels")
    assert list(threshold.values) == sorted([0.63, *(round(0.05 * i, 2) for i in range(1, 20))])
    assert list(area.values) == [0, 9, 30]
    place = list(threshold.values).index(0.3)
    assert threshold.scores[place] == pytest.approx(expected(0.3, 30))
    assert threshold.by_fold[1][place] == pytest.approx(expected(0.3, 30, folds=(1,)))
    assert area.scores == pytest.approx([expected(0.63, value) for value in (0, 9, 30)])
    assert len(set(area.scores.round(6))) == 3
    dice = build_metric("dice", BINARY)
    assert dice.score(scores.plain) == pytest.approx(expected(0.5, 0))
    assert dice.score(scores.chosen) == pytest.approx(expected(0.63, 30))
    assert area.gain == pytest.approx(max(area.scores) - area.scores[2])
