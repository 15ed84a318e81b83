"""The competition of a config, the demo's included."""

from typing import TYPE_CHECKING

from maskfold.competitions import find
from maskfold.config import Config
from maskfold.program import command_line
from maskfold.steps.places import DATA, DEMO

if TYPE_CHECKING:
    from maskfold.competitions.competition import Competition

# The one key of a run's config that any command may change: the competition may be elsewhere than it was trained on.
ROOT = "competition.root"


def check_competition(config: Config, *, predicting: bool = False) -> None:
    """Refuse a config whose competition is not there; nothing is read, and nothing slow imported.

    Args:
        config: names it.
        predicting: its test images are all that is needed.

    Raises:
        CompetitionError: see `maskfold.competitions.find.locate_competition`.
    """
    if not _demo_is_to_be_drawn(config):
        find.locate_competition(config.competition, data_root=DATA, predicting=predicting)


def open_competition(config: Config, *, predicting: bool = False) -> "Competition":
    """Open the competition of a config; the demo's files are drawn into ``data/demo`` where they are not there yet.

    Args as of `check_competition`.

    Raises:
        CompetitionError: no data, several folders that fit, missing files (and which profile would fit), class
            names that do not fit the profile.
    """
    if _demo_is_to_be_drawn(config):
        from maskfold.demo import make_demo

        print(f"Drawing the demo data into {DEMO} ({command_line('make-demo')} does the same).", flush=True)
        annotators = config.targets.annotators
        make_demo(DEMO, annotators=0 if annotators is None else len(annotators.masks))
    return find.open_competition(config.competition, data_root=DATA, predicting=predicting)


def with_root(config: Config, competition: "Competition") -> Config:
    """The config with the competition's folder, or URL, written down, so that a run finds it again."""
    section = config.competition.model_copy(update={"root": competition.files.source})
    return config.model_copy(update={"competition": section})


def _demo_is_to_be_drawn(config: Config) -> bool:
    return config.competition.root == DEMO and not DEMO.exists()
