"""What an autopilot did and why, as a page in Markdown."""

from pathlib import Path

from maskfold.autopilot.log import Log, Step
from maskfold.files import write_file


def write_page(log: Log, path: Path, submission: Path) -> None:
    """Write or replace the page."""
    write_file(path, page(log, submission))


def page(log: Log, submission: Path) -> str:
    """Its text."""
    total = log.hours * 3600
    lines = [
        f"# Autopilot: {log.folder.name}",
        "",
        f"{log.time_used():.0f} of {total:.0f} s used ({log.time_used() / total:.1%}). Submission: `{submission}`"
        + ("" if submission.exists() else ", not written yet")
        + ".",
        "",
        "## Steps",
        "",
        "| step | s | end | what came of it |",
        "| --- | ---: | --- | --- |",
        *(_row(step) for step in log.steps),
        "",
        "## Commands",
        "",
        "```sh",
        *(step.command for step in log.steps if step.command),
        "```",
    ]
    if reasons := log.facts.get("plan", {}).get("reasons"):
        lines += ["", "## Why this plan", "", *(f"- {reason}" for reason in reasons)]
    return "\n".join(lines) + "\n"


def _row(step: Step) -> str:
    note = step.note.replace("|", "\\|").replace("\n", " ")
    return f"| {step.name} | {step.seconds:.0f} | {step.ended or 'under way'} | {note} |"
