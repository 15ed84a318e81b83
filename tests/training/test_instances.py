"""Instances from the table of samples to a scored submission: truth, further output, watershed, rows."""

import numpy as np
import pandas as pd
import pytest
from tests.drawn_runs import decode, make_run
from tests.nuclei import nuclei_config, write_nuclei

from maskfold.competitions import SubmissionWriter, open_competition, validate_submission
from maskfold.config import PostConfig
from maskfold.datasets.augment import build_augmentation
from maskfold.datasets.dataset import Draw, TrainDataset
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.ensembling.submit import default_choice, predict_samples, write_submission
from maskfold.ensembling.tune import tune
from maskfold.errors import ConfigError
from maskfold.inference.decoding import build_chain
from maskfold.instances import borders, components, depths
from maskfold.report import make_report, read_choice
from maskfold.runs import Run
from maskfold.scoring.evaluate import evaluate_oof, evaluate_submission
from maskfold.training import fit


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nuclei") / "nuclei"
    return folder, write_nuclei(folder)


def by_hand(config, instances, root):
    """A run of two folds whose maps are the truth, so that only touching nuclei are hard."""
    competition = open_competition(config.competition)
    ids = competition.samples("train").ids
    valid = {fold: list(ids[fold::2]) for fold in range(2)}
    maps = {fold: {i: np.where(instances[i] > 0, 0.9, 0.05)[None] for i in own} for fold, own in valid.items()}
    return make_run(root, "hand", config, {"best": maps}, valid), competition


def published(found, truth):
    """mAP of one image: objects compared in pairs."""
    pairs = [[(found == f) & (truth == t), (found == f) | (truth == t)] for f in ids_of(found) for t in ids_of(truth)]
    ious = np.array([both.sum() / either.sum() for both, either in pairs])
    hits = [(ious > t + 1e-12).sum() for t in np.arange(0.5, 0.95 + 1e-6, 0.05)]
    return np.mean([tp / (len(ids_of(found)) + len(ids_of(truth)) - tp) for tp in hits])


def ids_of(instances):
    return np.unique(instances)[1:]


def test_labels_tell_instances_apart(nuclei):
    folder, instances = nuclei
    competition = open_competition(nuclei_config(folder).competition)
    for sample in competition.samples("train"):
        label = competition.label(sample.masks, competition.size(sample.image))
        np.testing.assert_array_equal(label.instances, instances[sample.id])
        np.testing.assert_array_equal(label.values, instances[sample.id] > 0)
        assert label.values.dtype == np.uint8


@pytest.mark.parametrize("augment", ["d4", "scale_crop"])
def test_targets_are_those_of_the_crop(nuclei, augment):
    """The numbers move with the image: the targets are made of what lies in the crop."""
    folder, instances = nuclei
    competition = open_competition(nuclei_config(folder).competition)
    samples = competition.samples("train")
    data = TrainDataset(
        competition, samples, augment=build_augmentation(augment, crop=40), needs={"border", "inner"}, seed=3
    )
    seen = 0
    for index in range(len(samples)):
        item = data[Draw(1, index)]
        mask, border, inner = (item["targets"][name].numpy() for name in ("mask", "border", "inner"))
        assert border.shape == inner.shape == (1, 40, 40)
        assert ((inner > 0) == (mask > 0)).all()
        assert inner.max() <= 1
        seen += int(border.sum())
        # What touches in the crop is what is one component there and two instances.
        assert border.any() <= (mask.sum() > 0)
    assert seen > 50
    whole = TrainDataset(competition, samples, needs={"border", "inner"})[Draw(0, 5)]
    found = instances[samples.ids[5]]
    np.testing.assert_array_equal(whole["targets"]["border"][0].numpy(), borders(found))
    np.testing.assert_array_equal(whole["targets"]["inner"][0].numpy(), depths(found))


def test_tuning_keeps_the_watershed_where_nuclei_touch(nuclei, tmp_path):
    folder, instances = nuclei
    config = nuclei_config(folder, **{"post.watershed.marker": 0.4})
    run, competition = by_hand(config, instances, tmp_path)
    without = EnsembleChoice(**{**default_choice([run], config).model_dump(), "post": PostConfig().model_dump()})
    truth = [found for name, found in instances.items() if name.startswith("train")]
    expected = [published(components(found > 0), found) for found in truth]
    plain = evaluate_oof(without, competition)
    assert plain.score == pytest.approx(np.mean(expected))
    choice = tune([run], competition, config)
    assert choice.post.watershed is not None
    assert choice.scores["after"] > plain.score + 0.2
    found = evaluate_oof(choice, competition)
    assert found.score > 0.8
    assert found.line().startswith("dsb_map 1.0000 ")


def test_scores_see_the_objects_that_the_further_map_tells_apart(nuclei, tmp_path):
    """Columns of the map that are 0 cut nuclei into strips, in scores as in the chain."""
    folder, instances = nuclei
    config = nuclei_config(folder, **{"post.watershed.marker": 0.4})
    run, competition = by_hand(config, instances, tmp_path)
    choice = default_choice([run], config)
    without = evaluate_oof(choice, competition)
    strips = np.arange(70) % 4 > 0
    inside = {name: np.broadcast_to(strips[: found.shape[1]], found.shape) for name, found in instances.items()}
    for fold in range(2):
        store = run.fold(fold).oof("best")
        maps = {name: store.read(name) / 255 for name in store.ids()}
        with store.replace(store.made_with()) as writer:
            for name, probability in maps.items():
                writer.write(name, probability, None, inside[name].astype(np.float32))
    found = evaluate_oof(choice, competition)
    chain = build_chain(config.post, competition.labels)
    for name, row in zip(found.ids, found.stats, strict=True):
        probability = np.where(instances[name] > 0, np.float32(0.9), np.float32(0.05))[None]
        told_apart = chain.decode(probability, inside=inside[name].astype(np.float32))
        assert row[0] == len(ids_of(told_apart))
    assert (found.stats[:, 0] > without.stats[:, 0]).all()


def test_tuning_goes_without_where_nothing_touches(nuclei, tmp_path):
    """Every other nucleus of a pair: components are right already."""
    folder, instances = nuclei
    tried = {"watershed": {"marker": [0.9], "marker_area": [0]}, "threshold": [0.5], "fill_holes": [0], "min_area": [0]}
    config = nuclei_config(folder, **{"post.watershed": {"marker": 0.9}, "tune.tried": tried})
    alone = {name: found * (found % 2) for name, found in instances.items()}
    run, competition = by_hand(config, alone, tmp_path)
    choice = tune([run], competition, config)
    assert choice.post.watershed is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["border", "inner"])
def test_from_files_to_a_submission(nuclei, tmp_path, kind):
    folder, instances = nuclei
    config = nuclei_config(
        folder, **{"model.instances": kind, "post.watershed.marker": 0.3, "train.epochs": 3, "tta.views": "flips"}
    )
    competition = open_competition(config.competition)
    run = Run.create(config, tmp_path)
    fit(run, 0)
    store = run.fold(0).oof("best")
    choice = default_choice([run], config)
    scores = []
    by_id = competition.samples("train").by_id
    for name in store.ids():
        assert store.inside(name).shape == instances[name].shape
        levels, inside = store.read(name).astype(np.float32) / 255, store.inside(name).astype(np.float32) / 255
        found = build_chain(config.post, competition.labels).decode(levels, inside=inside)
        scores.append(competition.metric.stats_of(found, competition.scored_label(by_id[name])))
    evaluation = evaluate_oof(choice, competition)
    np.testing.assert_array_equal(evaluation.stats, scores)
    report = make_report([run], competition, read_choice([run], tmp_path / "no.yaml"), tmp_path / "r.html", count=3)
    assert report.findings.score == pytest.approx(evaluation.score)
    samples = competition.samples("test")
    path = tmp_path / "submission.csv"
    predictions = list(predict_samples(choice, competition, samples, batch_size=2))
    assert all(0 <= p.inside.min() <= p.inside.max() <= 1 for p in predictions)
    write_submission(iter(predictions), choice, competition, path, samples.ids)
    validate_submission(path, competition)
    table = pd.read_csv(path, keep_default_na=False)
    expected = []
    for prediction in predictions:
        rles = [rle for rle in table["EncodedPixels"][table["ImageId"] == prediction.id] if rle]
        masks = [decode(rle, instances[prediction.id].shape) for rle in rles]
        found, truth = build_chain(config.post, competition.labels)(prediction), instances[prediction.id]
        assert len(masks) == len(ids_of(found))
        drawn = np.sum(masks, axis=0) if masks else np.zeros(found.shape)
        np.testing.assert_array_equal(drawn, found > 0)  # no pixel is in two
        expected.append(published(found, truth) if truth.any() else float(not found.any()))
    assert evaluate_submission(path, folder / "truth.csv", competition).score == pytest.approx(np.mean(expected))


def test_the_truth_scores_one_and_touching_nuclei_in_one_row_do_not(nuclei, tmp_path):
    folder, instances = nuclei
    competition = open_competition(nuclei_config(folder).competition)
    truth = folder / "truth.csv"
    assert evaluate_submission(truth, truth, competition).score == 1
    masks = {name: (found > 0).astype(np.uint8) for name, found in instances.items() if name.startswith("test")}
    with SubmissionWriter(competition, tmp_path / "merged.csv", masks) as writer:
        for name, mask in masks.items():
            writer.write(name, mask)
    assert evaluate_submission(tmp_path / "merged.csv", truth, competition).score < 0.8


def test_several_classes_have_no_such_output(tmp_path):
    from tests.clouds import clouds_config, write_clouds

    write_clouds(tmp_path / "clouds")
    config = clouds_config(tmp_path / "clouds", **{"model.instances": "border"})
    with pytest.raises(ConfigError, match=r"model\.instances is border, which tells the objects of one class apart"):
        fit(Run.create(config, tmp_path / "runs"), 0)
