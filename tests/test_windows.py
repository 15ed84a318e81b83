"""Modules that only Unix has are not imported: the package is importable on Windows."""

import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
MISSING = ("fcntl", "grp", "pwd", "resource", "termios")
# Other packages may ask for them and do without; ours may not ask.
BLOCKED = """
import builtins, importlib, pkgutil, sys
real = builtins.__import__
def guarded(name, globals=None, *rest, **named):
    if name in {missing!r} and str((globals or {{}}).get("__name__", "")).startswith("maskfold"):
        raise ImportError(f"no module named {{name}} on Windows")
    return real(name, globals, *rest, **named)
builtins.__import__ = guarded
import maskfold
names = [module.name for module in pkgutil.walk_packages(maskfold.__path__, "maskfold.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_every_module_is_importable_without_unix_modules():
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(missing=MISSING)],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
