"""Prediction of rasters by windows against the same networks on images that are held whole."""

import shutil

import cv2
import numpy as np
import pytest
from tests.conftest import reference_rle
from tests.drawn_rasters import LOCAL, random_run, tile_config
from tests.drawn_runs import decode
from tests.rasters.local_network import REACH

from maskfold.competitions import Samples, open_competition
from maskfold.config import PostConfig, load_config, override
from maskfold.config.training import SemiConfig
from maskfold.ensembling.choice import RunChoice
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.rasters import RasterEnsemble
from maskfold.ensembling.submit import default_choice, predict_samples
from maskfold.errors import ConfigError, InferenceError, RasterError
from maskfold.inference import Prediction, build_chain
from maskfold.inference.grid import window_starts
from maskfold.labels import Label, LabelSpec
from maskfold.rasters import CutOptions, Raster, predicted
from maskfold.rasters.predicted import RasterPrediction, decode_raster
from maskfold.rasters.scratch import DiskArray
from maskfold.resizing import fit_label
from maskfold.steps.predict import predict
from maskfold.steps.tile import cut_competition
from maskfold.training.unlabelled import unlabelled_samples

BINARY = LabelSpec("binary", ("roof",))
CLASSES = LabelSpec("multiclass", ("ground", "roof", "tree"))
OVERLAPPING = LabelSpec("multilabel", ("roof", "tree"))
WHOLE = {"certain": {}, "top_mean": {}, "small": {}, "watershed": {}}


def config_of(kidneys, name, **changed):
    own = {"competition.profile": str(kidneys / "profile.yaml"), "competition.root": kidneys / "data"}
    return load_config(None, {**own, "data.workers": 0, "tta.views": "none", "folds.count": 2, **changed}, name=name)


def choice_of(*runs, weights=None, **tta):
    choice = default_choice(list(runs))
    shares = weights or [1 / len(runs)] * len(runs)
    parts = [RunChoice(run=str(run.path), checkpoint="best", weight=w) for run, w in zip(runs, shares, strict=True)]
    return choice.model_copy(update={"runs": parts, "tta": choice.tta.model_copy(update=tta)})


def whole_map(choice, competition, sample, folder, runs, scale=1.0):
    ensemble = RasterEnsemble(Ensemble(choice, competition, batch_size=3, runs=runs))
    raster = Raster.of_sample(competition, sample)
    with ensemble.predicted(raster, sample.id, scale=scale, beside=folder / "x") as prediction:
        height, width = prediction.size
        return prediction.probability((slice(0, height), slice(0, width))), prediction.presence


@pytest.mark.parametrize(("window", "overlap"), [(48, 0.25), (64, 0.5), (100, 0.0)])
def test_windows_put_together_are_one_pass(kidneys, tmp_path, window, overlap):
    run = random_run(config_of(kidneys, "local", **LOCAL), tmp_path)
    competition = open_competition(run.config.competition)
    samples = competition.samples("test")
    plain = predict_samples(choice_of(run), competition, samples, batch_size=1, runs=[run])
    for sample, one_pass in zip(samples, sorted(plain, key=lambda found: found.id), strict=True):
        found, _ = whole_map(choice_of(run, window=window, overlap=overlap), competition, sample, tmp_path, [run])
        assert found.dtype == np.float32
        assert one_pass.probability.std() > 0.05
        difference = abs(found - one_pass.probability)[0]
        near = [near_borders(length, window, overlap) for length in difference.shape]
        inner = difference[~near[0]][:, ~near[1]]
        assert inner.size > difference.size / 4
        assert inner.max() < 1e-5
        assert difference.max() < 0.05
        assert difference.mean() < 1e-3
    assert list(tmp_path.glob(".x*")) == []


def near_borders(length, window, overlap):
    """Where a window ends within the network's reach, but for the ends of the raster."""
    near = np.zeros(length, bool)
    for start in window_starts(length, window, overlap):
        for border in {start, start + min(window, length)} - {0, length}:
            near[max(0, border - REACH) : border + REACH] = True
    return near


@pytest.mark.parametrize("merge", ["probabilities", "logits", "vote"])
def test_members_folds_views_and_scales_are_those_of_other_images(kidneys, tmp_path, merge):
    first = random_run(config_of(kidneys, "first", **LOCAL), tmp_path, folds=(0, 1))
    second = random_run(config_of(kidneys, "second", **LOCAL, **{"data.scale": 0.6}), tmp_path)
    runs, competition = [first, second], open_competition(first.config.competition)
    options = {"views": "d4", "scales": (1.0, 0.75), "merge": merge}
    choice = choice_of(*runs, weights=[0.7, 0.4], **options)
    samples = competition.samples("test")
    held = {found.id: found for found in predict_samples(choice, competition, samples, batch_size=1, runs=runs)}
    for sample in samples:
        found, _ = whole_map(
            choice_of(*runs, weights=[0.7, 0.4], **options, window=256), competition, sample, tmp_path, runs
        )
        np.testing.assert_allclose(found, held[sample.id].probability, atol=2e-3 if merge != "vote" else 0.05)
        assert abs(found - held[sample.id].probability).mean() < 1e-3


def test_the_presence_is_the_largest_of_the_windows(kidneys, tmp_path, monkeypatch):
    run = random_run(config_of(kidneys, "local", **LOCAL), tmp_path)
    competition = open_competition(run.config.competition)

    def said(loader, tta):
        assert tta.window is None
        for batch in loader:
            for place, size in zip(batch["index"].tolist(), batch["size"], strict=True):
                presence = np.array([0.9 if place == 4 else 0.2], np.float32)
                yield Prediction(
                    id="a", index=place, probability=np.full((1, *size), 0.5, np.float32), presence=presence
                )

    monkeypatch.setattr(Ensemble, "parts", [(1.0, Said(run, said))])
    sample = competition.samples("test")[0]
    found, presence = whole_map(choice_of(run, window=64), competition, sample, tmp_path, [run])
    np.testing.assert_allclose(found, 0.5, atol=1e-6)
    assert presence == pytest.approx([0.9])


class Said:
    def __init__(self, run, call):
        self.run, self.call = run, call

    def __call__(self, loader, tta):
        return self.call(loader, tta)


def blobs(labels, shape, seed=2):
    """Probabilities with shapes and holes of all sizes, up to hundreds of pixels."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.random(shape, np.float32), (0, 0), 2.5) for _ in range(labels.channels)]
    layers = [(layer - layer.mean()) / layer.std() for layer in layers]
    return (1 / (1 + np.exp(-np.stack(layers)))).astype(np.float32)


def on_disk(probability, folder, raster_size):
    held = DiskArray(folder / "map", len(probability), probability.shape[1:], np.float32)
    held.write((slice(0, probability.shape[1]), slice(0, probability.shape[2])), probability)
    raster = type("Drawn", (), {"size": raster_size})()
    return RasterPrediction(raster, probability.shape[1:], [(1.0, held)], None)


POSTS = {
    "binary": PostConfig(threshold=0.52, fill_holes=30, min_area=60),
    "multilabel": PostConfig(threshold=[0.62, 0.45], fill_holes=[0, 40], min_area=[70, 5]),
    "multiclass": PostConfig(),
}


@pytest.mark.parametrize("labels", [BINARY, OVERLAPPING, CLASSES], ids=lambda labels: labels.task)
@pytest.mark.parametrize("scale", [1, 3.7, 0.6])
def test_a_raster_decoded_in_parts_is_the_whole_one(labels, scale, tmp_path, monkeypatch):
    probability = blobs(labels, (211, 158))
    chain = build_chain(POSTS[labels.task], labels)
    whole = chain.decode(probability)
    monkeypatch.setattr(predicted, "BLOCK", 50)
    wanted = round(211 * scale), round(158 * scale)
    found = decode_raster(on_disk(probability, tmp_path, wanted), chain, tmp_path, wanted)
    assert found.size == wanted
    expected = fit_label(Label.whole(whole), wanted, labels).values
    mask = found.whole()
    assert mask.shape == expected.shape
    assert (mask != expected).mean() < (1e-9 if scale == 1 else 0.004)
    if labels.task != "multiclass" and scale == 1:
        plain = build_chain(PostConfig(threshold=POSTS[labels.task].threshold), labels).decode(probability)
        assert (plain != whole).sum() > 300  # the steps do something, at the seams of the parts too
        assert (plain != whole)[..., [*range(45, 55), *range(95, 105), *range(145, 155)], :].any()


def test_components_need_what_is_around_a_part(tmp_path, monkeypatch):
    """The parts overlap for a reason: without, the mask is another one."""
    probability, chain = blobs(BINARY, (211, 158)), build_chain(POSTS["binary"], BINARY)
    monkeypatch.setattr(predicted, "BLOCK", 50)
    monkeypatch.setattr(predicted, "MOST_REACH", 0)
    found = decode_raster(on_disk(probability, tmp_path, (211, 158)), chain, tmp_path, (211, 158)).whole()
    assert (found != chain.decode(probability)).any()


@pytest.mark.parametrize("tile_scale", [1, 0.5])
def test_a_submission_of_large_images(kidneys, cut_kidneys, tmp_path, monkeypatch, tile_scale):
    """Byte for byte that of images held whole, where the windows are larger than the images."""
    monkeypatch.chdir(tmp_path)
    if tile_scale == 1:  # images that are not tiles
        run = random_run(config_of(kidneys, "local", **LOCAL, **{"tta.window": 512}), tmp_path / "runs")
        held = predict(run, tmp_path / "held.csv").read_text()
        few = override(run.config, {"competition.max_pixels": 10_000})  # cc3 is larger, dd4 is not
        run.adopt(few)
    else:
        run = random_run(tile_config(cut_kidneys, "tiles", **LOCAL, **{"tta.window": 512}), tmp_path / "runs")
        held = None
    found = predict(run, tmp_path / "windows.csv").read_text()
    assert held is None or found == held
    competition = open_competition(run.config.competition)
    rows = dict(line.split(",") for line in found.splitlines()[1:])
    assert list(rows) == ["cc3", "dd4"]
    for sample in competition.samples("test"):
        size = competition.size(sample.image)
        mask = decode(rows[sample.id], size)
        assert 0 < mask.mean() < 1
        assert rows[sample.id] == reference_rle(mask)
        if tile_scale != 1:
            with RasterEnsemble(Ensemble(default_choice([run]), competition, batch_size=2, runs=[run])).mask(
                Raster.of_sample(competition, sample), sample.id, scale=0.5, beside=tmp_path / "x"
            ) as windows:
                np.testing.assert_array_equal(windows.whole(), mask)


@pytest.mark.parametrize("shift", [[0, 0], [0, 15]])
def test_large_images_of_pixels_of_several_sizes_are_brought_to_one(kidneys, tmp_path, monkeypatch, shift):
    monkeypatch.chdir(tmp_path)
    own = shutil.copytree(kidneys, tmp_path / "kidneys")
    (own / "data/sizes.csv").write_text("id,pixel_size\naa1,1.0\nbb2,1.0\ncc3,0.6\ndd4,1.0\n")
    with (own / "profile.yaml").open("a") as profile:
        profile.write("pixel_size: {wanted: 1.0, train: sizes.csv, test: sizes.csv}\n")
    keys = {**LOCAL, "tta.window": 512, "data.label_shift": shift}
    run = random_run(config_of(own, "local", **keys), tmp_path / "runs")
    held = predict(run, tmp_path / "held.csv").read_text()
    run.adopt(override(run.config, {"competition.max_pixels": 10_000}))
    competition = open_competition(run.config.competition)
    assert [competition.by_windows(sample) for sample in competition.samples("test")] == [True, False]
    found = predict(run, tmp_path / "windows.csv").read_text()
    masks = [decode(text.splitlines()[1].split(",")[1], (141, 190)) for text in (held, found)]
    assert (masks[0] != masks[1]).mean() < 0.01
    with pytest.raises(RasterError, match="has a pixel_size of each image, to which tiles would all be cut alike"):
        cut_competition(run.config, None, CutOptions(side=32))


def test_large_images_are_refused_where_images_are_held_whole(kidneys, tmp_path):
    run = random_run(config_of(kidneys, "local", **LOCAL, **{"competition.max_pixels": 10_000}), tmp_path)
    competition = open_competition(run.config.competition)
    with pytest.raises(InferenceError, match=r"1 images are read by windows only, .*tile\.py predict do: cc3"):
        next(iter(predict_samples(choice_of(run), competition, competition.samples("test"), batch_size=1, runs=[run])))


def test_windows_of_another_side_than_that_of_training_images_are_told(kidneys, tmp_path, caplog):
    own = shutil.copytree(kidneys, tmp_path / "kidneys")
    run = random_run(config_of(own, "local", **LOCAL), tmp_path / "runs")
    (own / "data/train.csv").unlink()
    shutil.rmtree(own / "data/train")
    competition = open_competition(run.config.competition, predicting=True)
    sample = competition.samples("test")[0]
    maps = [whole_map(choice_of(run, window=side), competition, sample, tmp_path, [run])[0] for side in (1024, None)]
    np.testing.assert_array_equal(*maps)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("maskfold")]
    assert len(said) == 1, said
    assert "windows have 1024 pixels, not the side of the training images, which are not here" in said[0]


@pytest.mark.parametrize("step", ["certain", "top_mean", "small", "watershed"])
def test_steps_that_need_the_whole_image_are_refused(kidneys, tmp_path, step):
    run = random_run(config_of(kidneys, "local", **LOCAL), tmp_path)
    choice = choice_of(run).model_copy(update={"post": PostConfig.model_validate({step: WHOLE[step]})})
    with pytest.raises(ConfigError, match=rf"post\.{step} looks at a whole image, and rasters are decoded in parts"):
        RasterEnsemble(Ensemble(choice, open_competition(run.config.competition), batch_size=2, runs=[run]))


def test_rasters_are_no_images_without_labels(cut_kidneys):
    competition = open_competition(tile_config(cut_kidneys, "a").competition)
    with pytest.raises(ConfigError, match="2 are rasters that are read by windows only: cc3, dd4"):
        unlabelled_samples(competition, SemiConfig(images=("test",)), Samples())
