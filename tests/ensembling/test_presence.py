"""Gating by the presence: tuned out of fold where it helps, written down, and applied in prediction."""

import numpy as np
import pytest
import torch
import yaml
from tests.conftest import TINY, write_tianchi
from tests.drawn_runs import decode, dice, make_run, read_table

from maskfold.competitions import open_competition
from maskfold.config import CRFConfig, PostConfig, TTAConfig, load_config, override
from maskfold.ensembling.checkpoints import ensure_oof, oof_facts
from maskfold.ensembling.choice import EnsembleChoice, Mix, RunChoice, read_ensemble, write_ensemble
from maskfold.ensembling.oof import oof_images
from maskfold.ensembling.settings import Scorer, Setting
from maskfold.ensembling.submit import predict_samples, write_submission
from maskfold.ensembling.tune import tune
from maskfold.errors import ConfigError
from maskfold.inference.decoding.crf import CRF
from maskfold.models import build_model
from maskfold.report.curves import score_settings
from maskfold.report.pixels import predict_image
from maskfold.runs import Run
from maskfold.scoring.evaluate import evaluate_oof

ONLY = {"tune.tried": {"threshold": [0.5], "fill_holes": [0], "min_area": [0]}}


@pytest.fixture(scope="module")
def half_empty(tmp_path_factory):
    """A competition of 24 images, half of them without a building: id -> mask, and a config with the head."""
    root = write_tianchi(tmp_path_factory.mktemp("half") / "data", train=24, test=6, seed=5)
    names = sorted(path.name for path in (root / "train").iterdir())
    table = read_table(root / "train_mask.csv")
    for number, name in enumerate(names):
        if number % 4 < 2:
            table[name] = ""
    (root / "train_mask.csv").write_text("".join(f"{name}\t{table[name]}\n" for name in names))
    config = load_config(None, {**TINY, **ONLY, "competition.root": root, "tta.views": "none"}, name="half")
    competition = open_competition(config.competition)
    truth = {s.id: decode(table[s.id], competition.size(s.image)) for s in competition.samples("train")}
    assert 0.45 < np.mean([not mask.any() for mask in truth.values()]) < 0.7
    return truth, override(config, {"model.presence": True}), competition


def false_alarms(mask):
    """The truth, and where there is none a corner that fires."""
    probability = np.where(mask, 0.9, 0.1)
    if not mask.any():
        probability[:9, :11] = 0.8
    return probability[None].astype(np.float32)


def run_with(root, name, config, truth, presence, probability=false_alarms):
    """A run of three folds with ``presence(id)`` beside each map; None: a run without the head."""
    valid = {fold: sorted(truth)[fold::3] for fold in range(3)}
    maps = {"best": {fold: {i: probability(truth[i]) for i in ids} for fold, ids in valid.items()}}
    run = make_run(root, name, config, maps, valid)
    if presence is not None:
        for fold, ids in valid.items():
            folder = run.fold(fold)
            with folder.oof("best").replace(oof_facts(folder, "best", config.tta)) as store:
                for i in ids:
                    store.write(i, maps["best"][fold][i], np.array([presence(i)], np.float32))
    return run


def test_a_gate_that_helps_is_kept_and_written_down(half_empty, tmp_path):
    truth, config, competition = half_empty
    run = run_with(tmp_path, "a", config, truth, lambda i: 0.62 if truth[i].any() else 0.31)
    choice = tune([run], competition, config)
    # Of the values that separate the two, 0.4, 0.5 and 0.6, the middle one.
    assert choice.post == PostConfig(presence=0.5)
    empty = np.mean([not mask.any() for mask in truth.values()])
    assert choice.scores == pytest.approx({"before": 1 - empty, "after": 1.0}, abs=1e-6)
    write_ensemble(choice, run.ensemble_path)
    assert yaml.safe_load(run.ensemble_path.read_text())["post"]["presence"] == 0.5
    assert read_ensemble(run.ensemble_path, [run.path]) == choice
    assert evaluate_oof(choice, competition).score == pytest.approx(1.0)
    for image in oof_images([run], [["best"]], competition, [config.tta]):
        assert np.array_equal(predict_image(image, competition, choice)[2], truth[image.id])


def test_a_gate_that_knows_nothing_is_not_kept(half_empty, tmp_path):
    truth, config, competition = half_empty
    noise = dict(zip(sorted(truth), np.random.default_rng(3).random(len(truth)), strict=True))
    run = run_with(tmp_path, "a", config, truth, noise.get, probability=lambda mask: mask[None].astype(np.float32))
    choice = tune([run], competition, config)
    assert choice.post.presence == 0
    assert choice.scores["after"] == choice.scores["before"] == pytest.approx(1.0)


def test_choosing_a_gate_is_cross_fitted(half_empty, tmp_path):
    """What separates the images of one fold empties those of another: it gains in sample, and is not kept."""
    truth, config, competition = half_empty
    ids = sorted(truth)

    def presence(image_id):
        there, shift = truth[image_id].any(), 0.4 * (ids.index(image_id) % 3)
        return (0.19 if there else 0.05) + shift

    tried = override(config, {"tune.tried.presence": [0, 0.1, 0.5, 0.9]})
    run = run_with(tmp_path, "a", config, truth, presence)

    def score(gates):
        """With fold -> gate."""
        masks = {
            i: (false_alarms(truth[i])[0] >= 0.5) * (np.float32(presence(i)) >= np.float32(gates[n % 3]))
            for n, i in enumerate(ids)
        }
        return np.mean([dice(masks[i].astype(np.uint8), truth[i]) for i in ids])

    choice = tune([run], competition, tried)
    assert choice.scores["before"] == pytest.approx(score((0, 0, 0)), abs=1e-6)

    def best(folds):
        def of_folds(gate):
            kept = [i for n, i in enumerate(ids) if n % 3 in folds]
            masks = {i: (false_alarms(truth[i])[0] >= 0.5) * (presence(i) >= gate) for i in kept}
            return np.mean([dice(masks[i].astype(np.uint8), truth[i]) for i in kept])

        return max([0, 0.1, 0.5, 0.9], key=of_folds)

    gates = [best({0, 1, 2} - {fold}) for fold in range(3)]
    assert choice.scores["after"] == pytest.approx(score(gates), abs=1e-6)


def test_runs_with_and_without_the_head(half_empty, tmp_path):
    """The presence is of those that have it; weights that leave none of them do not go with a gate."""
    truth, config, competition = half_empty
    plain = override(config, {"model.presence": False})
    a = run_with(tmp_path, "a", plain, truth, None)
    b = run_with(tmp_path, "b", config, truth, lambda i: 0.7 if truth[i].any() else 0.2)
    c = run_with(tmp_path, "c", config, truth, lambda i: 0.5 if truth[i].any() else 0.4)
    checkpoints = ("best",) * 3
    images = oof_images([a, b, c], [["best"]] * 3, competition, [config.tta] * 3)
    for image in images:
        there = truth[image.id].any()
        found = image.presence(Mix(checkpoints, (0.5, 0.3, 0.2)))
        assert found.dtype == np.float32
        assert found == pytest.approx([0.6 * (0.7 if there else 0.2) + 0.4 * (0.5 if there else 0.4)])
        assert image.presence(Mix(checkpoints, (1.0, 0.0, 0.0))) is None
    gated = override(config, {"post.presence": 0.45})
    choice = tune([a, b], competition, gated)
    assert choice.post.presence == 0.45
    assert choice.runs[1].weight > 0
    assert choice.scores["before"] == pytest.approx(1.0)
    # Alone the run without the head would have nothing to gate with.
    with pytest.raises(ConfigError, match=r"no network here predicts: set post\.presence to 0"):
        tune([a], competition, override(plain, {"post.presence": 0.45}))
    assert tune([a], competition, plain).post.presence == 0


def test_weights_of_runs_without_the_head_go_without_a_gate(half_empty, tmp_path):
    """The gate is tried where the head has a weight, and is no error where tuning has taken it away."""
    truth, config, competition = half_empty
    plain = override(config, {"model.presence": False})
    # What is faintly right is right alone, and with a quarter of what is firmly wrong it is wrong.
    right = run_with(tmp_path, "right", plain, truth, None, probability=lambda mask: 0.45 + 0.1 * mask[None])
    wrong = run_with(tmp_path, "wrong", config, truth, lambda i: 0.2, probability=lambda mask: 0.9 - 0.8 * mask[None])
    choice = tune([right, wrong], competition, plain)
    assert choice.scores["after"] == pytest.approx(1.0)
    assert [run.weight for run in choice.runs] == [1, 0]
    assert choice.post.presence == 0
    gated = tune([right, wrong], competition, override(plain, {"post.presence": 0.1}))
    assert gated.runs[1].weight > 0


def test_the_gate_is_tuned_with_a_crf_and_without(half_empty, tmp_path, monkeypatch):
    """A field that spoils every map is left out, and the gate is found all the same."""
    monkeypatch.setattr(CRF, "__call__", lambda self, layers, image: 1 - layers)
    truth, config, competition = half_empty
    head = run_with(tmp_path, "head", config, truth, lambda i: 0.62 if truth[i].any() else 0.31)
    without = run_with(tmp_path, "without", override(config, {"model.presence": False}), truth, None)
    one = {name: [value] for name, value in CRFConfig() if name != "steps"}
    asked = override(config, {"post.crf": {}, "tune.tried.crf": one, "tune.tried.presence": [0, 0.5]})
    choice = tune([without, head], competition, asked)
    assert choice.post == PostConfig(presence=0.5)
    assert choice.scores["after"] == pytest.approx(1.0)
    assert choice.runs[1].weight > 0


def test_settings_that_differ_in_the_gate_share_the_crf(half_empty, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(CRF, "__call__", lambda self, layers, image: calls.append(self) or layers)
    truth, config, competition = half_empty
    run = run_with(tmp_path, "a", config, truth, lambda i: 0.62 if truth[i].any() else 0.31)
    scorer = Scorer(oof_images([run], [["best"]], competition, [config.tta]), competition)
    gates = [0.0, 0.3, 0.5, 0.9]
    settings = [Setting(("best",), (1.0,), PostConfig(crf=CRFConfig(), presence=gate)) for gate in gates]
    scorer.look(settings)
    assert len(calls) == len(truth)
    empty = np.mean([not mask.any() for mask in truth.values()])
    found = [float(competition.metric.score(scorer.stats(setting))) for setting in settings]
    assert found == pytest.approx([1 - empty, 1 - empty, 1.0, empty])


def test_a_report_has_a_curve_over_the_gate_where_there_is_a_head(half_empty, tmp_path):
    truth, config, competition = half_empty
    plain = override(config, {"model.presence": False})
    head = run_with(tmp_path, "head", config, truth, lambda i: 0.62 if truth[i].any() else 0.31)
    without = run_with(tmp_path, "without", plain, truth, None)
    curves = {}
    for run in (head, without):
        images = oof_images([run], [["best"]], competition, [config.tta])
        scores = score_settings(images, competition, choice_of(run), run.config.tune)
        curves[run.name] = {curve.name: curve for curve in scores.curves}
    assert "presence" not in curves["without"]
    gate = curves["head"]["presence"]
    assert gate.chosen == 0
    scores = dict(zip(gate.values.tolist(), gate.scores.tolist(), strict=True))
    empty = np.mean([not mask.any() for mask in truth.values()])
    assert scores[0.3] == pytest.approx(1 - empty)
    assert scores[0.5] == pytest.approx(1.0)
    assert scores[0.9] == pytest.approx(empty)


@pytest.fixture
def trained(half_empty, tmp_path):
    """A run of two networks, each with a mask that fires everywhere and a head of its own."""
    _, config, _ = half_empty
    run = Run.create(config, tmp_path)
    networks = []
    for fold in (0, 1):
        torch.manual_seed(fold)
        network = build_model(config.model, classes=1).eval()
        with torch.no_grad():
            network.net.segmentation_head[0].bias.fill_(4)
            network.presence.linear.weight.normal_(std=0.2)
        run.fold(fold).save_checkpoint("best", network.state_dict())
        run.fold(fold).finish({"candidates": {"best": 0.5}})
        networks.append(network)
    return run, networks


def choice_of(run, **post):
    part = RunChoice(run=str(run.path), checkpoint="best", weight=1.0)
    return EnsembleChoice(runs=[part], tta=TTAConfig(views="flips"), post=PostConfig(**post))


def test_prediction_is_gated_by_the_mean_over_folds_and_views(half_empty, trained, tmp_path):
    _, _, competition = half_empty
    run, networks = trained
    samples = competition.samples("test")
    expected = {}
    for sample in samples:
        image = torch.from_numpy(np.ascontiguousarray(competition.image(sample.image))).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            each = [n(image.flip(axes)).aux["presence"].sigmoid() for n in networks for axes in ([], [2], [3], [2, 3])]
        expected[sample.id] = torch.cat(each).mean(0).numpy()
    level = float(np.median(np.concatenate(list(expected.values()))))
    choice = choice_of(run, presence=level)
    found = list(predict_samples(choice, competition, samples, batch_size=2))
    for prediction in found:
        np.testing.assert_allclose(prediction.presence, expected[prediction.id], atol=1e-5)
    path = tmp_path / "submission.csv"
    counts = write_submission(iter(found), choice, competition, path, samples.ids)
    rows = read_table(path)
    assert {i for i, rle in rows.items() if not rle} == {i for i, p in expected.items() if p[0] < level}
    assert counts["empty"] == 3


def test_out_of_fold_presence_is_stored_as_prediction_has_it(half_empty, trained):
    _, config, competition = half_empty
    run, networks = trained
    store = ensure_oof(run, 1, "best", competition, config.tta)
    for sample in competition.samples("train"):
        if sample.id in store.ids():
            image = torch.from_numpy(competition.image(sample.image).copy()).permute(2, 0, 1)[None].float()
            with torch.no_grad():
                expected = networks[1](image).aux["presence"].sigmoid()[0].numpy()
            np.testing.assert_allclose(store.presence(sample.id), expected, atol=1e-5)


def test_a_gate_without_a_head_is_refused_before_anything_is_read(half_empty, tmp_path, monkeypatch):
    truth, config, competition = half_empty
    run = run_with(tmp_path, "a", override(config, {"model.presence": False}), truth, None)
    monkeypatch.setattr("maskfold.ensembling.ensemble.run_networks", lambda *_: pytest.fail("networks were loaded"))
    monkeypatch.setattr("maskfold.scoring.evaluate.oof_images", lambda *_, **__: pytest.fail("maps were read"))
    choice = choice_of(run, presence=0.5)
    with pytest.raises(ConfigError, match="no network here predicts"):
        next(predict_samples(choice, competition, competition.samples("test"), batch_size=2))
    with pytest.raises(ConfigError, match="no network here predicts"):
        evaluate_oof(choice, competition)
