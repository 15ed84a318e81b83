"""One piece of advice, and the commands that it may end in."""

import json
from dataclasses import dataclass
from typing import Any

from maskfold.program import command_line
from maskfold.report.gather import Findings
from maskfold.runs import Run


@dataclass(frozen=True)
class Advice:
    """One thing to try: in a word, the figures that speak for it, and the command to do it with."""

    title: str
    figures: str
    action: str


def train_command(run: Run, suffix: str = "", **changes: Any) -> str:
    """All folds of a run; or of another run, named after it, with other values (dotted keys with ``__``)."""
    words = ["--config", str(run.config_path)]
    if suffix:
        words += ["--name", f"{run.name}_{suffix}"]
    for key, value in changes.items():
        words += [f"--{key.replace('__', '.')}", value if isinstance(value, str) else json.dumps(value)]
    return command_line("train-all", *words)


def tune_command(findings: Findings, **changes: Any) -> str:
    """Tuning of the report's runs, with other values (dotted keys with ``__``)."""
    words = ["--runs", *(str(training.run.path) for training in findings.trainings)]
    for key, value in changes.items():
        words += [f"--{key.replace('__', '.')}", value if isinstance(value, str) else json.dumps(value)]
    return command_line("tune", *words)


def check_command(findings: Findings) -> str:
    """A page of what the data hold: copies, groups, suspicious masks."""
    words = ["--config", str(findings.trainings[0].run.config_path), "--html"]
    return command_line("check-data", *words)
