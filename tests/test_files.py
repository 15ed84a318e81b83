"""Atomic writing: whole or not at all."""

import os
import stat

import pytest

from maskfold.files import atomic_path


def test_success_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    for text in ("one", "two"):
        with atomic_path(path) as temporary:
            assert temporary.suffix == ".csv"
            temporary.write_text(text)
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="boom"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("boom")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "x") as temporary:
            temporary.write_text("")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
