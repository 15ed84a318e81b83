"""Names in a config that mean a class: those of a table, and anyone's own as ``package.module:Name``."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from maskfold.errors import MaskfoldError, nearest

Thing = TypeVar("Thing")


def load_named(
    name: str, table: Mapping[str, Thing], what: str, base: type | None = None, *, functions: bool = False
) -> Thing:
    """What ``name`` stands for: an entry of ``table``, or the attribute of a module that can be imported.

    Args:
        name: a key of the table, or ``package.module:Name``.
        table: the names that come with maskfold.
        what: what is looked for, as messages call it: ``loss``, ``metric``.
        base: the class that anyone's own must be derived from; None: any class or function will do.
        functions: whether a function will do, too.

    Raises:
        MaskfoldError: an unknown name (the nearest is named), a module of Python's own, one that cannot be imported or
            lacks the name, something that is not derived from ``base`` or lacks methods.
    """
    if name in table:
        return table[name]
    module, colon, attribute = str(name).partition(":")
    if not colon:
        hint = nearest(str(name), list(table))
        raise MaskfoldError(f"there is no {what} {name!r}: {hint} (one of your own is given as package.module:Name)")
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names or not all(part.isidentifier() for part in parts):
        # A config may be a stranger's: importing some of these does things, and none of them holds a loss.
        raise MaskfoldError(f"the {what} {name} is in no module of your own: it is not imported")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise MaskfoldError(
            f"the {what} {name} cannot be imported ({error}): is the folder of {module.partition('.')[0]} the current "
            "one, or on PYTHONPATH?"
        ) from None
    except AttributeError:
        raise MaskfoldError(f"the module {module} has no {attribute}: the {what} {name} is not there") from None
    if base is not None and not (functions and _is_function(found)):
        _check_derived(found, name, what, base)
    return found


def _is_function(found: Any) -> bool:
    return callable(found) and not isinstance(found, type)


def _check_derived(found: Any, name: str, what: str, base: type) -> None:
    if not (isinstance(found, type) and issubclass(found, base)):
        raise MaskfoldError(f"the {what} {name} is not a subclass of {base.__name__}: docs/extending.md shows one")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise MaskfoldError(f"the {what} {name} lacks {', '.join(missing)}: docs/extending.md shows one")
