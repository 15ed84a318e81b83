"""The package as others get it: a wheel, made from the source archive, in an environment and a folder of its own."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("src", "configs", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(what, folder, out):
    """Build in a copy, so that nothing is left in the checkout; returns the file."""
    command = [sys.executable, "-c", BUILD, f"build_{what}", str(out)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    (folder / "copy").mkdir()
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / "copy" / name)
    with tarfile.open(build("sdist", folder / "copy", folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return build("wheel", unpacked, folder)


@pytest.fixture(scope="module")
def maskfold(wheel, tmp_path_factory):
    """``maskfold("tune", …)`` in an empty folder and an environment that sees this one's packages, but not maskfold."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = next((folder / "venv").glob("*/python" + (".exe" if os.name == "nt" else "")))
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    # A line with a path is added to sys.path; what is in that folder's own .pth files, such as our checkout, is not.
    (Path(site) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--ignore-installed"]
    subprocess.run([*pip, "--quiet", wheel], check=True)
    (folder / "empty").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words):
        command = [python.parent / "maskfold", *words]
        done = subprocess.run(
            command, cwd=folder / "empty", env=environment, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        return done

    run.folder = folder / "empty"
    return run


@pytest.mark.slow
def test_the_wheel_holds_configs_types_and_pages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for path in (ROOT / "configs").glob("*.yaml"):
        assert f"maskfold/configs/{path.name}" in names
    data = {
        path for path in (ROOT / "src" / "maskfold").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert {str(path.relative_to(ROOT / "src")) for path in data} <= set(names)
    assert "maskfold/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"maskfold", "maskfold-0.1.0.dist-info"}


@pytest.mark.slow
def test_from_an_empty_folder_to_a_submission(maskfold):
    helped = maskfold("--help")
    assert helped.returncode == 0
    assert re.search(r"^  train-fold +Train one fold; ", helped.stdout, re.MULTILINE)
    drawn = maskfold("make-demo", "--tiles", "12", "--test-tiles", "4")
    assert drawn.stdout.splitlines()[-1] == "Next: maskfold train-fold --fold 0"
    small = ("--config", "demo", "--train.epochs", "1", "--data.crop", "64", "--data.workers", "0")
    trained = maskfold("train-fold", "--fold", "0", *small)
    assert trained.returncode == 0, trained.stderr
    assert re.match(r"Next: maskfold train-fold --config demo .*--fold 1$", trained.stdout.splitlines()[-1])
    predicted = maskfold("predict")
    assert predicted.returncode == 0, predicted.stderr
    assert "Valid submission: submissions/demo.csv" in predicted.stdout
    assert "(maskfold tune chooses them)" in predicted.stdout
    assert "src/" not in predicted.stdout


@pytest.mark.slow
def test_a_pack_predicts_where_nothing_else_is(maskfold):
    """After the runs that it was made of are gone: the same submission, byte for byte, of a folder and an archive."""
    here = maskfold.folder
    shutil.rmtree(here / "runs", ignore_errors=True)
    drawn = maskfold("make-demo", "--tiles", "10", "--test-tiles", "3", "--size", "64", "--out", "tiles")
    assert drawn.returncode == 0, drawn.stderr
    small = ("--config", "demo", "--name", "two", "--competition.root", "tiles", "--folds.count", "2")
    small += ("--train.epochs", "1", "--data.crop", "64", "--data.workers", "0")
    assert maskfold("train-all", *small).returncode == 0
    tuned = maskfold("tune", "--runs", "runs/two")
    assert tuned.returncode == 0, tuned.stderr
    for out in ("packed", "packed.zip"):
        packed = maskfold("pack", "--runs", "runs/two", "--out", out)
        assert packed.returncode == 0, packed.stderr
    assert packed.stdout.splitlines()[-1] == "Next: maskfold predict --pack packed.zip --competition.root tiles"
    assert maskfold("predict", "--runs", "runs/two", "--out", "before.csv").returncode == 0
    wanted = (here / "before.csv").read_bytes()
    shutil.rmtree(here / "runs")
    (here / "tiles").rename(here / "elsewhere")
    for pack in ("packed", "packed.zip"):
        done = maskfold("predict", "--pack", pack, "--out", f"{pack}.csv", "--competition.root", "elsewhere")
        assert done.returncode == 0, done.stderr
        assert (here / f"{pack}.csv").read_bytes() == wanted
    assert not (here / "runs").exists()


@pytest.mark.slow
def test_messages_name_the_installed_command(maskfold):
    assert "train first, maskfold train-fold --fold 0" in maskfold("report", "--runs", "none").stderr
    unknown = maskfold("tun")
    assert unknown.returncode == 2
    assert "there is no command tun: did you mean tune?" in unknown.stderr
    assert maskfold("tune", "--help").stdout.startswith("usage: maskfold tune ")


def test_what_is_imported_is_declared():
    """Every package that maskfold imports is a dependency or in an extra, and every dependency is pinned."""
    names = {
        "cv2": "opencv-python",
        "PIL": "pillow",
        "sklearn": "scikit-learn",
        "skimage": "scikit-image",
        "yaml": "pyyaml",
        "markupsafe": "jinja2",
    }  # jinja2 brings markupsafe
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dependencies, optional = (
        {re.match(r"[\w-]+", text)[0] for text in declared}
        for declared in (project["dependencies"], chain(*project["optional-dependencies"].values()))
    )
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    found = set(re.findall(r"^ *(?:from|import) (\w+)", source, re.MULTILINE))
    standard = sys.stdlib_module_names | {"maskfold"}
    imported = {names.get(name, name.replace("_", "-")) for name in found & set(_installed()) - standard}
    assert imported <= dependencies | optional
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert dependencies <= pinned


def _installed():
    from importlib.metadata import packages_distributions

    return packages_distributions()
