"""``--help`` of every script: all options with their defaults, exit code 0, nothing asked from the network."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from maskfold.config import describe_options

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
}
OWN = {
    "check_data": ["--config FILE", "--name NAME", "--html [FILE]"],
    "train_fold": ["--fold K", "--overwrite"],
    "train_all": ["--folds K", "--overwrite"],
    "tune": ["--runs DIR"],
    "predict": ["--folds K", "--untuned", "--out FILE", "--overwrite", "--save-probabilities", "--oof"],
    "evaluate": ["--submission FILE", "--truth FILE", "--against FILE", "--note-lb SCORE"],
    "report": ["--runs DIR", "--out FILE", "--images N"],
    "compare": ["--truth FILE", "--config FILE", "--picture FILE", "--images N"],
    "make_demo": ["--out OUT", "(default: data/demo)", "--seed SEED", "(default: 0)", "--tiles", "(default: 160)"],
}

# Any use of the network ends the script.
OFFLINE = """
import runpy, socket, sys
def refuse(*arguments, **options):
    raise SystemExit("the network was asked")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
sys.argv = [{path!r}, "--help"]
runpy.run_path({path!r}, run_name="__main__")
"""


def ask_for_help(script):
    command = [sys.executable, "-c", OFFLINE.format(path=str(script))]
    environment = {**os.environ, "PYTHONPATH": str(SRC), "COLUMNS": "400", "OMP_NUM_THREADS": "1"}
    environment.pop("NO_ALBUMENTATIONS_UPDATE", None)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def helps():
    scripts = sorted(SRC.glob("*.py"))
    with ThreadPoolExecutor(2) as pool:
        return dict(zip((s.stem for s in scripts), pool.map(ask_for_help, scripts), strict=True))


@pytest.mark.slow
def test_every_script_explains_itself(helps):
    assert set(SECTIONS) | set(OWN) <= set(helps)
    for name, done in helps.items():
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert done.stdout.startswith(f"usage: {name}.py"), name
        assert done.stderr == "", name
        for text in OWN.get(name, []):
            assert text in done.stdout, f"{name}: {text}"


@pytest.mark.slow
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
            shown = default if isinstance(default, str) and default else json.dumps(default)
            assert line == f"  --{key}  ({kind}; default {shown})"
            assert text.strip() == description
            assert len(description) > 10
            checked += 1
    assert checked > 200
