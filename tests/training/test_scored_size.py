"""With ``submission.size`` validation, out-of-fold maps and tuning work at that size, as prediction does."""

import cv2
import numpy as np
import pytest
from scipy import ndimage
from tests.clouds import NAMES, clouds_config, write_clouds
from tests.conftest import reference_rle
from tests.drawn_runs import dice, make_run

from maskfold.competitions import open_competition, validate_submission
from maskfold.config import override
from maskfold.ensembling.checkpoints import has_oof
from maskfold.ensembling.submit import default_choice, predict_samples, write_submission
from maskfold.ensembling.tune import tune
from maskfold.errors import CompetitionError, SubmissionError
from maskfold.report import make_report, read_choice
from maskfold.runs import Run
from maskfold.scoring.evaluate import evaluate_oof, evaluate_submission
from maskfold.training import fit

ASKED = (20, 18)  # images are 40 x 48 and 44 x 36


def test_areas_are_tuned_at_the_size_that_is_submitted(tmp_path):
    """Specks of 4 pixels and objects of 9 at the submission's size: about 16 and 40 at the images'."""
    masks = write_clouds(tmp_path / "clouds", size=ASKED)
    config = clouds_config(tmp_path / "clouds")
    competition = open_competition(config.competition)
    ids = competition.samples("train").ids
    truth = {image_id: asked_truth(masks[image_id]) for image_id in ids}
    assert min(layer.sum() for layers in truth.values() for layer in layers if layer.any()) > 9
    maps = {}
    for image_id in ids:
        maps[image_id] = np.where(truth[image_id], 0.9, 0.1)
        maps[image_id][:, -2:, -2:] = 0.9
    valid = {0: ids[::2], 1: ids[1::2]}
    found = {fold: {image_id: maps[image_id] for image_id in chosen} for fold, chosen in valid.items()}
    size = competition.submission_size
    assert size == ASKED
    run = make_run(tmp_path, "a", config, {"best": found}, valid, size=size)
    tried = {"tune.tried": {"threshold": [0.5], "fill_holes": [0], "min_area": [0, 3, 6, 48]}}
    choice = tune([run], competition, override(run.config, tried))
    # The corner is a part of an object here and there, and then not a speck.
    assert choice.post.min_area == (6, 6, 6, 6)
    scores = {
        kept: np.mean([dice(keep(maps[i][c] > 0.5, kept), truth[i][c] > 0) for i in ids for c in range(4)])
        for kept in (0, 6)
    }
    assert choice.scores["before"] == pytest.approx(scores[0])
    assert choice.scores["after"] == pytest.approx(scores[6])
    assert scores[6] > scores[0] + 0.05


def asked_truth(layers):
    """Layers (C, H, W) where a class covers half of a pixel of the size `ASKED`, by the overlaps of the pixels."""
    down, across = (overlaps(old, new) for old, new in zip(layers.shape[1:], ASKED, strict=True))
    shares = down @ layers.astype(float) @ across.T
    return (shares >= 0.5 - 0.0025).astype(np.uint8)


def overlaps(old, new):
    """(new, old): the share of each of ``new`` equal parts of a line that each of ``old`` equal parts fills."""
    edges = np.arange(new + 1) * old / new
    low, high = np.maximum.outer(edges[:-1], np.arange(old)), np.minimum.outer(edges[1:], np.arange(old) + 1)
    return np.clip(high - low, 0, None) * new / old


def keep(layer, area):
    pieces, count = ndimage.label(layer, np.ones((3, 3)))
    sizes = ndimage.sum_labels(layer, pieces, np.arange(count + 1))
    return layer & (sizes >= area)[pieces]


def test_a_fold_is_validated_at_the_size_that_is_submitted(tmp_path):
    masks = write_clouds(tmp_path / "clouds", size=ASKED)
    config = clouds_config(tmp_path / "clouds", **{"train.epochs": 3})
    competition = open_competition(config.competition)
    run = Run.create(config, tmp_path / "runs")
    summary = fit(run, 0)
    store = run.fold(0).oof("best")
    assert store.ids()
    scores = []
    for image_id in store.ids():
        levels = store.read(image_id)
        assert levels.shape == (4, *ASKED)
        scores += [dice(a, b > 0) for a, b in zip(levels >= 128, asked_truth(masks[image_id]), strict=True)]
    assert summary["candidates"]["best"] == pytest.approx(np.mean(scores), abs=5e-3)
    choice = default_choice([run], run.config)
    assert evaluate_oof(choice, competition).score == pytest.approx(np.mean(scores))
    report = make_report([run], competition, read_choice([run], tmp_path / "no.yaml"), tmp_path / "r.html", count=3)
    assert report.findings.score == pytest.approx(np.mean(scores))
    assert has_oof(run, 0, "best", competition, choice.tta)
    profile = tmp_path / "clouds/profile.yaml"
    profile.write_text(profile.read_text().replace("20, 18", "20, 19"))
    other = open_competition(config.competition)
    assert not has_oof(run, 0, "best", other, choice.tta), "maps of another size are made again"
    assert evaluate_oof(choice, other).score > 0
    assert run.fold(0).oof("best").read(store.ids()[0]).shape == (4, 20, 19)


def test_masks_of_training_images_in_files_are_scored_at_the_size_that_is_submitted(tmp_path):
    """In files they have their images' sizes: a table of the truth is that of the competition."""
    masks = write_clouds(tmp_path / "clouds", size=ASKED)
    competition = open_competition(clouds_config(tmp_path / "clouds").competition)
    truth = {image_id: masks[image_id] for image_id in competition.samples("train").ids}
    shifted = {image_id: np.roll(layers, (2, 1), (1, 2)) for image_id, layers in truth.items()}
    paths = [tmp_path / "predicted.csv", tmp_path / "truth.csv"]
    for path, drawn in zip(paths, (shifted, truth), strict=True):
        rows = [
            f"{i}_{name},{reference_rle(layer)}"
            for i, layers in drawn.items()
            for name, layer in zip(NAMES, layers, strict=True)
        ]
        path.write_text("\n".join(["Image_Label,EncodedPixels", *rows]) + "\n")
    at_asked, at_own = (
        np.mean([dice(a > 0, b > 0) for i in truth for a, b in zip(size(shifted[i]), size(truth[i]), strict=True)])
        for size in (asked_truth, np.asarray)
    )
    assert abs(at_asked - at_own) > 0.001
    assert evaluate_submission(*paths, competition).score == pytest.approx(at_asked)


def test_exclusive_classes_are_scored_by_nearest_neighbour(tmp_path):
    """An image twice as high and three times as wide as the submission: the middle column, the lower of two rows."""
    write_clouds(tmp_path / "clouds", size=(20, 16))
    profile = (tmp_path / "clouds/profile.yaml").read_text()
    classes = "[none, Fish, Flower, Gravel, Sugar]"
    profile = profile.replace("multilabel", "multiclass").replace("[Fish, Flower, Gravel, Sugar]", classes)
    (tmp_path / "clouds/profile.yaml").write_text(profile.replace("metric: dice", "metric: miou"))
    table = (tmp_path / "clouds/train.csv").read_text().splitlines()
    (tmp_path / "clouds/train.csv").write_text("\n".join([table[0], *(row for row in table if "Gravel" in row)]) + "\n")
    competition = open_competition(clouds_config(tmp_path / "clouds").competition)
    sample = competition.samples("train")[0]
    assert competition.size(sample.image) == (40, 48)
    whole = competition.label(sample.masks, (40, 48)).values
    label = competition.scored_label(sample)
    assert np.array_equal(label.values, whole[1::2, 1::3])
    assert set(np.unique(label.values)) == {0, 3}
    assert label.valid.all()


def test_a_submission_may_be_a_fraction_of_the_images_size(tmp_path):
    """Images of two sizes, masks of half their height and width: validated, decided, written and scored there."""
    masks = write_clouds(tmp_path / "clouds")
    profile = tmp_path / "clouds/profile.yaml"
    profile.write_text(profile.read_text() + "submission: {scale: 0.5}\n")
    config = clouds_config(tmp_path / "clouds", **{"train.epochs": 2})
    competition = open_competition(config.competition)
    run = Run.create(config, tmp_path / "runs")
    fit(run, 0)
    store = run.fold(0).oof("best")
    for image_id in store.ids():
        height, width = masks[image_id].shape[1:]
        assert store.read(image_id).shape == (4, height // 2, width // 2)
    choice = default_choice([run], run.config)
    assert has_oof(run, 0, "best", competition, choice.tta)
    samples = competition.samples("test")
    predictions = list(predict_samples(choice, competition, samples, batch_size=2))
    assert {p.probability.shape for p in predictions} == {(4, 20, 24), (4, 22, 18)}
    path = tmp_path / "submission.csv"
    write_submission(iter(predictions), choice, competition, path, samples.ids)
    test = {name: masks[name].transpose(1, 2, 0) for name in samples.ids}
    halves = {name: cv2.resize(layers, None, fx=0.5, fy=0.5, interpolation=0) for name, layers in test.items()}
    rows = [f"{name}_{NAMES[k]},{reference_rle(half[..., k])}" for name, half in halves.items() for k in range(4)]
    truth = tmp_path / "truth.csv"
    truth.write_text("\n".join(["Image_Label,EncodedPixels", *rows]) + "\n")
    scores = [
        dice(layer >= 0.5, halves[p.id][..., k] > 0) for p in predictions for k, layer in enumerate(p.probability)
    ]
    assert evaluate_submission(path, truth, competition).score == pytest.approx(np.mean(scores))
    profile.write_text(profile.read_text().replace("{scale: 0.5}", "{scale: 0.25}"))
    with pytest.raises(SubmissionError, match="masks that cannot be read"):
        validate_submission(path, open_competition(config.competition))


def test_a_submission_has_one_size(tmp_path):
    write_clouds(tmp_path / "clouds")
    profile = tmp_path / "clouds/profile.yaml"
    profile.write_text(profile.read_text() + "submission: {scale: 0.5, size: [20, 18]}\n")
    with pytest.raises(CompetitionError, match=r"give either submission\.size or submission\.scale"):
        open_competition(clouds_config(tmp_path / "clouds").competition)
