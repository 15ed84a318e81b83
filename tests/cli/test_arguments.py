"""The command line: dotted overrides, which config and runs are meant, the next command's flags."""

import shlex

import pytest

from maskfold.cli.arguments import (
    config_flags,
    config_parser,
    open_runs,
    parse,
    parse_sections,
    runs_parser,
)
from maskfold.config import Config, override
from maskfold.errors import ConfigError, RunError
from maskfold.program import command_line
from maskfold.runs import Run
from maskfold.runs.run import LOCAL


@pytest.fixture
def command(monkeypatch, tmp_path):
    """``command(words…)``: a training script's arguments and config."""
    (tmp_path / "x.yaml").write_text("train: {epochs: 7}\noptim: {lr: 0.5}\n")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["script.py", "--config", str(tmp_path / "x.yaml"), *words])
        parser = config_parser("What it does.")
        parser.add_argument("--fold", type=int)
        parser.add_argument("--folds", nargs="+", type=int)
        return parse(parser)

    return run


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--train.batch_size", "3"], "train.batch_size", 3),
        (["--train.batch_size=3"], "train.batch_size", 3),
        (["--tta.scales", "[0.5, 1]"], "tta.scales", (0.5, 1.0)),
        (["--tta.scales=[0.5,2]"], "tta.scales", (0.5, 2.0)),
        (["--optim.options", "{momentum: -0.25}"], "optim.options", {"momentum": -0.25}),
        (["--optim.options={momentum: 0.5, text: a=b}"], "optim.options", {"momentum": 0.5, "text": "a=b"}),
        (["--optim.options", "{a: 1e-2, b: -2.5E+1, c: 1e2x}"], "optim.options", {"a": 0.01, "b": -25.0, "c": "1e2x"}),
        (["--optim.clip_norm", "null"], "optim.clip_norm", None),
        (["--train.compile", "true"], "train.compile", True),
        (["--seed", "12"], "seed", 12),
        (["--fold", "2", "--train.epochs", "4", "--folds", "1", "2"], "train.epochs", 4),
        (["--folds", "1", "--folds.count", "4"], "folds.count", 4),
        (["--train.epochs", "4", "--train.epochs=5"], "train.epochs", 5),
    ],
)
def test_overrides_reach_the_config(command, words, key, value):
    _, config = command(*words)
    for part in key.split("."):
        config = getattr(config, part)
    assert config == value
    assert type(config) is type(value)


def test_the_file_holds_where_nothing_is_overridden(command):
    arguments, config = command("--fold", "3", "--optim.weight_decay", "0")
    assert (arguments.fold, arguments.folds) == (3, None)
    assert (config.train.epochs, config.optim.lr, config.optim.weight_decay) == (7, 0.5, 0.0)
    assert config.name == "x"
    assert command("--name", "y")[1].name == "y"


@pytest.mark.parametrize("words", [["--optim.lr", "-3e-4"], ["--optim.lr=-3e-4"], ["--optim.lr", "-0.0003"]])
def test_negative_numbers_are_values(command, words):
    with pytest.raises(ConfigError, match=r"optim\.lr is -0\.0003: input should be greater than 0"):
        command(*words)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--trian.epochs", "3"], "unknown option --trian.epochs: did you mean train.epochs?"),
        (["--fodl", "3"], "unknown option --fodl: did you mean fold"),
        (["--epochs=3"], "unknown option --epochs: did you mean train.epochs?"),
        (["--kind", "x"], "unknown option --kind: did you mean folds.kind?"),
        (["--quxx", "x"], "unknown option --quxx: --help all lists them all"),
        (["--train.epochs"], "--train.epochs needs a value"),
        (["--train.epochs", "3", "4"], "unexpected argument 4"),
        (["5"], "unexpected argument 5"),
        (["--fold", "two"], "invalid int value"),
    ],
)
def test_usage_errors(command, capsys, words, text):
    with pytest.raises(SystemExit) as stop:
        command(*words)
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--train.epoch", "3"], "unknown key train.epoch: did you mean train.epochs"),
        (["--train", "3"], "train is 3"),
        (["--train.epochs", "["], "the value of --train.epochs, '[', is not valid YAML"),
        (["--name", "../up"], "the run's name is '../up'"),
    ],
)
def test_config_errors(command, words, text):
    with pytest.raises(ConfigError) as error:
        command(*words)
    assert text in str(error.value)


def test_the_next_command_says_the_same(command):
    words = ["--name", "my run", "--optim.options", "{momentum: 0.9, note: it's}", "--train.epochs=4"]
    arguments, config = command(*words)
    flags = shlex.split(command_line("train-all", *config_flags(arguments)))[2:]
    again, same = command(*flags[flags.index("--name") :])
    assert same == config
    assert again.overrides == arguments.overrides
    assert flags[:2] == ["--config", str(arguments.config)]


def test_only_some_sections_can_be_changed_of_a_run(monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr("sys.argv", ["predict.py", *words])
        return parse_sections(runs_parser("What it does.", ("tta", "post")), ("tta", "post"))

    arguments, overrides = call("--runs", "runs/a", "runs/b", "--post.threshold", "0.4", "--tta.views=d4")
    assert [str(path) for path in arguments.runs] == ["runs/a", "runs/b"]
    assert overrides == {"post.threshold": "0.4", "tta.views": "d4"}
    assert call("--competition.root", "elsewhere")[1] == {"competition.root": "elsewhere"}
    with pytest.raises(SystemExit) as stop:
        call("--data.scale", "2")
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "--data.scale cannot be changed here" in error
    assert "(only tta, post, competition.root)" in error


def make_runs(**roots):
    for name, root in roots.items():
        Run.create(override(Config(name=name), {"competition.root": root}), LOCAL)


def test_runs_are_named_or_the_only_one(here, capsys):
    with pytest.raises(RunError, match=r"there is no run under runs/: train first, python src/train_fold\.py --fold 0"):
        open_runs(None)
    make_runs(mine="data/x")
    assert [str(run.path) for run in open_runs(None)] == ["runs/mine"]
    assert "Run: runs/mine (the only one)" in capsys.readouterr().out
    make_runs(other="data/y")
    with pytest.raises(RunError, match=r"no runs/demo, but runs/mine, runs/other: choose with --runs"):
        open_runs(None)
    (here / "data" / "strange").mkdir(parents=True)
    with pytest.raises(RunError, match=r"the runs are runs/mine, runs/other: choose with --runs \(nothing under data/"):
        open_runs(None)
    (here / "data" / "strange").rmdir()
    make_runs(demo="data/demo")
    assert [run.name for run in open_runs(None)] == ["demo"]
    assert [run.name for run in open_runs([here / "runs" / "other"])] == ["other"]


def test_runs_of_several_places_need_to_be_told_which(here):
    make_runs(a="data/x", b="data/y", c="data/x")
    paths = [here / "runs/a", here / "runs/b"]
    with pytest.raises(RunError, match=r"several folders \(data/x, data/y\): .*now with --competition\.root; else"):
        open_runs(paths)
    assert len(open_runs(paths, {"competition.root": "data/z"})) == 2
    assert len(open_runs([here / "runs/a", here / "runs/c"])) == 2
