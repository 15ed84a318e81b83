# pandas is Any for the type checker: its own annotations give a cell of a table two dozen types.
from typing import Any

def __getattr__(name: str) -> Any: ...
