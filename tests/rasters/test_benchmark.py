"""The benchmark of large rasters, on a small one: what its commands write agrees, and their memory is watched."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_rasters.py"


@pytest.mark.slow
def test_every_command_is_measured_and_what_they_write_is_one_mask(tmp_path):
    words = [SCRIPT, "--side", "1100", "--scale", "0.5", "--folder", tmp_path, "--most-memory", "0.1"]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 1  # every process takes more than 0.1 GB, and that is found
    assert "GB is more than 0.1 GB" in done.stderr
    for name in ("tile cut", "predict", "tile predict", "tile predict, GeoJSON"):
        assert f"| {name} | " in done.stdout
    assert "The submission and the tif are one mask" in done.stdout
