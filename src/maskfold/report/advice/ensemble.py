"""What checkpoints, views and settings suggest."""

from collections.abc import Iterator

from maskfold.program import command_line
from maskfold.report.advice.advice import Advice, tune_command
from maskfold.report.gather import Findings


def untuned(findings: Findings) -> Iterator[Advice]:
    """Nothing was tuned; other values of the decoding chain may score higher."""
    if findings.tuned:
        return
    gains = [
        f"{curve.name} {curve.best:g} scores {curve.gain:+.4f}" for curve in findings.scores.curves if curve.gain > 0
    ]
    said = f" On these images {' and '.join(gains)} against the present ones." if gains else ""
    yield Advice(
        "Tune the ensemble",
        f"Checkpoint, weights and decoding are those of the config.{said}",
        tune_command(findings),
    )


def at_the_border(findings: Findings) -> Iterator[Advice]:
    """A chosen value is the outermost of those tried; 0, which is nothing done, has no further ones."""
    for curve in findings.scores.curves if findings.tuned else []:
        tried, chosen = curve.value.tried, curve.chosen
        if len(tried) < 2 or chosen not in (tried[0], tried[-1]) or chosen == 0:
            continue
        step = chosen - (tried[1] if chosen == tried[0] else tried[-2])
        further = [round(chosen + step * k, 6) for k in (1, 2)]
        values = sorted([chosen - step, chosen, *(value for value in further if curve.value.allows(value))])
        yield Advice(
            f"Try further values of {curve.name}",
            f"The {curve.title} chosen, {chosen:g}, is the outermost of those tried ({tried[0]:g} to {tried[-1]:g}).",
            tune_command(findings, tune__tried=curve.value.as_tried(values)),
        )


def views(findings: Findings) -> Iterator[Advice]:
    """What the test-time views gain or cost, of the checkpoints whose maps training stored."""
    for training in findings.trainings:
        stored, tta = training.with_views, training.run.config.tta
        if stored.empty or training.checkpoint not in stored.index:
            continue
        folds = list(stored.columns)
        gain = (stored.loc[training.checkpoint] - training.candidates.loc[training.checkpoint, folds]).mean()
        if tta.views == "none":
            yield Advice(
                "Try test-time views",
                f"{training.run.name}: predictions are made from one view only (tta.views none).",
                command_line("predict", "--runs", str(training.run.path), "--oof", "--tta.views", "flips"),
            )
        elif gain < -0.002:
            yield Advice(
                "Predict without views",
                f"{training.run.name}: with views '{tta.views}' checkpoint '{training.checkpoint}' scores "
                f"{gain:+.4f} "
                f"(mean of folds {', '.join(map(str, folds))}, threshold 0.5).",
                command_line("tune", "--runs", str(training.run.path), "--tta.views", "none"),
            )


def several_runs(findings: Findings) -> Iterator[Advice]:
    """Whether the further runs differ from the first, and whether together they are better than the best."""
    if len(findings.runs) < 2:
        return
    best = findings.runs.loc[findings.runs["score"].idxmax()]
    gain = findings.plain_score - best["score"]
    together = "better" if gain > 0 else "no better"
    yield Advice(
        "Keep together what helps" if gain > 0 else f"Consider {best['name']} alone",
        f"Together, with equal weights, the runs score {findings.plain_score:.4f}, {together} than {best['name']} "
        f"alone with {best['score']:.4f} ({gain:+.4f}). Tuning weighs the runs; those that differ more (another "
        "encoder, loss or seed) add more to each other.",
        tune_command(findings),
    )
