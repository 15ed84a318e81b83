"""Config files and overrides: what is read, what is refused, and with which words."""

import re
from pathlib import Path

import pytest
import yaml

from maskfold.config import Config, changed_keys, config_yaml, describe_options, load_config, override, shipped_configs
from maskfold.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "configs"
PROFILES = ROOT / "src" / "maskfold" / "competitions" / "profiles"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("train: {epochs: 7}\nloss:\n  - {name: dice, weight: 2}\n")
    return path


def test_file_then_overrides(file):
    config = load_config(file, {"train.batch_size": "3", "tta.scales": "[0.5, 1]", "model.encoder_weights": "none"})
    assert (config.name, config.train.epochs, config.train.batch_size) == ("mine", 7, 3)
    assert config.tta.scales == (0.5, 1.0)
    assert config.model.encoder_weights is None
    assert config.loss == [{"name": "dice", "weight": 2}]


def test_an_override_opens_an_absent_section():
    config = load_config(None, {"folds.group.file": "groups.csv", "folds.group.column": "scene"})
    assert config.folds.group.model_dump() == {"file": "groups.csv", "id": "id", "column": "scene"}


def test_name_comes_from_argument_then_file_then_stem(file, tmp_path):
    assert load_config(file, name="other").name == "other"
    file.write_text("name: inside\n")
    assert load_config(file).name == "inside"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train.epoch": "3"}, r"unknown key train\.epoch: did you mean train\.epochs\?"),
        ({"trian.epochs": "3"}, r"unknown key trian: did you mean train\?"),
        ({"train.epochs": "three"}, r"train\.epochs is 'three': .*integer"),
        ({"train.epochs": "0"}, r"train\.epochs is 0: .*greater than or equal to 1"),
        ({"optim.lr": "-1"}, r"optim\.lr is -1: .*greater than 0"),
        ({"tta.scales": "[0.5, -1]"}, r"tta\.scales\.1 is -1"),
        ({"folds.kind": "kfolds"}, r"folds\.kind is 'kfolds': .*'stratified-grouped'"),
        ({"train.iterations": "30"}, r"epochs is 30 and iterations is 30: set one"),
        ({"schedule.cycles": "2"}, r"schedule\.cycles is 2 but schedule\.name is one_cycle"),
        (
            {"schedule.cycles": "31", "schedule.name": "snapshot"},
            r"schedule\.cycles is 31 but train\.epochs is 30",
        ),
        ({"train.epochs": "[1"}, r"--train\.epochs, '\[1', is not valid YAML"),
    ],
)
def test_refusals_name_key_and_value(overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(None, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a/b", ".hidden", "a+b", "a\\b", ""])
def test_names_that_are_no_folder_are_refused(name, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"name": name}))
    with pytest.raises(ConfigError, match="names a folder"):
        load_config(path)


@pytest.mark.parametrize(("text", "message"), [("train: [", "not valid YAML"), ("- 1\n", "holds a list")])
def test_files_that_are_no_config(text, message, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("none.yaml", r"give the path of a YAML file\."),
        ("configs/dmo.yaml", r"did you mean demo\?"),
        ("tgs_slat", r"did you mean tgs_salt\?"),
    ],
)
def test_missing_file(given, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = rf"^there is no config file {given}: {hint} .* given by name, such as --config demo: camvid, demo, .*$"
    with pytest.raises(ConfigError, match=text):
        load_config(given)


@pytest.mark.parametrize("given", ["tgs_salt", "tgs-salt", str(SHIPPED / "tgs_salt.yaml"), SHIPPED / "tgs_salt.yaml"])
def test_a_shipped_config_has_a_name(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tgs_salt").mkdir()  # a folder of that name is no config
    config = load_config(given)
    assert (config.name, config.competition.profile) == ("tgs_salt", "tgs-salt")


def test_a_file_goes_before_a_shipped_config_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text("train: {epochs: 77}")
    assert load_config("demo").train.epochs == 77


def test_the_shipped_configs_are_those_of_the_folder():
    assert list(shipped_configs()) == sorted(path.stem for path in SHIPPED.glob("*.yaml"))


@pytest.mark.parametrize("profile", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_profile_is_no_config(profile):
    with pytest.raises(ConfigError) as error:
        load_config(profile)
    assert str(error.value) == (
        f"{profile} is a profile, which describes a competition's files, not a config: give it as "
        f"--competition.profile {profile}"
    )


def test_a_missing_and_an_unknown_key():
    with pytest.raises(ConfigError) as error:
        load_config(None, {"folds.group.fil": "groups.csv"})
    assert str(error.value).splitlines() == [
        "the command line:",
        "  folds.group.file is missing",
        "  unknown key folds.group.fil: did you mean folds.group.file?",
    ]


def test_several_unknown_keys_are_a_line_each(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("trian: {}\nqux: 1\ntrain: {epohcs: 3}\ndata: {zzzzzzzzz: 4}\n")
    with pytest.raises(ConfigError) as error:
        load_config(path)
    first, *lines = str(error.value).splitlines()
    assert first == f"{path}:"
    assert "  unknown key trian: did you mean train?" in lines
    assert "  unknown key train.epohcs: did you mean train.epochs?" in lines
    assert any(line.startswith("  unknown key qux: a config has name, seed, competition, ") for line in lines)
    assert any(line.startswith("  unknown key data.zzzzzzzzz: data has ") for line in lines)
    assert len(lines) == 4
    assert max(map(len, lines)) < 200


def test_saved_config_is_the_same_and_tells_how_it_was_made(file, tmp_path):
    config = load_config(file, {"competition.root": "data/x", "averaging.ema": "0.9"})
    (tmp_path / "saved.yaml").write_text(config_yaml(config, torch="9.9"))
    assert load_config(tmp_path / "saved.yaml") == config
    assert yaml.safe_load((tmp_path / "saved.yaml").read_text())["made_with"] == {"torch": "9.9"}


def test_errors_name_the_file_or_the_command_line(file):
    with pytest.raises(ConfigError, match=r"^the command line: unknown key train\.epoch:"):
        load_config(file, {"train.epoch": "3"})
    with pytest.raises(ConfigError, match=r"^the command line: unknown key trian:"):
        load_config(file, {"trian.epochs": "3"})
    file.write_text(file.read_text() + "trian: {epochs: 3}\n")
    for overrides in ({"train.epochs": "8"}, {"train.epoch": "3"}):
        with pytest.raises(ConfigError, match=f"^{file}:"):
            load_config(file, overrides)


def test_changed_keys_names_both_values(file):
    old = load_config(file)
    new = override(old, {"train.epochs": "8", "loss": "[{name: bce}]", "averaging.ema": "0.9"})
    assert changed_keys(old, old) == []
    partial = override(old, {"model.partial_weights": "true"})
    assert changed_keys(old, partial) == ["model.partial_weights: false -> true"]
    assert changed_keys(old, new) == [
        "loss: [{'name': 'dice', 'weight': 2}] -> [{'name': 'bce'}]",
        "averaging.ema: null -> 0.9",
        "train.epochs: 7 -> 8",
    ]


ANNOTATOR = {"targets.annotators.masks": "[a.csv]"}


@pytest.mark.parametrize(
    ("changes", "soft"),
    [
        ({}, False),
        (ANNOTATOR, True),
        ({**ANNOTATOR, "targets.annotators.merge": "random"}, False),
        ({"targets.smoothing.uniform": 0.1}, True),
        ({"targets.smoothing.boundary": 2}, True),
        ({"targets.sources": {"a:B": {}}}, True),
        ({"targets.teacher.runs": "[runs/large]"}, True),
        ({"data.label_shift": "[-2, 3]"}, False),
        ({"data.label_shift": "[-2, 3.3]"}, True),
        ({"data.label_shift": "[-0.5, 0]"}, True),
        ({"data.mix.recipe": "mixup"}, True),
        ({"data.mix.recipe": "cutmix"}, False),
        ({"data.extra": "[pseudo]"}, True),
    ],
    ids=str,
)
def test_which_targets_are_soft(changes, soft):
    assert load_config(None, changes).soft_targets is soft


def test_a_loaded_config_cannot_be_changed():
    config = Config(name="x")
    with pytest.raises(ValueError, match="frozen"):
        config.train.epochs = 3


def test_every_option_is_explained():
    options = list(describe_options())
    assert {"train.epochs", "optim.lr", "loss", "post.min_area"} <= {key for key, *_ in options}
    assert all(re.match(r"\w", text) for _, _, _, text in options)


@pytest.mark.parametrize(
    ("value", "read"),
    [("0.4", 0.4), ("[0.4, 1]", (0.4, 1.0)), ("{fog: 0.4, haze: 0}", {"fog": 0.4, "haze": 0.0})],
)
def test_a_decoding_value_may_differ_by_class(value, read):
    assert load_config(None, {"post.threshold": value}).post.threshold == read


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("post.threshold", "1.5", r"post\.threshold is 1\.5: input should be less than or equal to 1$"),
        ("post.threshold", "[0.5, high]", r"post\.threshold\.1 is 'high': input should be a valid number, unable"),
        ("post.min_area.fog", "-3", r"post\.min_area\.fog is -3: input should be greater than or equal to 0$"),
    ],
)
def test_a_wrong_decoding_value_is_one_message(key, value, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config(None, {key: value})
    assert "; " not in str(error.value)
    assert "<" not in str(error.value)
