"""``--help all`` of every command: all options with their defaults, exit code 0, nothing asked from the network."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from maskfold.cli.arguments import config_parser, runs_parser
from maskfold.cli.options import COMMON, DATA_OPTIONS
from maskfold.config import describe_options, option_keys

SRC = Path(__file__).parents[2] / "src"
EVERYTHING = tuple(key.split(".")[0] for key, *_ in describe_options())
SECTIONS = {
    "check_data": EVERYTHING,
    "make_folds": EVERYTHING,
    "train_fold": EVERYTHING,
    "train_all": EVERYTHING,
    "tune": ("inference", "tta", "post", "tune"),
    "predict": ("inference", "tta", "post"),
    "evaluate": ("inference", "tta", "post"),
    "report": (),
    "export": ("tta",),
    "pack": ("inference", "tta", "post"),
}
OWN = {
    "check_data": ["--config FILE", "--name NAME", "--html [FILE]"],
    "train_fold": ["--fold K", "--overwrite"],
    "train_all": ["--folds K", "--parallel N", "--engine {local,ray}", "--address", "--gpus-per-fold F", "--overwrite"],
    "tune": ["--runs DIR"],
    "predict": [
        "--folds K",
        "--untuned",
        "--out FILE",
        "--overwrite",
        "--save-probabilities",
        "--engine",
        "--pack PACK",
        "--parallel N",
        "--gpus-per-shard F",
        "--oof",
    ],
    "evaluate": ["--submission FILE", "--truth FILE", "--note-lb SCORE"],
    "autopilot": ["default: the config file's name, followed by _auto"],
    "board": ["--runs DIR", "--reference RUN", "--sort COLUMN", "--html [FILE]", "default FILE: runs/board.html"],
    "report": ["--runs DIR", "--out FILE", "--images N"],
    "export": ["--format", "--folds K", "--checkpoint NAME", "--untuned", "--out FILE", "--overwrite"],
    "pack": ["--folds K", "--untuned", "--out PACK", "--overwrite"],
    "vote": ["--weights W", "--least VOTES", "--config FILE", "--out FILE", "--overwrite"],
    "compare": ["--truth FILE", "--config FILE", "--picture FILE", "--images N"],
    "make_demo": ["--out OUT", "(default: data/demo)", "--seed SEED", "(default: 0)", "--tiles", "(default: 160)"],
}

# Any use of the network ends the script.
OFFLINE = """
import runpy, socket, sys
def refuse(*arguments, **options):
    raise SystemExit("the network was asked")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
sys.argv = [{path!r}, *{words!r}]
runpy.run_path({path!r}, run_name="__main__")
"""


def ask_for_help(script):
    words = ["--help", *(["all"] if script.stem in SECTIONS else [])]
    command = [sys.executable, "-c", OFFLINE.format(path=str(script), words=words)]
    environment = {**os.environ, "PYTHONPATH": str(SRC), "COLUMNS": "400", "OMP_NUM_THREADS": "1"}
    environment.pop("NO_ALBUMENTATIONS_UPDATE", None)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def helps():
    scripts = sorted(SRC.glob("*.py"))
    with ThreadPoolExecutor(2) as pool:
        return dict(zip((s.stem for s in scripts), pool.map(ask_for_help, scripts), strict=True))


def test_every_script_explains_itself(helps):
    assert set(SECTIONS) | set(OWN) <= set(helps)
    for name, done in helps.items():
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert done.stdout.startswith(f"usage: {name}.py"), name
        assert done.stderr == "", name
        for text in OWN.get(name, []):
            assert text in done.stdout, f"{name}: {text}"


def test_every_option_has_its_default_and_an_explanation(helps):
    checked = 0
    for name, sections in SECTIONS.items():
        lines = helps[name].stdout.splitlines()
        found = {line.split()[0]: (line, text) for line, text in pairwise(lines) if re.match(r"  --[\w.]+  \(", line)}
        listed = [(option, option[0].split(".")[0] in sections) for option in describe_options()]
        wanted = [option for option, of_section in listed if of_section or option[0] == "competition.root"]
        assert {f"--{key}" for key, *_ in wanted} == set(found), name
        for key, kind, default, description in wanted:
            line, text = found[f"--{key}"]
            shown = default if default is ... or (isinstance(default, str) and default) else json.dumps(default)
            assert line == f"  --{key}  ({kind}; {'no default' if shown is ... else f'default {shown}'})"
            assert text.strip() == description
            assert len(description) > 10
            checked += 1
    assert checked > 200


def short_help(capsys, *words):
    parser = config_parser("What it does.")
    with pytest.raises(SystemExit) as stop:
        parser.parse_known_args(["--help", *words])
    return stop.value.code or 0, capsys.readouterr()


def explained(text):
    return re.findall(r"^  --([\w.]+)  \(", text, re.MULTILINE)


def test_plain_help_has_the_most_used_options_and_says_how_to_see_the_rest(capsys):
    code, shown = short_help(capsys)
    assert code == 0
    assert sorted(explained(shown.out)) == sorted(COMMON)
    assert set(COMMON) | set(DATA_OPTIONS) <= set(option_keys())
    last = shown.out.strip().splitlines()[-2:]
    assert last[0].startswith(
        "These are the most used ones. All options: --help all. Those of a section: --help SECTION"
    )
    assert last[1] == ", ".join(dict.fromkeys(EVERYTHING)) + "."


def test_help_of_a_section_has_its_options_only(capsys):
    code, shown = short_help(capsys, "optim")
    assert code == 0
    assert explained(shown.out) == [key for key in option_keys() if key.startswith("optim.")]
    assert "--config" not in shown.out
    code, shown = short_help(capsys, "adversarial")
    assert explained(shown.out) == [key for key in option_keys() if key.split(".")[0] == "adversarial"]
    assert "--adversarial  (section or null; default null)" in shown.out
    assert "--folds.group.file  (text; no default)" in short_help(capsys, "folds")[1].out
    assert "--train.batch_size  (int or auto; default 8)" in short_help(capsys, "train")[1].out
    code, shown = short_help(capsys, "trian")
    assert code == 2
    assert "--help trian: there is no such section here: known are all, name, seed, " in shown.err


@pytest.mark.parametrize(("sections", "named"), [((), "competition"), (("tta", "post"), "tta")])
def test_the_section_that_the_help_names_has_a_help(capsys, sections, named):
    shown = []
    for words in (["--help"], ["--help", named]):
        with pytest.raises(SystemExit) as stop:
            runs_parser("What it does.", sections).parse_known_args(words)
        assert not stop.value.code
        shown.append(" ".join(capsys.readouterr().out.split()))
    assert f"SECTION: all, or a section of the config such as {named} --runs" in shown[0]
    assert f"--{named}." in shown[1]


def test_options_of_a_run_are_those_that_the_command_takes(capsys):
    parser = runs_parser("What it does.", ("post",))
    for words in (["--help"], ["--help", "all"]):
        with pytest.raises(SystemExit):
            parser.parse_known_args(words)
        keys = [key for key, *_ in describe_options() if key.startswith("post.")]
        assert explained(capsys.readouterr().out) == ["competition.root", *keys]
    with pytest.raises(SystemExit) as stop:
        parser.parse_known_args(["--help", "train"])
    assert stop.value.code == 2
