"""Drawn twins of the competitions in the catalogue."""

import importlib.util
from functools import cache

import pytest
from tests.catalogue.twins import CATALOGUE, draw_twin

from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig

BY_PROFILE = {form.profile: form for form in CATALOGUE}


@pytest.fixture(scope="session")
def twin(tmp_path_factory):
    """``twin("tgs-salt")``: its files, drawn once; not to be written to."""

    @cache
    def drawn(profile):
        if profile == "siim-pneumothorax" and importlib.util.find_spec("pydicom") is None:
            pytest.skip("pydicom is not installed")
        return draw_twin(BY_PROFILE[profile], tmp_path_factory.mktemp(profile) / "data")

    return drawn


@pytest.fixture(scope="session")
def opened(twin):
    """``opened("tgs-salt")``: its twin, and the competition that reads it."""

    @cache
    def both(profile):
        drawn = twin(profile)
        return drawn, open_competition(CompetitionConfig(profile=profile, root=drawn.root))

    return both
