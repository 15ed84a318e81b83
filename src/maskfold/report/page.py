"""The page: templates, style and script in one HTML file that asks nothing of the network."""

import math
from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from maskfold.config import Config, changed_keys
from maskfold.drawing import BINARY, ERRORS, class_colours
from maskfold.errors import ReportError
from maskfold.inference.decoding import tunable_values
from maskfold.inference.decoding.options import for_each_class
from maskfold.labels import MANY_CLASSES, LabelSpec
from maskfold.report.advice import advise
from maskfold.report.chart import Chart
from maskfold.report.chosen import chosen_parts
from maskfold.report.evidence import LEVELS, layer_names
from maskfold.report.figures import (
    coverage_chart,
    curve_chart,
    further_charts,
    label_of,
    learning_charts,
    presence_chart,
    reliability_chart,
    score_chart,
)
from maskfold.report.gallery import MOST_SUSPECTS, Card, suspects
from maskfold.report.gather import Findings
from maskfold.report.score_tables import calibration_table

# What the columns of the fine-grained table are, in the order shown.
FINE_GRAINED = {
    "d": "all pixels of the set together, then the mean over classes",
    "i": "image by image, then the mean over images",
    "c": "class by class over its images, then the mean over classes",
}


def report_page(findings: Findings, cards: list[Card]) -> str:
    """The whole page."""
    classes = findings.survey.metrics.per_class()
    return render_page(
        "report.html",
        script="page.js",
        title="Report: " + " + ".join(training.run.name for training in findings.trainings),
        f=findings,
        label=label_of(findings.metric.name),
        settings=_settings(findings),
        advice=advise(findings),
        charts=_charts(findings),
        fine=findings.survey.metrics.compute(),
        classes=classes,
        class_ends=_class_ends(classes),
        fine_grained=FINE_GRAINED,
        suspects=suspects(findings.table).head(MOST_SUSPECTS),
        cards=cards,
        legend=_legend(findings),
        looks=_looks(findings),
        chosen=chosen_parts(findings),
        targets=_targets(findings),
        configs=_configs(findings),
    )


def refuse_other_suffix(path: Path) -> None:
    """Raise a `ReportError` unless a page's name ends in .html or .htm."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ReportError(f"the page's name is {path}: expected one ending in .html")


def render_page(template: str | Path, *, script: str = "", **context: Any) -> str:
    """A page made of a template that extends ``base.html``; whatever is put in is escaped. ``made`` is the time.

    Args:
        template: the name of one of this package's, or another one's file.
        script: the asset that the page runs beside ``common.js``, if any.
        context: what the template shows.
    """
    environment = Environment(
        loader=PackageLoader("maskfold.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": score_text, "percent": percent_text, "count": "{:,}".format}
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    assets = {"style": _asset("page.css"), "common": _asset("common.js"), "script": _asset(script) if script else ""}
    found = (
        environment.from_string(template.read_text(encoding="utf-8"))
        if isinstance(template, Path)
        else environment.get_template(template)
    )
    return found.render(**assets, made=made, **context)


def score_text(value: float | None) -> str:
    """Four decimals, or a dash where there is no number."""
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def percent_text(share: float) -> str:
    """A share as per cent, small ones with more digits."""
    if math.isnan(share):
        return "–"
    digits = 0 if share in (0, 1) else 1 if share >= 0.001 else 3
    return f"{100 * share:.{digits}f}\u00a0%"


def _charts(findings: Findings) -> dict[str, list[Chart]]:
    label = label_of(findings.metric.name)
    per_image = findings.table["score"].to_numpy()
    reliability = (
        ("probability of foreground", "share labelled as foreground")
        if findings.thresholded
        else ("probability of the class chosen", "share that is right")
    )
    learning = {
        training.run.path: learning_charts(training.history, label, training.cycle_ends)
        for training in findings.trainings
    }
    return {
        **{f"learning {path}": charts for path, charts in learning.items()},
        **{f"further {t.run.path}": further_charts(t.history, t.cycle_ends) for t in findings.trainings},
        "curves": [curve_chart(curve, label) for curve in findings.scores.curves],
        "scores": [score_chart(per_image, label), coverage_chart(findings.coverage, findings.table, label)],
        "calibration": [
            reliability_chart(
                {name: calibration_table(metrics) for name, metrics in findings.survey.calibration.items()},
                *reliability,
            )
        ],
        "presence": [] if findings.presence is None else [presence_chart(findings.presence, _gates(findings))],
    }


def _gates(findings: Findings) -> list[float]:
    """The gates on the presence that rule anything out."""
    gates = for_each_class(findings.choice.post.presence, findings.competition.labels, "post.presence")
    return sorted({float(gate) for gate in gates if gate})


def _looks(findings: Findings) -> dict[str, Any]:
    """What the script needs to draw the gallery's pictures at another threshold."""
    labels = findings.competition.labels
    levels = for_each_class(findings.choice.post.threshold, labels, "post.threshold")
    names = layer_names(labels)
    chosen = [0.0] if labels.exclusive else [float(level) for level in levels]
    return {
        "layers": names,
        "levels": LEVELS,
        "exclusive": labels.exclusive,
        "chosen": [round(level * LEVELS) for level in (chosen if len(chosen) == len(names) else chosen[:1])],
        "mask": [list(colour) for colour in BINARY],
        "errors": [list(colour) for colour in ERRORS],
    }


def aims(config: Config) -> Iterator[str]:
    """What a run learned from beside, or instead of, each image's own mask."""
    data, targets = config.data, config.targets
    if targets.annotators is not None:
        yield f"masks by several annotators ({', '.join(targets.annotators.masks)}), {targets.annotators.merge}"
    if targets.teacher is not None:
        yield "probabilities of other runs' networks"
    if targets.smoothing.uniform or targets.smoothing.boundary:
        everywhere, along = targets.smoothing.uniform, targets.smoothing.boundary
        yield f"smoothed masks (everywhere {everywhere:g}, along boundaries {along:g} px)"
    yield from targets.sources
    if any(data.label_shift):
        down, right = data.label_shift
        yield f"masks moved back from where they stand, {down:+g} px down and {right:+g} px right of what images show"
    if data.mix is not None:
        yield f"mixtures of images and their masks ({data.mix.recipe}, {percent_text(data.mix.share)} of the images)"
    if data.extra:
        yield f"pseudo-labels ({', '.join(map(str, data.extra))})"
    if config.semi is not None:
        yield "what the moving average of its own weights made of images without labels"


def _targets(findings: Findings) -> list[str]:
    """Of each run that did not learn from the masks alone, what else it aimed at."""
    said = [(training.run.name, "; ".join(aims(training.run.config))) for training in findings.trainings]
    return [f"{name} aimed at {text}. Validation and scores are on the masks." for name, text in said if text]


def _settings(findings: Findings) -> list[str]:
    """Every value of the decoding chain with what it is called, in order."""
    post = findings.choice.post
    return [f"{value.title} {value.value(post)}" for value in tunable_values(post, findings.competition.labels, {})]


def _legend(findings: Findings) -> list[tuple[str, str]]:
    """(colour, meaning) of the masks' and error pictures' colours, as CSS writes them."""
    if findings.binary:
        meanings = {1: "right", 2: "predicted, not labelled", 3: "labelled, not predicted"}
        return [(css_colour(ERRORS[number]), meaning) for number, meaning in meanings.items()]
    labelled = findings.survey.metrics.counts[..., [0, 2]].sum((0, 2))
    overlapping = not findings.competition.labels.exclusive
    moved = {2: "slider: predicted, not labelled", 3: "slider: labelled, not predicted"} if overlapping else {}
    return [
        *class_legend(findings.competition.labels, labelled),
        *((css_colour(ERRORS[number]), meaning) for number, meaning in moved.items()),
        (css_colour(ERRORS[4]), "wrong class"),
        (css_colour(ERRORS[5]), "not scored"),
    ]


def class_legend(labels: LabelSpec, pixels: np.ndarray) -> list[tuple[str, str]]:
    """(colour, name) of the classes, as CSS writes it; of many classes those with the most ``pixels``."""
    colours = [(css_colour(colour), name) for colour, name in class_colours(labels)]
    if len(pixels) <= MANY_CLASSES:
        return colours
    first = len(colours) - len(pixels)  # where classes overlap, a colour of none of them
    largest = np.sort(np.argsort(-pixels, kind="stable")[:MANY_CLASSES])
    shown = [*colours[:first], *(colours[first + place] for place in largest)]
    return [*shown, ("transparent", f"{len(colours) - len(shown)} more")]


def _class_ends(classes: pd.DataFrame) -> str:
    """The classes of the lowest and the highest IoU, where there are so many that a table of all is folded away."""
    if len(classes) <= MANY_CLASSES:
        return ""
    ordered = classes["iou_d"].dropna().sort_values(kind="stable")
    named = [f"{name} {score:.4f}" for name, score in ordered.items()]
    half = min(8, len(named) // 2)
    return f"{', '.join(named[:half])} … {', '.join(named[len(named) - half :])}; the median is {ordered.median():.4f}"


def css_colour(colour: tuple[int, ...]) -> str:
    """RGB as CSS writes it; opacity is dropped."""
    return "rgb({} {} {})".format(*colour[:3])


def _configs(findings: Findings) -> list[dict[str, Any]]:
    """Name, YAML and, for further runs, what differs from the first one."""
    first = findings.trainings[0].run
    return [
        {
            "name": training.run.name,
            "text": training.run.config_text(),
            "changes": [] if training.run is first else changed_keys(first.config, training.run.config),
            "ensemble": yaml.safe_dump(findings.choice.model_dump(mode="json"), sort_keys=False),
        }
        for training in findings.trainings
    ]


def _asset(name: str) -> Markup:
    return Markup((files("maskfold.report") / "assets" / name).read_text(encoding="utf-8"))
