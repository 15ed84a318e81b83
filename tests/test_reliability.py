"""docs/reliability.md: every promise names tests that there are."""

import re

from tests.documents import ROOT


def test_every_promise_names_tests_that_exist():
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| promised", "| ---"))
    ]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", row.split(" | ")[-1])
        assert tests, f"no test: {row}"
        for name, function in tests:
            code = (ROOT / name).read_text(encoding="utf-8")
            assert f"def {function}(" in code if function else "def test_" in code, (name, function)
