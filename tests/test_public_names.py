"""docs/python.md: what is public is there, its example runs, and the notebooks use nothing else."""

import ast
import importlib
import re
import subprocess
import sys
from types import ModuleType

import nbformat
import pytest
from tests.documents import ROOT, fenced

PAGE = ROOT / "docs/python.md"
ROWS = dict(re.findall(r"^\| `(maskfold[.\w]*)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
# Packages whose functions are public under other names, or that are commands.
WITHIN = {"maskfold.cli", "maskfold.steps"}
SOURCE = ROOT / "src/maskfold"


def public(module):
    """The names that a package lists; of a module those that it defines."""
    folder = SOURCE.parent / module.replace(".", "/")
    found = importlib.import_module(module)
    if folder.is_dir():
        return set(found.__all__)
    own = (name for name, value in vars(found).items() if getattr(value, "__module__", module) == module)
    return {name for name in own if not name.startswith("_") and not isinstance(vars(found)[name], ModuleType)}


def imported(code):
    """(module, names) of every import of maskfold in a program."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "maskfold":
            yield node.module, {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            yield from ((alias.name, set()) for alias in node.names if alias.name.split(".")[0] == "maskfold")


def code_of(path):
    cells = nbformat.read(path, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    return re.sub(r"(^ *|= *)[%!].*", r"\1None", code, flags=re.MULTILINE)  # what is IPython's and not Python's


def test_every_package_stands_on_the_page():
    packages = {f"maskfold.{path.parent.name}" for path in SOURCE.glob("*/__init__.py")}
    assert packages - WITHIN <= ROWS.keys()
    assert "maskfold" in ROWS


@pytest.mark.parametrize("module", ROWS)
def test_the_names_on_the_page_are_public(module):
    named = set(re.findall(r"`(\w+)`", ROWS[module])) - {"ValueError"}
    assert named
    assert named <= public(module), "list it in the package's __init__"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_import_public_names_only(path):
    found = list(imported(code_of(path)))
    assert found
    for module, names in found:
        assert module in ROWS, f"{module} is not public: export what is used from its package"
        assert names <= public(module), f"{module} does not list {names - public(module)}"


def test_other_imports_would_be_seen():
    found = dict(imported("import maskfold.runs.run\nfrom maskfold.runs.fold import FoldFolder as F\nimport maskfoldx"))
    assert found == {"maskfold.runs.run": set(), "maskfold.runs.fold": {"FoldFolder"}}
    assert "choose_device" in public("maskfold.device")
    assert "torch" not in public("maskfold.device")


@pytest.mark.parametrize("module", ["runs", "inference", "ensembling", "scoring", "report", "competitions", "datasets"])
def test_lazy_packages_import_no_torch(module):
    code = f"import sys, maskfold.{module}; print([name for name in ('torch', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_the_example_runs(tmp_path, monkeypatch, capsys):
    (example,) = fenced(PAGE, "python")
    quick = '"data.crop": 32, "data.workers": 0, "train.trackers": [], "tune.tried": {"threshold": [0.5]}'
    assert '"data.crop": 32' in example
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    scope = {}
    exec(example.replace('"data.crop": 32', quick), scope)
    assert len(scope["masks"]) == 2
    assert all(mask.shape == (64, 64) and set(mask.ravel().tolist()) <= {0, 1} for mask in scope["masks"].values())
    assert (tmp_path / "submissions/demo.csv").exists()
    assert "submissions/demo.csv\ndice " in capsys.readouterr().out
