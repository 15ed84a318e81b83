import os
import subprocess
import sys
from pathlib import Path

import maskfold


def test_importing_loads_neither_torch_nor_pandas():
    code = "import sys, maskfold.metrics; print(*{'torch', 'pandas', 'numba'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(Path(maskfold.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
