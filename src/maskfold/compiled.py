"""Inner loops compiled by numba, for those packages that have some."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable)


def compiled(function: Function) -> Function:
    """Compile for the arguments of each first call; kept on disk, or in the process where no folder is writable."""
    from numba import njit

    try:
        return cast("Function", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba finds no folder for its cache
        return cast("Function", njit(nogil=True)(function))


def compiled_later(function: Function) -> Function:
    """`compiled`, but numba is imported at the first call only: a command that explains itself needs no compiler.

    Compiled functions can call what `compiled` made, not what this made.
    """

    @cache
    def compile_once() -> Callable:
        return compiled(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return compile_once()(*arguments)

    return cast("Function", call)
