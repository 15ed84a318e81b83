"""From networks to a submission: the ensemble against its own definition, the file against the masks."""

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.drawn_runs import constant_run, decode, make_run, read_table, truth_of

from maskfold.competitions import SubmissionWriter
from maskfold.config import PostConfig, TTAConfig, override
from maskfold.ensembling import submit
from maskfold.ensembling.choice import EnsembleChoice, RunChoice
from maskfold.ensembling.finished import folds_of
from maskfold.ensembling.submit import (
    check_hashes,
    default_choice,
    has_maps,
    maps_beside,
    predict_samples,
    write_submission,
)
from maskfold.errors import InferenceError, RunError, SubmissionError
from maskfold.inference.predict import Prediction
from maskfold.models import build_model
from maskfold.runs import MapStore, Run
from maskfold.storage import LocalStorage


def network(config, seed):
    torch.manual_seed(seed)
    built = build_model(config.model, classes=1)
    # A fresh network's logits are all near 0: these are spread, and differ from seed to seed.
    with torch.no_grad():
        built.net.segmentation_head[0].weight.mul_(12)
        built.net.segmentation_head[0].bias.add_(seed % 3 - 1)
    return built.eval()


def trained(root, name, config, checkpoints):
    """A run with finished folds: ``checkpoints[fold][checkpoint]`` is the seed of a network."""
    run = Run.create(override(config, {"name": name}), root)
    for fold, seeds in checkpoints.items():
        for checkpoint, seed in seeds.items():
            run.fold(fold).save_checkpoint(checkpoint, network(config, seed).state_dict())
        run.fold(fold).finish({"candidates": {"best": 0.5}})
    return run


@pytest.fixture
def runs(config, tmp_path):
    a = {0: {"best": 1}, 2: {"best": 2}, "all": {"best": 9}}
    b = {0: {"snapshot_1": 3, "snapshot_2": 4}, 1: {"snapshot_1": 5}}
    return trained(tmp_path, "a", config, a), trained(tmp_path, "b", config, b)


def probabilities(config, seed, image, views="none"):
    """Float32 (1, H, W) of one network and the mean over its views, without maskfold.inference."""
    axes = {"none": [()], "flips": [(), (2,), (3,), (2, 3)]}[views]
    images = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        maps = [network(config, seed)(images.flip(axis)).logits.flip(axis).sigmoid() for axis in axes]
    return torch.stack(maps).mean(0)[0].numpy()


def images_of(drawn):
    return {
        name: cv2.imread(str(drawn / "test_a" / name))[..., ::-1]
        for name in read_table(drawn / "test_a_samplesubmit.csv")
    }


def two_run_choice(runs, weights=(0.25, 0.75), **options):
    kinds = ("best", "snapshots")
    parts = [
        RunChoice(run=str(run.path), checkpoint=kind, weight=weight)
        for run, kind, weight in zip(runs, kinds, weights, strict=True)
    ]
    return EnsembleChoice(runs=parts, tta=TTAConfig(**{"views": "none", **options}))


def test_folds_weigh_the_same_and_runs_as_chosen(runs, config, competition, drawn):
    """Run b's first fold has two snapshots: together they weigh as much as its second fold's one."""
    choice = two_run_choice(runs, views="flips")
    found = list(predict_samples(choice, competition, competition.samples("test"), batch_size=2))
    images = images_of(drawn)
    assert sorted(p.id for p in found) == sorted(images)
    for prediction in found:
        image = images[prediction.id]
        one = {seed: probabilities(config, seed, image, "flips") for seed in (1, 2, 3, 4, 5)}
        first = (one[1] + one[2]) / 2
        second = (one[3] / 2 + one[4] / 2 + one[5]) / 2
        assert np.abs(first - second).max() > 0.05
        np.testing.assert_allclose(prediction.probability, 0.25 * first + 0.75 * second, atol=2e-5)
        assert prediction.probability.dtype == np.float32
        assert prediction.probability.shape == (1, *image.shape[:2])
        assert np.array_equal(prediction.image(), image), "for a decoding step that asks for it"


def test_how_far_inside_a_pixel_is_weighs_runs_as_maps_do(config, competition, tmp_path):
    inner = override(config, {"model.instances": "inner"})
    runs = [constant_run(tmp_path, name, inner, {0: [0.0, logit]}) for name, logit in (("a", -1.0), ("b", 2.0))]
    parts = [RunChoice(run=str(run.path), checkpoint="best", weight=w) for run, w in zip(runs, (0.2, 0.8), strict=True)]
    choice = EnsembleChoice(runs=parts, tta=TTAConfig(views="none"))
    found = next(predict_samples(choice, competition, competition.samples("test")[:1], batch_size=1))
    expected = 0.2 / (1 + np.exp(1)) + 0.8 / (1 + np.exp(-2))
    np.testing.assert_allclose(found.inside, np.full(found.probability.shape[1:], expected), atol=1e-6)


def test_merging_is_within_a_run_and_folds_can_be_chosen(runs, config, competition, drawn):
    choice = two_run_choice(runs, merge="logits")
    found = list(predict_samples(choice, competition, competition.samples("test"), [0], batch_size=8))
    for prediction in found:
        image = images_of(drawn)[prediction.id]
        logits = [np.log(p / (1 - p)) for p in (probabilities(config, seed, image) for seed in (3, 4))]
        expected = 0.25 * probabilities(config, 1, image) + 0.75 / (1 + np.exp(-np.mean(logits, axis=0)))
        np.testing.assert_allclose(prediction.probability, expected, atol=1e-4)


def test_a_run_of_weight_zero_is_not_even_loaded(runs, config, competition, drawn):
    runs[1].fold(0).checkpoint_path("snapshot_1").write_bytes(b"gone")
    choice = two_run_choice(runs, weights=(0.5, 0.0))
    prediction = next(predict_samples(choice, competition, competition.samples("test"), [2], batch_size=1))
    expected = probabilities(config, 2, images_of(drawn)[prediction.id])
    np.testing.assert_allclose(prediction.probability, expected, atol=2e-5)


def test_all_predicts_where_it_is_the_only_one(runs, config, competition, drawn, tmp_path):
    assert folds_of(runs[0]) == [0, 2]
    alone = trained(tmp_path, "c", config, {"all": {"best": 7}})
    (alone.fold(0).path).mkdir()  # begun, not finished
    assert folds_of(alone) == ["all"]
    prediction = next(predict_samples(default_choice([alone]), competition, competition.samples("test"), batch_size=1))
    expected = probabilities(config, 7, images_of(drawn)[prediction.id])
    np.testing.assert_allclose(prediction.probability, expected, atol=2e-5)
    with pytest.raises(InferenceError, match="no finished fold: run python src/train_fold"):
        folds_of(Run.create(override(config, {"name": "empty"}), tmp_path))


def test_a_fold_that_is_not_trained_to_its_end_is_refused(runs, config, competition):
    fold = runs[0].fold(2)
    (fold.path / "summary.json").unlink()
    predictions = predict_samples(default_choice(runs[:1]), competition, competition.samples("test"), [2], batch_size=1)
    with pytest.raises(RunError, match=r"fold 2 of .* is not trained to its end"):
        next(predictions)


def test_without_tuning_the_config_decides(config, tmp_path):
    changes = {
        "inference.checkpoint": "snapshots", "tta.views": "d4", "tta.scales": [1.0, 1.5],
        "tta.merge": "vote", "tta.window": 96, "tta.overlap": 0.5,
        "post.threshold": 0.4, "post.min_area": 7, "post.fill_holes": 3,
    }  # fmt: skip
    run = Run.create(override(config, changes), tmp_path)
    choice = default_choice([run])
    assert choice == EnsembleChoice(
        runs=[RunChoice(run=str(run.path), checkpoint="snapshots", weight=1.0)],
        tta=TTAConfig(views="d4", scales=(1.0, 1.5), merge="vote", window=96, overlap=0.5),
        post=PostConfig(threshold=0.4, min_area=7, fill_holes=3),
    )
    assert choice.score is None


def test_what_the_command_line_changes_is_changed_for_all_runs(config, tmp_path):
    first, second = (
        Run.create(override(config, {"name": name, "inference.checkpoint": name, "post.min_area": area}), tmp_path)
        for name, area in (("ema", 5), ("swa", 6))
    )
    untouched = default_choice([first, second])
    assert (untouched.checkpoints, untouched.weights) == (["ema", "swa"], (0.5, 0.5))
    assert untouched.post.min_area == 5
    comfort = override(first.config, {"inference.batch_size": 2, "post.min_area": 9})
    assert default_choice([first, second], comfort).checkpoints == ["ema", "swa"]
    assert default_choice([first, second], comfort).post.min_area == 9
    best = override(first.config, {"inference.checkpoint": "best"})
    assert default_choice([first, second], best).checkpoints == ["best", "best"]


@pytest.fixture
def tuned(config, truth, tmp_path):
    names = sorted(truth)
    valid = {0: names[:6], 1: names[6:12], 2: names[12:]}
    maps = {fold: {name: 0.5 * truth[name][None] for name in ids} for fold, ids in valid.items() if fold < 2}
    run = make_run(tmp_path, "t", config, {"ema": maps, "best": maps}, valid)
    hashes = {str(run.fold(fold).checkpoint_path("ema")): run.fold(fold).digest("ema") for fold in (0, 1)}
    return run, EnsembleChoice(runs=[RunChoice(run=str(run.path), checkpoint="ema", weight=1.0)], hashes=hashes)


def retrain(run, fold, value):
    for checkpoint in ("ema", "best"):
        run.fold(fold).save_checkpoint(checkpoint, {"a": torch.tensor([value])})
    run.fold(fold).finish({"candidates": {"ema": 0.9}})


def test_weights_must_be_those_of_the_tuning(tuned):
    run, choice = tuned
    assert check_hashes(choice, [run]) == []
    run.fold(1).save_checkpoint("best", {"a": torch.tensor([5.0])})
    run.fold(1).finish({"candidates": {"ema": 0.5}})
    assert check_hashes(choice, [run]) == [], "another kind's weights do not matter"
    retrain(run, 2, 3.0)
    assert check_hashes(choice, [run]) == [str(run.fold(2).checkpoint_path("ema"))], "a fold more is told, not refused"
    retrain(run, 1, 4.0)
    with pytest.raises(InferenceError, match=r"fold_1/ema\.safetensors is not what the ensemble was tuned on"):
        check_hashes(choice, [run])


def test_a_fold_that_is_gone_or_trained_again_is_told(tuned):
    run, choice = tuned
    (run.fold(0).path / "summary.json").unlink()
    with pytest.raises(InferenceError, match=r"fold_0/ema\.safetensors is not what the ensemble was tuned on"):
        check_hashes(choice, [run])


def maps_of(drawn, seed=0):
    rng = np.random.default_rng(seed)
    smooth = {
        name: ndimage.gaussian_filter(rng.random(mask.shape), 1.2) for name, mask in truth_of(drawn, "test").items()
    }
    return {name: ((m - m.min()) / (m.max() - m.min())).astype(np.float32)[None] for name, m in smooth.items()}


def cleaned(probability, threshold, min_area, fill_holes):
    """Threshold, fill small holes, drop small components: by scipy."""
    mask = probability >= np.float32(threshold)
    for cells, structure, small, border in (
        (~mask, None, fill_holes, False),
        (mask, np.ones((3, 3)), min_area - 1, True),
    ):
        labels, count = ndimage.label(cells, structure)
        for label in range(1, count + 1):
            part = labels == label
            edge = part[0].any() or part[-1].any() or part[:, 0].any() or part[:, -1].any()
            if part.sum() <= small and (border or not edge):
                mask = mask ^ part
    return mask.astype(np.uint8)


ONE = RunChoice(run="runs/one", checkpoint="best", weight=1.0)


def test_the_file_holds_the_masks_in_the_samples_order(competition, drawn, tmp_path):
    maps = maps_of(drawn)
    choice = EnsembleChoice(runs=[ONE], post=PostConfig(threshold=0.55, min_area=14, fill_holes=6))
    shuffled = sorted(maps, key=lambda name: maps[name][0, 0, 0])
    assert shuffled != list(maps)
    maps[shuffled[2]][:] *= 0.5
    stream = (Prediction(name, 0, maps[name], None) for name in shuffled)
    path, folder = tmp_path / "out" / "s.csv", tmp_path / "out" / "s_maps"
    counts = write_submission(stream, choice, competition, path, shuffled, folder)
    written = read_table(path)
    assert list(written) == list(read_table(drawn / "test_a_samplesubmit.csv"))
    raw = 0
    for name, rle in written.items():
        expected = cleaned(maps[name][0], 0.55, 14, 6)
        raw += not np.array_equal(expected, maps[name][0] >= 0.55)
        assert np.array_equal(decode(rle, expected.shape), expected), name
    assert raw >= 3, "post-processing matters on these maps"
    assert counts == {"images": 5, "empty": 1}
    store = MapStore(LocalStorage(folder), "")
    assert store.ids() == sorted(maps)
    assert store.made_with()["post"]["threshold"] == 0.55
    for name, probability in maps.items():
        assert np.array_equal(store.read(name), np.rint(probability * 255))


def test_an_error_in_the_middle_leaves_nothing(competition, drawn, tmp_path):
    maps = maps_of(drawn)
    choice = EnsembleChoice(runs=[ONE])

    def stream(error):
        yield from (Prediction(name, 0, maps[name], None) for name in list(maps)[:3])
        if error:
            raise RuntimeError("power cut")

    path, folder = tmp_path / "out" / "s.csv", tmp_path / "out" / "maps"
    path.parent.mkdir()
    with pytest.raises(RuntimeError, match="power cut"):
        write_submission(stream(True), choice, competition, path, list(maps), folder)
    assert list(path.parent.iterdir()) == []
    # Neither does a stream that ends too early: the submission would lack images.
    with pytest.raises(SubmissionError, match="2 "):
        write_submission(stream(False), choice, competition, path, list(maps), folder)
    assert list(path.parent.iterdir()) == []
    path.write_text("an earlier one")
    with pytest.raises(RuntimeError, match="power cut"):
        write_submission(stream(True), choice, competition, path, list(maps), folder)
    assert path.read_text() == "an earlier one"
    assert [entry.name for entry in path.parent.iterdir()] == ["s.csv"]


def test_maps_of_a_former_submission_do_not_stay_beside_a_new_one(competition, drawn, tmp_path):
    maps, choice, path = maps_of(drawn), EnsembleChoice(runs=[ONE]), tmp_path / "s.csv"

    def stream(count):
        return (Prediction(name, 0, maps[name], None) for name in list(maps)[:count])

    folder = maps_beside(path)
    write_submission(stream(None), choice, competition, path, list(maps), folder)
    assert has_maps(folder, choice)
    (folder / "mine.txt").write_text("another's")
    other = EnsembleChoice(runs=[ONE], post=PostConfig(threshold=0.7))
    with pytest.raises(ZeroDivisionError):
        write_submission((1 / 0 for _ in maps), other, competition, path, list(maps))
    assert has_maps(folder, choice), "the former submission is still there, and so are its maps"
    write_submission(stream(None), other, competition, path, list(maps))
    assert [entry.name for entry in folder.iterdir()] == ["mine.txt"]


def test_maps_of_the_former_submission_are_gone_before_a_new_one_is_there(competition, drawn, tmp_path, monkeypatch):
    """Killed between the two, the maps would be taken for those of the new one."""
    maps, choice, there = maps_of(drawn), EnsembleChoice(runs=[ONE]), []
    path, folder = tmp_path / "s.csv", tmp_path / "maps"

    class Watched(SubmissionWriter):
        def __exit__(self, *error):
            there.append(has_maps(folder, choice))
            return super().__exit__(*error)

    monkeypatch.setattr(submit, "SubmissionWriter", Watched)
    for _ in range(2):
        stream = (Prediction(name, 0, probability, None) for name, probability in maps.items())
        write_submission(stream, choice, competition, path, list(maps), folder)
        assert has_maps(folder, choice)
    assert there == [False, False]
