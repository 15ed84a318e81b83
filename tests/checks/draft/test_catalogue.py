"""Drafts of the catalogue's twins are the profiles that people wrote for them, but for what no file tells."""

import pytest
from tests.catalogue.twins import CATALOGUE, draw_twin

from maskfold.checks.draft import draft_profile

FORMS = {form.profile: form for form in CATALOGUE}
UNKNOWABLE = {"submission.overlap", "submission.size", "group"}


@pytest.mark.parametrize(
    "name",
    ["tgs-salt", "airbus-ships", "severstal-steel", "hubmap-kidney", "carvana", "dsb2018-nuclei", "sartorius-cells"],
)
def test_a_twin_is_recognised(tmp_path, name):
    found = draft_profile(draw_twin(FORMS[name], tmp_path / "data").root)
    assert found.tried.problems == []
    assert found.tried.nearest.name == name
    assert {text.partition(" is ")[0] for text in found.tried.nearest.differences} <= UNKNOWABLE
