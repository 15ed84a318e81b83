"""The short form of the drill: see `tests.drill` (``make drill`` is the long one)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.drill.faults import CORES

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute of one idle core, and others may need it
def test_whatever_happens_the_same_command_ends_as_if_nothing_had_been():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    lanes = 2 if CORES - os.getloadavg()[0] >= 1 else 1  # an idle core more than the one that waits here
    command = [sys.executable, "-m", "tests.drill", "--short", "--lanes", str(lanes)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    rows = re.findall(r"^(\w[\w, ]*): (.*?) +(\d+) +(\d+)(  .*)?$", done.stdout, re.MULTILINE)
    assert {letter for letters, *_ in rows for letter in letters.split(", ")} == set("abcdefgh")
    kills = sum(int(survived) for letters, _, _, survived, _ in rows if "a" in letters)
    assert kills >= 10
    assert all(int(tries) == int(survived) and (int(tries) or note) for *_, tries, survived, note in rows)
