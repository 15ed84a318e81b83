"""The small JSON files of a run folder."""

import json
from typing import Any

from maskfold.errors import RunError
from maskfold.storage import Storage


def to_json(content: Any) -> bytes:
    """The text of a JSON file, indented for people."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_json(storage: Storage, key: str, *, advice: str) -> Any | None:
    """The content of a JSON file, None where there is none.

    Raises:
        RunError: the file is damaged; ``advice`` is what to do then.
    """
    try:
        return json.loads(storage.read(key))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"{key} is damaged ({str(error).splitlines()[0]}): {advice}") from None
