"""The example of docs/extending.md, as a stranger would use it: a module of one's own outside the package."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from tests.documents import ROOT, fenced

from maskfold.errors import MaskfoldError
from maskfold.extension import load_named
from maskfold.labels import Label, LabelSpec
from maskfold.losses import SegmentationLoss
from maskfold.losses.build import build_loss
from maskfold.metrics import CompetitionMetric, build_metric
from maskfold.runs import Run

PAGE = ROOT / "docs" / "extending.md"
(MODULE,) = fenced(PAGE, "python")
PROFILE, CONFIG = fenced(PAGE, "yaml")
(COMMANDS,) = fenced(PAGE, "sh")
DOORWAY = "from maskfold.cli.doorways import main; main()"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with the files of the page; `my_parts` can be imported."""
    (tmp_path / "my_parts.py").write_text(MODULE)
    (tmp_path / "my_profile.yaml").write_text(PROFILE)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_parts", None)


@pytest.mark.slow
def test_the_commands_of_the_page_use_all_four(own):
    for command in COMMANDS.splitlines():
        program, *words = command.split()
        assert program == "maskfold"
        # -P: as of an installed command, the current folder is not where Python itself looks for modules.
        done = subprocess.run(
            [sys.executable, "-P", "-c", DOORWAY, *words],
            cwd=own,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    config = yaml.safe_load((own / "runs/mine/config.yaml").read_text())
    assert config["model"]["architecture"] == "my_parts:Plain"
    assert "Brier" in (own / "runs/mine/fold_1/metrics.csv").read_text().splitlines()[0]
    summary = json.dumps(json.loads((own / "runs/mine/fold_0/summary.json").read_text()))
    assert "f2" in summary
    choice = yaml.safe_load((own / "runs/mine/ensemble.yaml").read_text())
    assert choice["metric"] == "f2"
    assert choice["post"]["steps"]["my_parts:Close"]["radius"] in (0, 1, 3)
    with (own / "submissions/mine.csv").open() as file:
        assert len(list(csv.reader(file, delimiter="\t"))) == 6


def test_the_loss_of_the_page(own):
    labels = LabelSpec("binary", ("roof",))
    loss = build_loss([{"name": "my_parts:Brier", "options": {"power": 3.0}}], labels)
    rng = np.random.default_rng(0)
    logits, target, valid = (
        rng.normal(size=(2, 1, 3, 5)),
        rng.integers(0, 2, (2, 1, 3, 5)),
        rng.random((2, 1, 3, 5)) > 0.4,
    )
    expected = (np.abs(1 / (1 + np.exp(-logits)) - target) ** 3)[valid].mean()
    total, _ = loss({"mask": torch.tensor(logits)}, {"mask": torch.tensor(target)}, torch.tensor(valid))
    assert total.item() == pytest.approx(expected)


def test_the_metric_of_the_page(own):
    metric = build_metric("my_parts:F2", LabelSpec("binary", ("roof",)))
    mask = np.array([[1, 1, 0], [1, 0, 0]], np.uint8)
    truth = np.array([[1, 0, 1], [1, 1, 1]], np.uint8)  # TP 2, FP 1, FN 3
    none = np.zeros_like(mask)
    nowhere = Label(truth, np.zeros(truth.shape, bool))
    pairs = [(mask, Label.whole(truth)), (none, Label.whole(none)), (mask, nowhere)]
    stats = np.stack([metric.image_stats(*pair) for pair in pairs])
    assert metric.per_image(stats) == pytest.approx([10 / 23, 1.0, np.nan], nan_ok=True)
    assert metric.score(stats) == pytest.approx((10 / 23 + 1) / 2)


def refusal(name, base):
    with pytest.raises(MaskfoldError) as caught:
        load_named(name, {}, "part", base)
    return str(caught.value)


def test_what_is_not_derived_or_not_whole_is_refused_by_name(own):
    assert refusal("my_parts:Plain", SegmentationLoss).startswith("the part my_parts:Plain is not a subclass of Seg")
    assert refusal("my_parts:get_encoder", SegmentationLoss).startswith("the part my_parts:get_encoder is not a sub")
    (own / "my_parts.py").write_text(MODULE.replace("def per_image", "def per_picture"))
    sys.modules.pop("my_parts", None)
    assert "my_parts:F2 lacks per_image" in refusal("my_parts:F2", CompetitionMetric)


def test_a_loss_without_the_task_is_refused(own):
    (own / "my_parts.py").write_text(MODULE.replace("self, task, power=2.0", "self").replace("= power", "= task = 2"))
    with pytest.raises(MaskfoldError, match=r"my_parts:Brier cannot be made with the task and the options \{\}: "):
        build_loss([{"name": "my_parts:Brier"}], LabelSpec("binary", ("roof",)))


def test_a_network_without_an_encoder_is_refused(own):
    from maskfold.config import load_config
    from maskfold.models import build_model

    (own / "my_parts.py").write_text(MODULE.replace("self.encoder", "self.backbone"))
    model = load_config(own / "mine.yaml").model
    with pytest.raises(MaskfoldError, match=r"my_parts:Plain has no encoder with an output_stride: set self\.encoder"):
        build_model(model, classes=1)


@pytest.mark.parametrize("name", ["os:system", "antigravity:x", "idlelib.idle:x", "a b:c", "../x:Y", ":x"])
def test_modules_of_python_itself_are_not_imported(name):
    """A stranger's config may name them, and importing some does things."""
    before = set(sys.modules)
    with pytest.raises(MaskfoldError, match="is in no module of your own: it is not imported"):
        load_named(name, {}, "metric", functions=True)
    assert set(sys.modules) == before


def test_a_run_of_others_is_looked_at_without_importing_what_it_names(tmp_path, monkeypatch):
    """Its folder is no place that modules are imported from, and opening it imports nothing."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "harm.py").write_text("raise SystemExit('it was run')")
    (folder / "config.yaml").write_text("model: {architecture: 'harm:Net'}\nloss: [{name: 'harm:Loss'}]\n")
    monkeypatch.chdir(tmp_path)
    assert Run.open(folder).config.model.architecture == "harm:Net"
    with pytest.raises(MaskfoldError, match="cannot be imported"):
        build_loss(Run.open(folder).config.loss, LabelSpec("binary", ("x",)))
    assert "harm" not in sys.modules
