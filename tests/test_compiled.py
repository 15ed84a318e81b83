import os
import subprocess
import sys

import pytest

from maskfold import compiled

# numba asks for a folder by trying to make one: no place that it knows will do.
PROGRAM = """
import numba.core.caching as caching
caching._CacheLocator.ensure_cache_path = lambda self: (_ for _ in ()).throw(OSError("read-only"))
import torch
from maskfold.losses import LovaszHingeLoss
from maskfold.rle import RLEDialect
print(LovaszHingeLoss()(torch.zeros(1, 1, 2, 3), torch.ones(1, 1, 2, 3)).item())
print(RLEDialect().decode("1 3", (2, 3)).sum())
"""


def test_what_cannot_be_cached_is_compiled_without(monkeypatch):
    def njit(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: (function, options)

    monkeypatch.setattr("numba.njit", njit)
    assert compiled.compiled(abs) == (abs, {"nogil": True})


def test_numba_is_imported_at_the_first_call(monkeypatch):
    asked = []
    monkeypatch.setattr("numba.njit", lambda **options: lambda function: asked.append(function) or function)
    later = compiled.compiled_later(abs)
    assert asked == []
    assert (later(-3), later(-4)) == (3, 4)
    assert asked == [abs]


@pytest.mark.slow
def test_losses_and_run_lengths_work_where_no_cache_is_writable():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=os.environ, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["1.0", "3"]
