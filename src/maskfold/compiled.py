"""Inner loops compiled by numba, for those packages that have some."""

from collections.abc import Callable
from typing import TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable)


def compiled(function: Function) -> Function:
    """Compile at the first call and keep the result on disk; where no folder for it is writable, in each process."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba finds no folder for its cache
        return njit(nogil=True)(function)
