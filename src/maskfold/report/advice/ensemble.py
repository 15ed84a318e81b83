"""What checkpoints, views and settings suggest."""

from collections.abc import Iterator

from maskfold.report.advice.advice import Advice
from maskfold.report.findings import Findings


def untuned(findings: Findings) -> Iterator[Advice]:
    """Nothing was tuned, or another threshold or minimum area scores higher."""
    runs = " ".join(str(training.run.path) for training in findings.trainings)
    gains = [f"{curve.name} {curve.best:g} scores {curve.gain:+.4f}" for curve in findings.scores.curves]
    if not findings.tuned:
        said = f" On these images {' and '.join(gains)} against the present ones." if gains else ""
        yield Advice(
            "Tune the ensemble",
            f"Checkpoint, weights, threshold and minimum area are those of the config.{said}",
            f"python src/tune.py --runs {runs}",
        )


def threshold_at_the_border(findings: Findings) -> Iterator[Advice]:
    """The chosen threshold is the outermost of those tried."""
    tried = findings.trainings[0].run.config.tune.thresholds
    chosen = findings.choice.threshold
    if findings.tuned and findings.binary and len(tried) > 1 and chosen in (min(tried), max(tried)):
        yield Advice(
            "Try thresholds further out",
            f"The threshold chosen, {chosen:g}, is the outermost of those tried ({min(tried):g} to {max(tried):g}).",
            f"--tune.thresholds with values beyond {chosen:g}",
        )


def views(findings: Findings) -> Iterator[Advice]:
    """What the test-time views gain or cost, of the checkpoints whose maps training stored."""
    for training in findings.trainings:
        stored, options = training.with_views, training.run.config.inference
        if stored.empty or training.checkpoint not in stored.index:
            continue
        folds = list(stored.columns)
        gain = (stored.loc[training.checkpoint] - training.candidates.loc[training.checkpoint, folds]).mean()
        if options.views == "none":
            yield Advice(
                "Try test-time views",
                f"{training.run.name}: predictions are made of one view only (inference.views none).",
                f"python src/predict.py --runs {training.run.path} --oof --inference.views flips",
            )
        elif gain < -0.002:
            yield Advice(
                "Predict without views",
                f"{training.run.name}: with views '{options.views}' checkpoint '{training.checkpoint}' scores "
                f"{gain:+.4f} "
                f"(mean of folds {', '.join(map(str, folds))}, threshold 0.5).",
                f"python src/tune.py --runs {training.run.path} --inference.views none",
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
        f"alone with {best['score']:.4f} ({gain:+.4f}).",
        "tuning weighs the runs; those that differ more (another encoder, loss or seed) add more to each other",
    )
