"""A plan as a YAML file: each value below the comment that says why."""

import textwrap
from typing import Any

import yaml

from maskfold.config import Config
from maskfold.planning.plan import Plan

WIDTH = 118
ALWAYS = ("valid_share", "seed")  # keys of the folds that are written even where they are the usual ones


def plan_yaml(plan: Plan, base: Config) -> str:
    """The file's text; ``base`` gives the competition, and of ``folds`` what was not decided."""
    lines = [line for fact in plan.facts for line in _comment(fact, "")]
    given, usual = base.model_dump(mode="json"), Config().model_dump(mode="json")
    tree: dict[str, list[str]] = {"competition": [], "folds": []}
    tree["competition"] += [
        f"  {key}: {_flow(value)}"
        for key, value in given["competition"].items()
        if key == "profile" or value != usual["competition"][key]
    ]
    tree["folds"] += [
        f"  {key}: {_flow(value)}"
        for key, value in given["folds"].items()
        if f"folds.{key}" not in plan.values and (key in ALWAYS or value != usual["folds"][key])
    ]
    for key, reason in plan.values.items():
        section, _, name = key.partition(".")
        indent = "  " if name else ""
        block = [*_comment(reason.why, indent), f"{indent}{name or section}: {_flow(reason.value)}"]
        tree.setdefault(section, []).extend(block)
    for section, block in tree.items():
        lines += block if section == "loss" else [f"{section}:", *block]
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: str) -> list[str]:
    before = f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=before, subsequent_indent=before, break_on_hyphens=False)


def _flow(value: Any) -> str:
    """On one line, as YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
