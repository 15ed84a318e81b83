"""The benchmark of pages, on a few images and runs."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_pages.py"


@pytest.mark.slow
def test_both_pages_are_written_and_opened(chromium):
    words = [SCRIPT, "--images", "18", "--runs", "3", "--repeats", "1"]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| report, 18 images | " in done.stdout
    assert "| board, 3 runs | " in done.stdout
