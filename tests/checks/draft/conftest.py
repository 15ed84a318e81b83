import pytest
import yaml

from maskfold.checks.draft import draft_profile
from maskfold.competitions import Competition, load_profile


@pytest.fixture
def drafted(tmp_path):
    """``drafted(root, metric)`` -> (draft, competition of the draft with the metric filled in)."""

    def open_draft(root, metric="dice", **changes):
        found = draft_profile(root)
        assert found.tried.problems == []
        path = tmp_path / "drafted.yaml"
        assert found.text.count("FILL-IN") == 2, "the metric, and the word in the heading"
        path.write_text(found.text.replace("metric: FILL-IN", f"metric: {metric}"))
        tree = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump({**tree, **changes}, sort_keys=False))
        return found, Competition(load_profile(str(path)), root)

    return open_draft
