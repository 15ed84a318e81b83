"""The architecture, read from the imports: an upper layer may import a lower one, never the reverse."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
# Bottom first. Packages of one layer do not know each other, except for the pairs named below.
LAYERS = [
    {"errors", "files", "progress", "device", "schedule", "labels", "images", "extension", "rle"},
    {"storage"},
    {"config", "losses", "metrics"},
    {"competitions", "models", "inference"},
    {"datasets", "demo"},
    {"runs"},
    {"ensembling", "checks"},
    {"scoring", "training"},
    {"report", "steps"},
    {"cli"},
]
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}
# Packages that a stranger can lift out: they know nothing of files, runs or competitions.
LIFTABLE = {
    "losses": {"errors", "extension"},
    "metrics": {"errors"},
    "rle": {"errors"},
    "models": {"errors", "config", "images", "extension"},
    "inference": {"errors", "config", "labels", "extension"},
}


def imports(path: Path) -> set[str]:
    """maskfold packages that a file imports, in whatever form."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layers"
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("maskfold.")}
    return found & LEVEL.keys()


def package_of(path: Path) -> str:
    return path.relative_to(SRC / "maskfold").parts[0].removesuffix(".py")


FILES = sorted((SRC / "maskfold").rglob("*.py"))


def test_every_package_has_a_layer():
    packages = {package_of(path) for path in FILES} - {"__init__"}
    assert packages - set(LEVEL) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_imports_go_down(path):
    package = package_of(path)
    if package == "__init__":
        assert imports(path) == set()
        return
    if package == "errors":
        assert imports(path) == set()
    for imported in imports(path) - {package, "errors"}:
        assert LEVEL[imported] < LEVEL[package], f"{package} imports {imported}"
    if package in LIFTABLE:
        assert imports(path) - {package} <= LIFTABLE[package]


def test_scripts_are_short():
    scripts = {path: len(path.read_text().splitlines()) for path in SRC.glob("*.py")}
    assert scripts
    assert {path.name: lines for path, lines in scripts.items() if lines > 60} == {}
