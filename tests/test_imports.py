"""What is imported at once is imported without looking for garbage."""

import gc

import pytest

from maskfold.cli.script import starting
from maskfold.imports import quick_imports


def test_garbage_is_looked_for_again_also_after_an_import_that_failed():
    with pytest.raises(ImportError), quick_imports():
        assert not gc.isenabled()
        import maskfold.none  # noqa: F401
    assert gc.isenabled()


def test_what_begins_is_said_before_the_imports(capsys):
    with starting("Beginning …"):
        assert capsys.readouterr().out == "Beginning …\n"
        assert not gc.isenabled()
    assert gc.isenabled()
