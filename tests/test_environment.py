"""What importing the package sets, and what it leaves to the user."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("set_by_user", "expected"),
    [({}, "PASSIVE None"), ({"GOMP_SPINCOUNT": "9"}, "None 9"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None")],
)
def test_waiting_threads_do_not_spin_unless_the_user_says_so(set_by_user, expected):
    program = "import os, maskfold; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=kept | set_by_user, check=True
    )
    assert run.stdout.strip() == expected
