"""Configs, profiles, ensembles, folds and weights that are wrong or hostile: one message, exit code 1."""

import io
import pickle
import re
import zipfile

import pytest
import torch
import yaml

from maskfold.cli.script import run_script
from maskfold.competitions.profile import read_profile
from maskfold.config import load_config
from maskfold.ensembling.choice import read_ensemble
from maskfold.models import build_model
from maskfold.models.weights import load_encoder_weights
from maskfold.runs.checkpoint import state_from_bytes, state_to_bytes
from maskfold.runs.run import Run
from maskfold.scoring.submission_log import note_leaderboard

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join([f'*{b}'] * 9)}]\n" for b, c in zip("abcdefghi", "bcdefghij", strict=True)
)
RUNS = {"runs": [{"run": "runs/a", "checkpoint": "best", "weight": 1.0}]}
CONFIGS = {
    "aliases": (BOMB, "x.yaml is not valid YAML: line 6"),
    "key twice": ("seed: 1\nseed: 2", "x.yaml is not valid YAML: line 2, column 1: the key 'seed' stands twice"),
    "digits": ("seed: " + "9" * 5000, "is not a number that can be read"),
    "large number": ("seed: " + "9" * 4000, "seed is"),
    "nan": ("optim: {lr: .nan}", "optim.lr is nan"),
    "infinite": ("optim: {lr: .inf}", "optim.lr is inf"),
    "a scale of a million": ("tta: {scales: [1000000]}", "tta.scales"),
    "a date for a name": ("name: [2024-01-02]", "the run's name is"),
    "a long name": ("name: " + "n" * 300, "the run's name has 300 bytes"),
    "a formula of a spreadsheet": ("name: '=HYPERLINK(1)'", "the run's name is '=HYPERLINK(1)'"),
    "a list": ("- a", "x.yaml holds a list"),
    "number for a key": ("1: 2", "x.yaml"),
}
PROFILES = {
    "aliases": (BOMB, "x.yaml is not valid YAML: line 6"),
    "key twice": ("layout: csv\nlayout: csv", "line 2, column 1: the key 'layout' stands twice"),
    "no layout": ("metric: dice", "the key layout is missing"),
    "a quote as separator": ("layout: csv\nseparator: '\"'", "separator"),
    "5000 digits": ('layout: png-masks\nmetric: dice\nlabel_map: {1: "' + "9" * 5000 + '"}', "label_map"),
}
ENSEMBLES = {
    "aliases": (BOMB, "is damaged (line 6"),
    "threshold": ({**RUNS, "post": {"threshold": 7}}, "threshold"),
    "area": ({**RUNS, "post": {"min_area": -1}}, "min_area"),
    "no run": ({"runs": []}, "runs"),
    "weight nan": ({"runs": [{**RUNS["runs"][0], "weight": float("nan")}]}, "weight"),
    "weight below 0": ({"runs": [{**RUNS["runs"][0], "weight": -1.0}]}, "weight"),
    "weights all 0": ({"runs": [{**RUNS["runs"][0], "weight": 0.0}]}, "the weights of its runs are all 0"),
    "checkpoint elsewhere": ({"runs": [{**RUNS["runs"][0], "checkpoint": "../../x"}]}, "checkpoint"),
    "scores": ({**RUNS, "scores": {"befor": 0.5}}, "scores has befor, expected before and after"),
    "a scale of a million": ({**RUNS, "tta": {"scales": [1e6]}}, "scales"),
    "text": ("no mapping", "is damaged"),
}


def stopped(capsys, work):
    """What is said of what ``work`` raises."""
    with pytest.raises(SystemExit) as caught:
        run_script(work)
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Error:" not in said
    assert "MASKFOLD_DEBUG" not in said
    return said


def written(folder, content, name="x.yaml"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("kind", CONFIGS)
def test_configs(tmp_path, capsys, kind):
    content, text = CONFIGS[kind]
    path = written(tmp_path, content)
    said = stopped(capsys, lambda: load_config(path))
    assert text in said
    assert len(said) < 1000 + 5000 * (kind == "large number")


@pytest.mark.parametrize("kind", PROFILES)
def test_profiles(tmp_path, capsys, kind):
    content, text = PROFILES[kind]
    path = written(tmp_path, content)
    assert text in stopped(capsys, lambda: read_profile(path))


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_ensembles(tmp_path, capsys, kind):
    content, text = ENSEMBLES[kind]
    path = written(tmp_path, content)
    said = stopped(capsys, lambda: read_ensemble(path))
    assert text in said
    assert "run python src/tune.py again" in said


@pytest.mark.parametrize("content", [BOMB, "[]", "made_with: 5", "seed: 1\nseed: 1"])
def test_the_config_of_a_run(tmp_path, capsys, content):
    (tmp_path / "r").mkdir()
    written(tmp_path / "r", content, "config.yaml")
    run = Run.open(tmp_path / "r")
    if content == "made_with: 5":
        assert run.config.seed == 0
        assert run.made_with() == {}
    else:
        assert "config.yaml is damaged" in stopped(capsys, lambda: run.config)


def test_places_that_are_no_files(tmp_path, capsys):
    long = tmp_path / ("n" * 300 + ".yaml")
    circle = tmp_path / "circle.yaml"
    circle.symlink_to(circle)
    assert f"{tmp_path} is a folder" in stopped(capsys, lambda: load_config(tmp_path))
    assert "there is no config file" in stopped(capsys, lambda: load_config(long))
    assert "there is no config file" in stopped(capsys, lambda: load_config(circle))
    assert "cannot be read: is a directory" in stopped(capsys, lambda: read_profile(tmp_path))
    assert "cannot be read: file name too long" in stopped(capsys, lambda: read_profile(long))
    assert "cannot be read: too many levels of symbolic links" in stopped(capsys, lambda: read_profile(circle))
    for path, text in ((long, "file name too long; give a shorter one"), (circle, "its links lead in a circle")):
        assert text in stopped(capsys, lambda path=path: path.read_bytes())
    assert "no such file or directory" in stopped(capsys, lambda: (tmp_path / "gone.csv").read_bytes())


class Harm:
    """What a pickle can do."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def _weights(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def _packed():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", b"\0" * 1_000_000)
    return stream.getvalue()


WEIGHTS = {
    "a page": (b"\n<!DOCTYPE html><html>Sign in</html>", "is not a weights file but a page of the web"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
    "an error": (b'{"error": "Not found"}', "a server's error"),
    "text": (b"Dear user, please sign in first.\n" * 20, "damaged"),
    "a pickle": (pickle.dumps(Harm()), "which could run code"),
    "a pickle in a zip": (_weights({"state_dict": Harm()}), "which could run code"),
    "an old pickle": (_weights({"a": Harm()}, _use_new_zipfile_serialization=False), "which could run code"),
    "packed": (_packed(), "its member 'archive/data.pkl' is packed"),
    "cut off": (_weights({"a": torch.zeros(99)})[:500], "damaged"),
    "a number": (_weights(3), "holds a int, expected a mapping"),
}


@pytest.fixture(scope="module")
def network():
    from maskfold.config import ModelConfig
    from maskfold.images import ImageSpec

    config = ModelConfig(encoder="resnet18", encoder_weights=None)
    return build_model(config, classes=1, images=ImageSpec(), pretrained=False)


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights(tmp_path, capsys, network, kind):
    content, text = WEIGHTS[kind]
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    said = stopped(capsys, lambda: load_encoder_weights(network, path))
    assert text in said
    assert not re.search("weights.only|trust", said, re.IGNORECASE), "torch's advice to switch the safety off"
    assert said.count("\n") == 1


@pytest.mark.parametrize("kind", [kind for kind in WEIGHTS if kind != "a number"])
def test_training_states(capsys, kind):
    said = stopped(capsys, lambda: state_from_bytes(WEIGHTS[kind][0], "last.pt"))
    assert "last.pt is damaged" in said
    assert not re.search("weights.only|trust", said, re.IGNORECASE), "torch's advice to switch the safety off"
    assert said.count("\n") == 1
    assert state_from_bytes(state_to_bytes({"epoch": 3}), "last.pt") == {"epoch": 3}


def test_scores_that_are_no_numbers(tmp_path, capsys):
    from maskfold.cli.values import finite

    for text in ("nan", "inf", "-inf", "x", "1e400", ""):
        with pytest.raises(Exception, match="is not a number"):
            finite(text)
    assert finite("-0.25") == -0.25
    assert "has no submission" in stopped(capsys, lambda: note_leaderboard(tmp_path / "log.csv", 0.5))
