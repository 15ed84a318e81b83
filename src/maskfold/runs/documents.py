"""The small JSON files of a run folder, which carry their own checksum."""

import hashlib
import json
import re
from typing import Any

from maskfold.errors import RunError
from maskfold.storage import Storage

SEAL = b'{\n  "sha256": "%s",\n'


def to_json(content: Any) -> bytes:
    """The text of a JSON file, indented for people."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def sealed(content: dict[str, Any]) -> bytes:
    """`to_json` of an object that is not empty, whose first line is the SHA-256 of the lines behind it."""
    rest = to_json(content).removeprefix(b"{\n")
    return SEAL % hashlib.sha256(rest).hexdigest().encode() + rest


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


def read_sealed(storage: Storage, key: str, *, advice: str) -> dict[str, Any] | None:
    """What `sealed` was given, None where there is no such file.

    Raises:
        RunError: the file is not as it was written; ``advice`` is what to do then.
    """
    try:
        text = storage.read(key)
    except FileNotFoundError:
        return None
    found = re.match(rb'\{\n  "sha256": "([0-9a-f]{64})",\n', text)
    rest = text[found.end() :] if found else b""
    if found is None or hashlib.sha256(rest).hexdigest().encode() != found[1]:
        reason = "its checksum differs" if found else "it has no checksum, as one of an older version"
        raise RunError(f"{key} is damaged ({reason}): {advice}")
    return json.loads(b"{\n" + rest)
