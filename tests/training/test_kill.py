"""Killed at any instant, the same command goes on and ends with the same bits."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from maskfold.runs import Run

SRC = Path(__file__).parents[2] / "src"
OVERRIDES = {
    "model.encoder": "mobilenet_v2",
    "model.encoder_weights": "null",
    "model.options": "{encoder_depth: 3, decoder_channels: [16, 8, 8], decoder_use_norm: batchnorm}",
    "model.deep_supervision": "2",
    "model.presence": "true",
    "model.hypercolumns": "true",
    "model.dropout": "0.2",
    "data.crop": "32",
    "data.workers": "1",
    "data.augment": "d4_color",
    "folds.count": "2",
    "schedule.name": "snapshot",
    "schedule.cycles": "2",
    "averaging.ema": "0.9",
    "averaging.swa_start": "0.4",
    "averaging.bn_batches": "2",
    "optim.name": "lookahead_adamw",
    "train.epochs": "4",
    "train.batch_size": "3",
    "train.precision": "fp32",
    "train.trackers": "[]",
    "train.oof_checkpoints": "6",
    "tta.views": "flips",
    "tta.dropout_passes": "2",
}

WAYS = {
    "adversarial": {"adversarial.weight": "0.1", "adversarial.ramp_epochs": "3", "adversarial.width": "4"},
    "semi": {"semi.threshold": "0.55", "semi.ramp_epochs": "3", "semi.unlabelled_per_batch": "2"},
}
COLUMNS = {"adversarial": {"adversarial", "discriminator"}, "semi": {"consistency", "confident"}}

# The script itself, with one function replaced by one that kills the process at a chosen moment.
DYING = """
import os, runpy, signal, sys
from {module} import {name} as place
calls = 0
def dying(*arguments, **options):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
original, place.{function} = place.{function}, dying
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def train(folder: Path, drawn: Path, way: str, kill: tuple[str, str, int] | None = None) -> int:
    script = str(SRC / "train_fold.py")
    words = ["--fold", "1", "--name", "killed", "--config", "x.yaml"]
    words += [word for key, value in (OVERRIDES | WAYS[way]).items() for word in (f"--{key}", value)]
    (folder / "x.yaml").write_text(f"competition: {{root: {drawn}}}\n")
    command = [sys.executable, script, *words]
    if kill is not None:
        place, function, call = kill
        module, _, name = f"maskfold.training.{place}".rpartition(".")
        code = DYING.format(module=module, name=name, function=function, call=call)
        command = [sys.executable, "-c", f"import sys; sys.argv = {[script, *words]!r}\n{code}"]
    environment = {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def results(folder: Path) -> dict[str, bytes]:
    fold = folder / "runs" / "killed" / "fold_1"
    kept = [
        *fold.glob("*.safetensors"),
        fold / "metrics.csv",
        fold / "manifest.json",
    ]
    stores = {path.name: Run(fold.parent).fold(1).oof(path.name) for path in fold.glob("oof/*")}
    # What the second network ends with influences no checkpoint any more.
    second = Run(fold.parent).fold(1).load_state()["modules"].get("discriminator", {})
    weights = {f"discriminator.{name}": tensor.numpy().tobytes() for name, tensor in second.items()}
    both = [(name, store, image_id) for name, store in stores.items() for image_id in store.ids()]
    maps = {f"{name} {i}": store.read(i).tobytes() + store.presence(i).tobytes() for name, store, i in both}
    return {str(path.relative_to(fold)): path.read_bytes() for path in kept} | weights | maps


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_sigkill_inside_an_epoch_and_inside_the_end_changes_nothing(way, drawn, tmp_path):
    smooth, killed = tmp_path / "smooth", tmp_path / "killed"
    smooth.mkdir()
    killed.mkdir()
    assert train(smooth, drawn, way) == 0
    # 9 training images in batches of 3: the 5th batch is inside epoch 2.
    assert train(killed, drawn, way, ("step.Supervised", "__call__", 5)) == -signal.SIGKILL
    assert len(pd.read_csv(killed / "runs/killed/fold_1/metrics.csv")) == 1
    # Epochs 2 to 4 again; then death while candidates are scored.
    assert train(killed, drawn, way, ("candidates", "validate", 3)) == -signal.SIGKILL
    assert not (killed / "runs/killed/fold_1/summary.json").exists()
    assert train(killed, drawn, way) == 0

    wanted, found = results(smooth), results(killed)
    checkpoints = {"best", "ema", "swa", "snapshot_1", "snapshot_2"}
    assert {f"{checkpoint}.safetensors" for checkpoint in checkpoints} <= wanted.keys()
    assert sum(" " in name for name in wanted) == 6 * 9, "six checkpoints, nine validation images"
    columns = pd.read_csv(killed / "runs/killed/fold_1/metrics.csv").columns
    terms = {"deep_1_bce", "deep_1_dice", "deep_2_bce", "deep_2_dice", "presence_bce"}
    assert terms | COLUMNS[way] <= set(columns)
    assert wanted.keys() == found.keys()
    assert [name for name in wanted if wanted[name] != found[name]] == []
    assert len(pd.read_csv(killed / "runs/killed/fold_1/metrics.csv")) == 4
