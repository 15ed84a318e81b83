"""Networks as files that other programs run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from maskfold.ensembling.export import export_ensemble
from maskfold.runs import Run
from maskfold.steps.choose import choose
from maskfold.steps.places import export_path
from maskfold.steps.together import open_together


def export(
    runs: Run | Sequence[Run],
    out: Path | None = None,
    *,
    form: Literal["onnx", "torchscript"] = "onnx",
    folds: Sequence[int | str] | None = None,
    checkpoint: str | None = None,
    untuned: bool = False,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write one file that makes probabilities of images: the mean of the networks that `maskfold.predict` would use.

    Normalisation and padding are inside, views and decoding are not; batch, height and width are free.

    Args:
        runs: one run, or several that were tuned together.
        out: file to write; None: ``RUN.onnx`` or ``RUN.pt`` in the run's folder.
        form: the file's.
        folds: whose networks are averaged; None: all that are trained.
        checkpoint: best, ema, swa, snapshots …; None: as tuned, else as in the config.
        untuned: leave the tuned ensemble aside.
        overrides: dotted keys of the first run's config that matter here, ``{"tta.merge": "logits"}``.
        overwrite: replace ``out`` if it exists.

    Returns:
        The file's path.

    Raises:
        ExportError: packages that are missing, ``out`` exists, networks that cannot be exported, or a file that differs
            from them by more than 1e-3 in a probability (then there is no file).
        MaskfoldError: as `maskfold.predict`.
    """
    path = export_path(runs, form, out, overwrite=overwrite)
    changes = {**(overrides or {}), **({"inference.checkpoint": checkpoint} if checkpoint else {})}
    runs, config, competition = open_together(runs, changes)
    choice = choose(runs, config, set(changes), untuned=untuned)
    written = export_ensemble(choice, runs, competition, path, form=form, folds=folds)
    count = "1 network" if written.networks == 1 else f"the mean of {written.networks} networks"
    print(
        f"Exported: {written.path} ({written.path.stat().st_size / 1e6:.1f} MB, {count}). On a real image at two sizes "
        f"its probabilities differ from torch's by at most {written.difference:.1g}."
    )
    return written.path
