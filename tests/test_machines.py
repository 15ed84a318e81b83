"""Machines that are not as they should be, all at once in one process: a fold is trained and predicted all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import write_tianchi
from tests.scripts.conftest import write_config

ROOT = Path(__file__).parents[1]
PROGRAM = """
import os, pwd, runpy, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for name, *words in (["train_fold", "--config", "tiny.yaml", "--fold", "0"], ["predict", "--runs", "runs/tiny"]):
    sys.argv = [name, *words]
    runpy.run_path(os.path.join(os.environ["SRC"], f"{name}.py"), run_name="__main__")
# No home at all: a user whom the system does not know, as in a container.
def unknown(user):
    raise KeyError(user)
del os.environ["HOME"]
pwd.getpwuid = unknown
sys.argv = ["check_data", "--config", "tiny.yaml"]
runpy.run_path(os.path.join(os.environ["SRC"], "check_data.py"), run_name="__main__")
"""
# Processors of long ago: no AVX in torch, oneDNN, OpenCV and numba.
PLAIN_CPU = {
    "ATEN_CPU_CAPABILITY": "default",
    "DNNL_MAX_CPU_ISA": "SSE41",
    "OPENCV_CPU_DISABLE": "AVX,AVX2,FP16,FMA3,AVX512_SKX",
    "NUMBA_CPU_NAME": "generic",
}
NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="its ways of setting a machine up")
def test_no_home_no_temporary_folder_one_core_no_avx_no_utf8(tmp_path):
    write_tianchi(tmp_path / "data" / "mine", train=9, test=3)
    write_config(tmp_path / "tiny.yaml", train__epochs=1)
    places = ("HOME", "XDG_CACHE_HOME", "MASKFOLD_CACHE")
    kept = {name: value for name, value in os.environ.items() if name not in places}
    nowhere = {"HOME": "/proc/none", "TMPDIR": "/proc", "NUMBA_CACHE_DIR": "/proc/none", "MPLCONFIGDIR": "/proc/none"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**kept, **nowhere, **PLAIN_CPU, **NO_UTF8, "SRC": str(ROOT / "src")},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert b"Training fold 0 of runs/tiny \\u2026" in done.stdout
    assert (tmp_path / "submissions" / "tiny.csv").read_text().count("\n") == 3
    assert len(list((tmp_path / ".cache/maskfold").glob("seen-*.json"))) == 1, "of a user without a home"
