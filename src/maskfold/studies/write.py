"""The results of a study for people: Markdown, and a page that asks nothing of the network."""

import math
import os
import platform
import re
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from maskfold.config import Config, changed_keys, load_config
from maskfold.ensembling.finished import OPTIMISTIC
from maskfold.files import write_file
from maskfold.report.page import render_page
from maskfold.studies.chart import difference_charts, difference_text
from maskfold.studies.plan import Plan
from maskfold.studies.results import Figure, Results, Row
from maskfold.studies.study import WINNER
from maskfold.training.forecast import duration


def write_results(plan: Plan, results: Results) -> None:
    """Write ``results.md`` and ``results.html`` into the study's folder."""
    pages = {"results.md": markdown(plan, results), "results.html": page(plan, results)}
    for name, text in pages.items():
        write_file(plan.folder / name, text)


def document(path: Path, name: str, section: str) -> None:
    """Put a study's section into a document, in the place of an older one or at its end; all else stays."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Experiments\n"
    head, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    titles = [each.partition("\n")[0] for each in sections]
    if f"## {name}" in titles:
        sections[titles.index(f"## {name}")] = section
    else:
        sections.append(section)
    write_file(path, "\n\n".join(part.strip() for part in (head, *sections)) + "\n")


def markdown(plan: Plan, results: Results) -> str:
    """The table with its head and notes."""
    lines = [f"## {plan.folder.name}", "", plan.study.about.strip(), "", _setting(plan, results), ""]
    head, *rows = [f"| {' | '.join(map(_cell, row))} |" for row in table(results)]
    lines += [head, "| --- " * len(table(results)[0]) + "|", *rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(plan, results)), ""])


def page(plan: Plan, results: Results) -> str:
    """The same as a page."""
    head, *rows = table(results)
    differences = {row.name: found for row in results.rows if (found := row.figures[0].difference) is not None}
    return render_page(
        "study.html",
        title=f"Study: {plan.folder.name}",
        about=plan.study.about.strip(),
        setting=_setting(plan, results),
        head=head,
        rows=rows,
        charts=difference_charts(results.columns[0], differences),
        kept=[place for place, row in enumerate(results.rows) if row.verdict.partition(":")[0] == "keep"],
        notes=notes(plan, results),
    )


def table(results: Results) -> list[list[str]]:
    """The head, then a row per variant, as text."""
    score, *others = results.columns
    promised = ["out of fold, 95 % interval"] if any(row.out_of_fold for row in results.rows) else []
    head = [
        "variant",
        score,
        *promised,
        "against",
        f"difference of {score}, 95 % interval",
        "verdict",
        *others,
        "a training",
    ]
    return [head, *(_row(row) for row in results.rows)]


def notes(plan: Plan, results: Results) -> list[str]:
    """What must be known to read the table."""
    study, seeds = plan.study, len(plan.study.seeds)
    over = "images" if results.groups == results.images else f"{results.groups} groups of images"
    found = [
        "Differences are paired; intervals are 95 % of bootstraps over " + over + (" and seeds" if seeds > 1 else "")
    ]
    found[0] += "." if seeds > 1 else ". One seed: what another one would change is not in them."
    if len(results.columns) > 1:
        less = f" Of {', '.join(results.lower)} less is better." if results.lower else ""
        found.append(f"Further columns have the value and, in brackets, the difference and its interval.{less}")
    found += [f"{row.name}{OPTIMISTIC}" for row in results.rows if row.optimistic]
    if results.chosen and study.search is not None:
        told = ", ".join(f"{key} {value}" for key, value in results.chosen.items())
        chosen_on = f"{study.search.trials} trials on folds {_listed(study.search.folds)}"
        found.append(f"{WINNER}: {told}; the best of {chosen_on}, here on others.")
    if results.missing:
        found.append(f"Not trained to the end: {', '.join(results.missing)}.")
    return found


def _setting(plan: Plan, results: Results) -> str:
    """Budget, data, machine."""
    study = plan.study
    changed = "; ".join(_changes(load_config(study.config), plan.common)) or "as it is"
    where = "images scored out of fold" if study.truth is None else "test images, scored with all folds together"
    return (
        f"Config `{study.config}` ({changed}); folds {_listed(study.folds)}, seeds {_listed(study.seeds)}; "
        f"{results.images} {where}. {date.today()}, {', '.join(results.devices)}, "
        f"{platform.machine()} with {os.cpu_count()} cores, torch {version('torch')}."
    )


def _changes(base: Config, common: Config) -> list[str]:
    free = ("name:", "competition.root:", "data.workers:", "train.trackers:")
    return [change.replace(": ", " ", 1) for change in changed_keys(base, common) if not change.startswith(free)]


def _row(row: Row) -> list[str]:
    score, *others = row.figures
    difference = "" if score.difference is None else difference_text(score.difference)
    promised = [] if row.out_of_fold is None else [_interval(*row.out_of_fold)]
    cells = [row.name, _number(score.value), *promised, row.against or "", difference, row.verdict]
    return [*cells, *(_with_difference(figure) for figure in others), duration(row.seconds)]


def _with_difference(figure: Figure) -> str:
    return _number(figure.value) + ("" if figure.difference is None else f" [{difference_text(figure.difference)}]")


def _interval(value: float, low: float, high: float) -> str:
    return f"{_number(value)} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _listed(numbers: Sequence[int] | str) -> str:
    return numbers if isinstance(numbers, str) else ", ".join(map(str, numbers))
