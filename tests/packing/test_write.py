"""Writing packs: all that predicts and nothing about the machine, whole or not at all, in the layout of model hubs."""

import getpass
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import yaml
from safetensors.torch import load_file
from tests.children import die, killed
from tests.drawn_runs import constant_run, random_run

import maskfold
from maskfold.competitions.profile import load_profile
from maskfold.config import PostConfig, TTAConfig, override
from maskfold.ensembling.checkpoints import load_networks
from maskfold.ensembling.choice import EnsembleChoice, RunChoice, write_ensemble
from maskfold.ensembling.submit import default_choice
from maskfold.errors import PackError
from maskfold.metrics import Evaluation
from maskfold.packing import write
from maskfold.packing.card import model_card, own_modules
from maskfold.packing.read import open_pack
from maskfold.packing.write import check_out, portable_config, write_pack


@pytest.fixture
def run(config, tmp_path):
    return random_run(
        tmp_path / "runs", override(config, {"name": "small"}), folds=(0, 2), checkpoints=("best", "ema", "snapshot_1")
    )


def written(run, competition, out, folds=(0, 2), **changes):
    choice = default_choice([run]).model_copy(update=changes)
    write_pack(choice, [run], [list(folds)], competition, "card\n", out)
    return out


def content(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_pack_holds_what_predicts(run, competition, tmp_path):
    folder = written(run, competition, tmp_path / "pack")
    of_fold = ("manifest.json", "summary.json", *(f"best/{name}" for name in write_names()))
    assert content(folder) == {
        *("README.md", "pack.json", "ensemble.yaml", "profile.yaml", "runs/small/config.yaml"),
        *(f"runs/small/fold_{fold}/{name}" for fold in (0, 2) for name in of_fold),
    }
    assert load_profile(str(folder / "profile.yaml")) == competition.profile
    with open_pack(folder) as pack:
        assert pack.runs[0].finished_folds() == [0, 2]
        for fold in (0, 2):
            (packed,) = load_networks(pack.runs[0], pack.runs[0].fold(fold), "best", competition)
            (own,) = load_networks(run, run.fold(fold), "best", competition)
            assert all(map(torch.equal, packed.state_dict().values(), own.state_dict().values()))
        kept = pack.config.model_dump() | {"competition": None}
    assert kept == run.config.model_dump() | {"competition": None}


def test_a_pack_holds_the_heads_that_smp_does_not_know(config, competition, tmp_path):
    run = random_run(tmp_path / "runs", override(config, {"name": "deep", "model.deep_supervision": 1}))
    with open_pack(written(run, competition, tmp_path / "pack", folds=(0,))) as pack:
        packed, own = (
            load_networks(each, each.fold(0), "best", competition)[0].state_dict() for each in (pack.runs[0], run)
        )
    assert any("deep_heads" in name for name in own)
    assert packed.keys() == own.keys()
    assert all(torch.equal(packed[name], own[name]) for name in own)


def test_in_python_a_pack_predicts_what_its_run_does(run, competition, here, drawn):
    """What was tuned goes along: another checkpoint, views and threshold than those of the run's config."""
    parts = [RunChoice(run=str(run.path), checkpoint="ema", weight=1)]
    choice = EnsembleChoice(runs=parts, tta=TTAConfig(views="hflip"), post=PostConfig(threshold=0.61))
    write_ensemble(choice, run.ensemble_path)
    with open_pack(maskfold.pack(run, Path("pack"), folds=[2])) as pack:
        found = maskfold.predict_pack(pack, Path("pack.csv"), overrides={"competition.root": drawn})
    assert found.read_bytes() == maskfold.predict(run, Path("run.csv"), folds=[2]).read_bytes()
    assert found.read_bytes() != maskfold.predict(run, Path("other.csv"), folds=[2], untuned=True).read_bytes()


def test_the_mark_of_an_optimistic_score_goes_with_a_run(config, competition, tmp_path):
    run = constant_run(tmp_path / "runs", "marked", config, {0: 1.0}, optimistic=True)
    with open_pack(written(run, competition, tmp_path / "pack", folds=(0,))) as pack:
        assert pack.runs[0].fold(0).optimistic()


def write_names():
    return ("model.safetensors", "beside.safetensors", "config.json")


def test_nothing_in_a_pack_is_about_the_machine(run, competition, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = written(run, competition, Path("pack"))
    places = [str(tmp_path), str(Path.home()), str(competition.root), os.getcwd()]
    for path in folder.rglob("*"):
        if path.is_file():
            assert not any(place.encode() in path.read_bytes() for place in places if place != "/"), path
            if getpass.getuser() != "root":
                assert getpass.getuser().encode() not in path.read_bytes()


def test_archives_are_the_same_bytes_each_time(run, competition, tmp_path):
    first = written(run, competition, tmp_path / "a.zip").read_bytes()
    assert written(run, competition, tmp_path / "b.zip").read_bytes() == first
    folder = written(run, competition, tmp_path / "folder")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == content(folder)
        for name in content(folder):
            assert archive.read(name) == (folder / name).read_bytes()


@pytest.mark.parametrize("stages", [0, 1])
def test_smp_loads_a_network_of_a_pack(config, stages, competition, tmp_path):
    """smp's own ``from_pretrained`` and the statistics beside it make the same logits, bit for bit."""
    deep = override(config, {"name": "small", "model.deep_supervision": stages, "model.presence": stages > 0})
    run = random_run(tmp_path / "runs", deep, folds=(0, 2))
    place = written(run, competition, tmp_path / "pack") / "runs/small/fold_2/best"
    alone = smp.from_pretrained(str(place)).eval()
    assert type(alone) is smp.Unet
    statistics = load_file(place / "beside.safetensors")
    (own,) = load_networks(run, run.fold(2), "best", competition)
    images = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)
    with torch.inference_mode():
        found = alone.to(memory_format=torch.channels_last)((images - statistics["mean"]) / statistics["std"])
        torch.testing.assert_close(found, own(images).logits, rtol=0, atol=0)


def test_a_network_that_is_not_smps_has_no_hub_config(run, competition, tmp_path):
    other = override(run.config, {"name": "other", "model.hypercolumns": True})
    folder = written(random_run(tmp_path / "runs", other), competition, tmp_path / "pack", folds=(0,))
    names = {path.name for path in (folder / "runs/other/fold_0/best").iterdir()}
    assert names == {"model.safetensors", "beside.safetensors"}


def test_what_is_there_is_not_replaced(run, competition, tmp_path):
    folder, archive = tmp_path / "pack", tmp_path / "pack.zip"
    for out in (folder, archive):
        check_out(out, overwrite=False)
        written(run, competition, out)
        with pytest.raises(PackError, match="exists: choose another --out, or give --overwrite"):
            check_out(out, overwrite=False)
        check_out(out, overwrite=True)
    written(run, competition, folder, folds=(2,))
    assert not (folder / "runs/small/fold_0").exists()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("")
    with pytest.raises(PackError, match="is not a pack, so --overwrite does not replace it"):
        check_out(precious, overwrite=True)


@pytest.mark.parametrize("name", ["pack", "pack.zip"])
def test_a_pack_is_written_whole_or_not_at_all(run, competition, tmp_path, monkeypatch, name):
    out = written(run, competition, tmp_path / "out" / name, folds=(0,))
    before = content(out) if out.is_dir() else out.read_bytes()

    def full(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(write, "write_ensemble", full)
    with pytest.raises(OSError, match="disk full"):
        written(run, competition, out)
    assert (content(out) if out.is_dir() else out.read_bytes()) == before
    assert list((tmp_path / "out").iterdir()) == [out]


def test_what_a_kill_left_is_removed_by_the_next_pack(run, competition, tmp_path, monkeypatch):
    out = tmp_path / "out/pack"
    with monkeypatch.context() as patch:
        patch.setattr(write, "write_ensemble", die)
        assert killed(lambda: written(run, competition, out))
    assert [path for path in out.parent.iterdir() if path.is_dir()], "something is left"
    written(run, competition, out)
    assert list(out.parent.iterdir()) == [out]


def test_configs_that_name_places(run, competition):
    keys = {"model.init_from": "/home/me/runs/x", "model.encoder_weights": "/home/me/weights.pth"}
    found = portable_config(override(run.config, keys), competition)
    assert (found.model.init_from, found.model.encoder_weights, found.competition.root) == (None, None, None)
    assert found.competition.class_names == competition.labels.class_names
    for place in ("/home/me/x", "~/x"):
        kept = override(run.config, {"model.options": {"decoder": place}})
        with pytest.raises(PackError, match=f"the config holds the path {place}"):
            portable_config(kept, competition)
    named = override(run.config, {"model.encoder_weights": "imagenet"})
    assert portable_config(named, competition).model.encoder_weights == "imagenet"


def test_two_runs_of_one_name(run, competition, tmp_path):
    choice = default_choice([run, run])
    with pytest.raises(PackError, match="the runs are called small, small"):
        write_pack(choice, [run, run], [[0], [0]], competition, "", tmp_path / "pack")


def test_the_card(run, competition):
    choice = EnsembleChoice(
        runs=[RunChoice(run=str(run.path), checkpoint="best", weight=1)],
        metric="dice",
        scores={"before": 0.7, "after": 0.75},
    )
    stats = np.array([[1.0, 0, 0], [4, 3, 1], [9, 0, 6]])
    evaluation = Evaluation(competition.metric, ["a", "b", "c"], stats)
    text = model_card(choice, [run], [[0, 2]], competition, evaluation)
    front = yaml.safe_load(text.split("---")[1])
    assert (front["license"], front["pipeline_tag"]) == ("other", "image-segmentation")
    assert evaluation.line() in text
    assert "dice 0.7000 before tuning, 0.7500 after (cross-fitted)" in text
    assert "18 training images" in text
    assert 'smp.from_pretrained("runs/small/fold_0/best")' in text
    assert "## Licence\n\nTo fill in" in text
    assert str(run.path) not in text
    plain = model_card(default_choice([run]), [run], [["0"]], competition, None)
    assert "none was held out" in plain


def test_modules_of_the_users_own_are_named(run, competition):
    assert own_modules([run], competition) == []
    config = override(run.config, {"post.steps": {"my_parts:Close": {"radius": 1}}, "loss": [{"name": "a.b:C"}]})
    run.config = config
    assert own_modules([run], competition) == ["a.b", "my_parts"]
