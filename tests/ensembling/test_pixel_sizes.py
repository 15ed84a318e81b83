"""Images that networks see at other sizes than their files have: ensembles and shards keep them apart."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
import yaml
from tests.conftest import TINY, draw_scene, reference_rle
from tests.drawn_runs import random_run

from maskfold.competitions import open_competition
from maskfold.config import FoldsConfig, load_config
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.export import export_ensemble
from maskfold.ensembling.shards import Shards
from maskfold.ensembling.submit import default_choice, predict_samples
from maskfold.errors import CompetitionError, InferenceError
from maskfold.models.torchscript import FACTS
from maskfold.planning import take_fingerprint
from maskfold.steps.pseudo import pseudo_label

# At data.scale 1 networks see squares of 65, 64 and 34 pixels, at 0.5 of 32, 32 and 17.
PIXEL_SIZES = [1.6, 0.848, 1.616, 1.6, 1.616, 0.848, 1.616]
WANTED = 1.6


@pytest.fixture
def configs(tmp_path):
    """Of a competition of squares of 64 pixels, at ``data.scale`` 1 and 0.5."""
    root, rng = tmp_path / "pixels", np.random.default_rng(4)
    sizes = {"train": [WANTED] * 6, "test": PIXEL_SIZES}
    for split, listed in sizes.items():
        (root / split).mkdir(parents=True)
        masks, table = ["id,mask"], ["id,pixel_size"]
        for number, size in enumerate(listed):
            image, mask = draw_scene(rng, 64, 64, buildings=number % 4 + 1)
            cv2.imwrite(str(root / split / f"{split}{number}.png"), image[..., ::-1])
            masks.append(f"{split}{number},{reference_rle(mask)}")
            table.append(f"{split}{number},{size}")
        (root / f"{split}.csv").write_text("\n".join(masks) + "\n")
        (root / f"{split}_pixels.csv").write_text("\n".join(table) + "\n")
    profile = {
        "layout": "csv", "metric": "dice", "columns": {"id": "id", "mask": "mask"},
        **{split: {"table": f"{split}.csv", "image": f"{split}/{{id}}.png"} for split in sizes},
        "pixel_size": {"wanted": WANTED, "train": "train_pixels.csv", "test": "test_pixels.csv"},
    }  # fmt: skip
    (tmp_path / "pixels.yaml").write_text(yaml.safe_dump(profile))
    keys = {**TINY, "competition.profile": str(tmp_path / "pixels.yaml"), "competition.root": root, "tta.views": "none"}
    return [load_config(None, {**keys, "data.scale": scale}, name=f"at_{scale}") for scale in (1.0, 0.5)]


def test_runs_of_several_scales_are_averaged_image_by_image(configs, tmp_path):
    runs = [random_run(tmp_path / "runs", config, folds=(fold,)) for fold, config in enumerate(configs)]
    competition = open_competition(configs[0].competition)
    samples = competition.samples("test")

    def predicted(*chosen):
        found = predict_samples(default_choice(chosen), competition, samples, batch_size=2)
        return {each.id: each.probability for each in found}

    alone, together = [predicted(run) for run in runs], predicted(*runs)
    assert sorted(together) == sorted(samples.ids)
    for name, probability in together.items():
        np.testing.assert_allclose(probability, (alone[0][name] + alone[1][name]) / 2, atol=1e-6)
    spread = [np.abs(alone[0][a] - alone[0][b]).max() for a, b in zip(samples.ids, samples.ids[1:], strict=False)]
    assert min(spread) > 0.01, "another image has another map"


def test_plans_and_forecasts_are_of_the_images_that_networks_see(configs):
    config = configs[0].competition
    competition = open_competition(config)
    sides = [64, 34, 65, 64, 65, 34, 65]
    assert [competition.seen_size(sample) for sample in competition.samples("test")] == [(n, n) for n in sides]
    plain = take_fingerprint(competition, FoldsConfig())
    assert plain.test_pixels == pytest.approx(sum(n**2 for n in sides) / 7 / 64**2)
    table = config.root / "train_pixels.csv"
    table.write_text(table.read_text().replace(str(WANTED), str(2 * WANTED)))
    coarse = take_fingerprint(open_competition(config), FoldsConfig())
    assert (coarse.height, coarse.width, coarse.largest) == (128, 128, 128**2)
    assert coarse.object_side == pytest.approx(2 * plain.object_side)
    assert coarse.test_pixels == pytest.approx(plain.test_pixels / 4)
    assert coarse.ceilings[0.5] == plain.ceilings[1.0] > coarse.ceilings[0.25]


def test_prediction_asks_for_no_table_of_the_training_images(configs, tmp_path):
    """Nor is an id of both splits taken for one image."""
    root = configs[0].competition.root
    (root / "train_pixels.csv").write_text(f"id,pixel_size\ntrain0,{WANTED}\ntest1,{9 * WANTED}\n")
    competition = open_competition(configs[0].competition)
    assert competition.resampling(competition.samples("train")[0]) == 1
    assert [round(competition.resampling(sample), 3) for sample in competition.samples("test")[:3]] == [1, 0.53, 1.01]
    for name in ("train.csv", "train_pixels.csv"):
        (root / name).unlink()
    shutil.rmtree(root / "train")
    competition = open_competition(configs[0].competition, predicting=True)
    assert [round(competition.resampling(sample), 3) for sample in competition.samples("test")[:3]] == [1, 0.53, 1.01]


def test_runs_that_give_other_images_are_not_averaged(configs, tmp_path, monkeypatch):
    runs = [random_run(tmp_path / "runs", config) for config in configs]
    competition = open_competition(configs[0].competition)
    samples, stream = competition.samples("test"), Ensemble._stream

    def shuffled(self, predictor, *given):
        found = list(stream(self, predictor, *given))
        return iter(found if predictor.run is runs[0] else found[::-1])

    monkeypatch.setattr(Ensemble, "_stream", shuffled)
    ensemble = Ensemble(default_choice(runs), competition, batch_size=2, runs=runs)
    with pytest.raises(InferenceError, match=r"in different orders \(.*at_1\.0 test\d, .*at_0\.5 test\d\)"):
        list(ensemble.predict(samples))


def test_an_exported_file_says_which_size_of_pixels_it_wants(configs, tmp_path):
    run, extra = random_run(tmp_path / "runs", configs[1]), {FACTS: ""}
    competition, path = open_competition(configs[1].competition), tmp_path / "x.pt"
    export_ensemble(default_choice([run]), [run], competition, path, form="torchscript")
    torch.jit.load(str(path), _extra_files=extra)
    facts = json.loads(extra[FACTS])
    assert (facts["data_scale"], facts["pixel_size"]) == (0.5, WANTED)


def test_images_whose_pixels_are_of_unknown_size_are_not_labelled(configs, tmp_path, here):
    run = random_run(tmp_path / "runs", configs[0])
    with pytest.raises(CompetitionError, match=r"how large the pixels in .*test are stands in no .* test_pixels\.csv"):
        pseudo_label(run, images=configs[0].competition.root / "test")


@pytest.mark.parametrize("scale", [0, 1])
def test_shards_are_put_together_in_the_order_in_which_they_were_made(configs, tmp_path, scale):
    run = random_run(tmp_path / "runs", configs[scale])
    competition = open_competition(configs[scale].competition)
    ensemble = Ensemble(default_choice([run]), competition, batch_size=2, runs=[run])
    whole = Shards(ensemble, competition.samples("test"), maps=False)
    shards = Shards(ensemble, competition.samples("test"), maps=False, folder=tmp_path, count=3)
    for number in (2, 0, 1):
        shards(number)
    merged = [each.mask for each in shards.merged()]
    assert merged == [each.mask for each in whole.stream()]
    assert sorted(mask.id for mask in merged) == sorted(whole.samples.ids)
