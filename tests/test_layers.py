"""The architecture, read from the imports: an upper layer may import a lower one, never the reverse."""

import ast
import re
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
# Bottom first, as docs/architecture.md draws them. Packages of one floor do not know each other but for the arrows.
LAYERS = [
    {
        "errors",
        "files",
        "locks",
        "progress",
        "device",
        "schedule",
        "labels",
        "images",
        "extension",
        "distances",
        "instances",
        "rle",
        "storage",
        "symmetries",
        "compiled",
        "program",
        "imports",
        "parallel",
        "picks",
        "cluster",
        "yaml_text",
        "drawing",
        "archives",
    },
    {"config", "losses", "metrics", "resizing"},
    {"competitions", "models", "inference"},
    {"datasets", "runs", "demo", "rasters"},
    {"ensembling", "checks"},
    {"scoring", "training", "packing"},
    {"board", "planning"},
    {"report", "steps"},
    {"studies", "autopilot"},
    {"cli"},
]
ARROWS = {
    ("runs", "datasets"),
    ("rasters", "datasets"),
    ("rle", "compiled"),
    ("storage", "files"),
    ("locks", "files"),
    ("locks", "storage"),
    ("cluster", "parallel"),
    ("parallel", "imports"),
    ("drawing", "labels"),
    ("instances", "distances"),
}
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}
# Packages that a stranger can lift out: they know nothing of files, runs or competitions.
LIFTABLE = {
    "losses": {"errors", "labels", "extension", "compiled", "distances"},
    "metrics": {"errors", "labels", "extension", "instances"},
    "rle": {"errors", "compiled"},
    "models": {"errors", "config", "images", "extension", "archives"},
    "inference": {
        "errors",
        "config",
        "labels",
        "images",
        "distances",
        "instances",
        "device",
        "extension",
        "rle",
        "symmetries",
        "resizing",
    },
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
        below = LEVEL[imported] < LEVEL[package]
        assert below or (package, imported) in ARROWS, f"{package} imports {imported}"
    if package in LIFTABLE:
        assert imports(path) - {package} <= LIFTABLE[package]


def test_scripts_are_short():
    scripts = {path: len(path.read_text().splitlines()) for path in SRC.glob("*.py")}
    assert scripts
    assert {path.name: lines for path, lines in scripts.items() if lines > 60} == {}


# What only `labels` may decide: how many channels or classes there are, and what that means.
COUNT = r"(?:shape\[1\]|\b\w*classes|(?<!images\.)(?<!spec\.)\b\w*channels|len\((?:probability|logits|\w*names)\))"
THAN = r"(?:[=!<>]=|[<>])"
COMPARED = re.compile(rf"\b(?:num_classes|ignore_index(?!=True))\b|{COUNT} *{THAN} *\d|\b\d+ *{THAN} *{COUNT}")
# Reading files: 255 as what does not count, names that a profile gives, channels of an image.
READING = {
    f"competitions/{name}.py"
    for name in ("images", "label_images", "label_map", "label_files", "file_list", "png_masks", "coco_json")
}
# The channels, and 255, are those of images.
OF_IMAGES = {"images.py", "models/wrapper.py", "models/encoders.py", "models/weights.py"}
NOT_SCORED = re.compile(r"[=!<>]= *255\b|\b255 *[=!<>]=|where\(.*, *255\)")


def found(pattern: re.Pattern[str], allowed: set[str]) -> dict[str, str]:
    """``file:line`` -> what matches, outside of ``allowed`` files."""
    return {
        f"{path}:{number}": line.strip()
        for path in FILES
        if (name := str(path.relative_to(SRC / "maskfold"))) != "labels.py" and name not in allowed
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if pattern.search(line)
    }


def test_nobody_but_labels_asks_how_many_classes_there_are():
    assert found(COMPARED, READING | OF_IMAGES) == {}


def test_255_means_not_scored_in_files_only():
    pictures = {"report/data_charts.py"}  # levels of grey
    assert found(NOT_SCORED, READING | pictures | {"images.py"}) == {}


def test_the_patterns_find_what_they_should():
    for line in (
        "if logits.shape[1] == 1:",
        "x if classes > 1 else y",
        "if len(class_names) < 2",
        "if 1 < num_classes:",
    ):
        assert COMPARED.search(line), line
    for line in ("if mask[i] == 255", "np.where(void, label, 255)", "valid = target != 255"):
        assert NOT_SCORED.search(line), line
