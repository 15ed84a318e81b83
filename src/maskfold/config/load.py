"""From a YAML file and dotted overrides to a `Config`, with errors that name the nearest key."""

import os
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from maskfold.config.schema import Config
from maskfold.config.section import PER_CLASS_TAGS, AutoWord
from maskfold.config.shipped import find_config
from maskfold.errors import ConfigError, YamlError, nearest, os_reason
from maskfold.yaml_text import load_yaml

MADE_WITH = "made_with"  # in a run's config.yaml: how it was made, not what it asks for
# Bytes of a run's name; a file system takes 255, of which files that are named after it need some.
LONGEST_NAME = 200
COMMAND_LINE = "the command line"


def load_config(
    path: Path | str | None, overrides: Mapping[str, Any] | None = None, *, name: str | None = None
) -> Config:
    """Read a config (None: all defaults), apply dotted ``overrides`` such as ``{"train.epochs": "3"}``.

    ``path`` is a YAML file (a run's ``config.yaml`` too), or the name of a config that comes with maskfold, such as
    ``demo``. Override values that are strings are read as YAML, as in the file. The run's name is ``name``, else the
    file's own ``name``, else the file's stem.

    Raises:
        ConfigError: missing or malformed file, unknown key (the nearest valid one is named), wrong type or
            value out of range.
    """
    path = None if path is None else find_config(path)
    tree = _overridden(read_yaml(path) if path else {}, overrides or {})
    tree.pop(MADE_WITH, None)
    if name:
        tree["name"] = name
    tree.setdefault("name", path.stem if path else "default")
    _check_name(tree["name"])
    return config_from_tree(tree, source=str(path) if path else COMMAND_LINE, given=overrides or ())


def override(config: Config, overrides: Mapping[str, Any]) -> Config:
    """``config`` with dotted overrides applied, as in `load_config`."""
    return config_from_tree(_overridden(config.model_dump(), overrides), source=COMMAND_LINE)


def config_from_tree(tree: Mapping[str, Any], *, source: str, given: Collection[str] = ()) -> Config:
    """Validate a nested mapping; errors name ``source``, or the command line where all are of keys ``given`` there."""
    try:
        return Config.model_validate(dict(tree))
    except ValidationError as error:
        if all(_is_given(_key(item), given) for item in error.errors()):
            source = COMMAND_LINE
        raise ConfigError(f"{source}:{list_problems(error, option_keys())}") from None


def list_problems(error: ValidationError, known: Sequence[str], what: str = "a config") -> str:
    """What does not fit the schema of ``what``, of which ``known`` are the dotted keys, to stand behind ``FILE:``."""
    problems = [_explain(item, known, what) for item in error.errors()]
    return f" {problems[0]}" if len(problems) == 1 else "".join(f"\n  {problem}" for problem in problems)


def config_yaml(config: Config, **facts: Any) -> str:
    """``config`` as a YAML file, and ``facts`` about its making (versions, commit) under `MADE_WITH`."""
    tree = config.model_dump(mode="json")
    if facts:
        tree[MADE_WITH] = facts
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def changed_keys(old: Config, new: Config) -> list[str]:
    """Dotted keys whose values differ, as ``key: old -> new``."""
    return changed_values(*(dict(flatten(config.model_dump(mode="json"))) for config in (old, new)))


def changed_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Keys of two mappings, such as flattened trees, whose values differ, as ``key: old -> new``."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return [f"{key}: {_shown(before.get(key))} -> {_shown(after.get(key))}" for key in keys]


def _shown(value: Any) -> str:
    """A value as one would write it into a config."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, leaf)`` of a nested mapping."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def describe_options(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """Yield ``(dotted key, type, default, description)`` of every option, in the order of the schema.

    A section that may be absent is an option itself, followed by its own. The default is `...` where there is none.
    """
    for key, field in model.model_fields.items():
        section = _section(field.annotation)
        default = ... if field.is_required() else field.get_default(call_default_factory=True)
        if section is None or default is None:
            auto = " or auto" if AutoWord in field.metadata else ""
            yield f"{prefix}{key}", f"{_type_name(field.annotation)}{auto}", default, field.description or ""
        if section is not None:
            yield from describe_options(section, f"{prefix}{key}.")


def option_keys() -> list[str]:
    """All dotted keys that may be overridden, those of optional sections included."""
    return list(_all_keys(Config))


def _all_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for key, field in model.model_fields.items():
        yield f"{prefix}{key}"
        section = _section(field.annotation)
        if section is not None:
            yield from _all_keys(section, f"{prefix}{key}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    origin = get_origin(annotation)
    if origin is Annotated:
        return _type_name(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return " or ".join("null" if arg is type(None) else _type_name(arg) for arg in get_args(annotation))
    if origin is Literal:
        return ", ".join(map(str, get_args(annotation)))
    return {tuple: "list", dict: "mapping", str: "text", Path: "path"}.get(
        origin or annotation, getattr(origin or annotation, "__name__", "any")
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigError: it is not valid YAML, holds something else, or is a profile.
    """
    try:
        tree = load_yaml(path.read_bytes())
    except YamlError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {os_reason(error)}") from None
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError(f"{path} holds a {type(tree).__name__}, a config is a mapping of sections such as 'train:'")
    if tree and "layout" in tree:
        raise ConfigError(
            f"{path} is a profile, which describes a competition's files, not a config: give it as "
            f"--competition.profile {path}"
        )
    return tree or {}


def _parse(key: str, text: str) -> Any:
    try:
        return load_yaml(text)
    except YamlError as error:
        shown = f"{text[:60]}…" if len(text) > 60 else text
        raise ConfigError(f"the value of --{key}, '{shown}', is not valid YAML: {error}") from None


def _overridden(tree: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in overrides.items():
        _set(tree, key, _parse(key, value) if isinstance(value, str) else value)
    return tree


def _set(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, key = dotted.split(".")
    for section in sections:
        if not isinstance(tree.get(section), dict):
            tree[section] = {}
        tree = tree[section]
    tree[key] = value


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or name.startswith((".", "=", "@", "-")) or set(name) & set("/\\\0+"):
        raise ConfigError(
            f"the run's name is {name!r}: it names a folder, so it must not be empty, start with . = @ - or hold / \\ +"
        )
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise ConfigError(
            f"the run's name has {len(os.fsencode(name))} bytes ({name[:40]}…): it names a folder, so it must have at "
            f"most {LONGEST_NAME}; give a shorter --name"
        )


def _is_given(key: str, given: Collection[str]) -> bool:
    """Whether a wrong key is one of those, is in one, or is the unknown section of one."""
    return any(f"{key}.".startswith(f"{each}.") or each.startswith(f"{key}.") for each in given)


def _key(item: Mapping[str, Any]) -> str:
    """The dotted key that an error of the schema is about; empty: of the whole config."""
    inner = ("function-", "list[", "dict[", "tuple[", *PER_CLASS_TAGS)
    return ".".join(str(part) for part in item["loc"] if not str(part).startswith(inner))


def _explain(item: Mapping[str, Any], known: Sequence[str], what: str) -> str:
    key = _key(item)
    if item["type"] == "extra_forbidden":
        return f"unknown key {key}: {nearest(key, known, otherwise=_keys_beside(key, known, what))}"
    if item["type"] == "missing":
        return f"{key} is missing"
    message = item["msg"].removeprefix("Value error, ")
    if not key:
        return message
    if item["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key} is {item['input']!r}: {message[0].lower()}{message[1:]}"


def _keys_beside(key: str, known: Sequence[str], what: str) -> str:
    """The keys that may stand where an unknown one stands, for people who have no near one in mind."""
    section = key.rpartition(".")[0]
    keys = [each.rpartition(".")[2] for each in known if each.rpartition(".")[0] == section]
    return f"{section or what} has {', '.join(keys)}"
