"""The benchmark of tuning, on a few images: ours and the usual loop come to the same scores."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_tune.py"


@pytest.mark.slow
def test_the_grid_is_measured_beside_the_usual_loop():
    words = [SCRIPT, "--images", "12", "--size", "64", "--usual-images", "2"]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # "the scores differ" else
    assert "| 78 settings on every image | " in done.stdout
