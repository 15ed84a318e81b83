"""YAML from anywhere to plain values: bounded in size and depth, every key once, no tags.

What PyYAML's safe loader leaves open: aliases that multiply (a text of a kilobyte that means 10^9 values), a key that
stands twice, of which the last silently counts, dates that become objects, tags, and the bare errors of Python's own
that numbers such as ``0x_`` or one of 5000 digits raise.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml

from maskfold.errors import YamlError

# Far beyond every file that maskfold writes: the largest hold one line for each class, fold and file of weights.
MOST_BYTES = 4 << 20
MOST_VALUES = 100_000  # after aliases were replaced by what they stand for
DEEPEST = 50
_TOO_MANY = f"it means more than {MOST_VALUES:,} values, with aliases such as *a written out"
_TOO_DEEP = f"lists and mappings are nested more than {DEEPEST} deep"
_OPEN = (0, 0)  # a node whose parts are still being looked at

# In C where PyYAML has it: four times as fast, and a board reads hundreds of configs.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """The safe loader, but 1e-4 is a number as in YAML 1.2: for PyYAML only 1.0e-4 is one, and 1e-4 a text.

    A date stays a text, and there are no other tags than those of plain values.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own way)
        first: [(tag, expression) for tag, expression in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012
        tag: _Base.yaml_constructors.get(tag)
        for tag in (None, *(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq")))
    }


def _number(construct: Callable[[Any, yaml.Node], Any]) -> Callable[[Any, yaml.Node], Any]:
    def number(loader: Any, node: yaml.Node) -> Any:
        try:
            return construct(loader, node)
        except (ValueError, IndexError, KeyError, OverflowError):
            shown = f"{node.value[:20]}…" if len(node.value) > 20 else node.value
            raise _at(node, f"'{shown}' is not a number that can be read") from None

    return number


def _mapping(loader: Any, node: yaml.MappingNode) -> Any:
    seen: set[Any] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _at(key, "a key is a text or a number, not a list or a mapping")
        value = key.value if key.tag.endswith(":merge") else loader.construct_object(key)
        if value in seen:
            raise _at(key, f"the key {key.value[:40]!r} stands twice in one mapping: keep one of them")
        seen.add(value)
    return loader.construct_yaml_map(node)


for _kind in ("bool", "int", "float"):
    _tag = f"tag:yaml.org,2002:{_kind}"
    _Loader.add_constructor(_tag, _number(_Base.yaml_constructors[_tag]))
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_yaml(content: str | bytes) -> Any:
    """The mappings, lists, texts, numbers, booleans and None of a YAML document; None of an empty one.

    Args:
        content: the text, or its UTF-8 (or UTF-16 with a byte order mark).

    Raises:
        YamlError: it is not valid YAML, or more than a config or a profile can mean; the message, which begins with
            what is wrong, names line and column, to stand behind the file's name and a colon.
    """
    if len(content) > MOST_BYTES:
        raise YamlError(f"it has {len(content):,} bytes, expected at most {MOST_BYTES:,}")
    try:
        _refuse_flood(content)
        loader = _Loader(content)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _measure(root, {})
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise YamlError(where + " ".join(f"{error.context or ''} {error.problem or ''}".split())) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise YamlError(" ".join(str(error).split())) from None


def _refuse_flood(content: str | bytes) -> None:
    """Before anything recurses or grows: libyaml's composer would use up the stack, which ends the process."""
    depth = 0
    for count, event in enumerate(yaml.parse(content, _Loader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _at(event, _TOO_DEEP)
        if count > 2 * MOST_VALUES:  # a list or a mapping has a beginning and an end
            raise _at(event, _TOO_MANY)


def _measure(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values a node stands for, and how deep they are; aliases written out. Each node is looked at once."""
    if id(node) in known:
        if known[id(node)] == _OPEN:
            raise _at(node, "an alias stands inside of what it is an alias of")
        return known[id(node)]
    known[id(node)] = _OPEN
    parts = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    measured = [_measure(part, known) for part in parts]
    size, height = 1 + sum(size for size, _ in measured), 1 + max((height for _, height in measured), default=0)
    if size > MOST_VALUES:
        raise _at(node, _TOO_MANY)
    if height > DEEPEST + 1:
        raise _at(node, _TOO_DEEP)
    known[id(node)] = size, height
    return size, height


def _at(place: yaml.Node | yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)
