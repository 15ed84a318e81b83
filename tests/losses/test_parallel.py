"""Two data-parallel processes compute the value and the gradient of one with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("parallel_worker.py")
SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, WORKER, str(rank), "2", tmp_path],
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all(process.returncode == 0 for process in processes), "\n".join(errors)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for key, wanted in found["alone"].items():
            assert wanted[1].norm() > 1e-6
            for name, one, two in zip(("value", "weight", "bias"), wanted, found["together"][key], strict=True):
                message = f"{key}, {name}: {two} is not {one}"
                torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-7, msg=message)
