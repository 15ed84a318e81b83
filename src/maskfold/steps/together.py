"""Runs as the steps work with them: those that go together, their config with the changes of the call, its files."""

from collections.abc import Mapping, Sequence
from typing import Any

from maskfold.competitions import Competition
from maskfold.config import Config, override
from maskfold.config.section import AUTO
from maskfold.errors import CompetitionError, ConfigError
from maskfold.runs import Run
from maskfold.steps.competition import check_competition, open_competition
from maskfold.steps.matching import matching_runs


def open_together(
    runs: Run | Sequence[Run], overrides: Mapping[str, Any] | None, *, predicting: bool = False
) -> tuple[list[Run], Config, Competition]:
    """The runs as a list, the first one's config with dotted keys changed, and its competition.

    Args:
        runs: one run, or several that work together.
        overrides: dotted keys of the config.
        predicting: the competition's test images are all that is needed.

    Raises:
        RunError: runs that do not go together.
        MaskfoldError: overrides that do not fit, no such competition, `with_batch`.
    """
    listed = matching_runs(runs, overrides)
    config = with_batch(override(listed[0].config, overrides or {}))
    return listed, config, open_competition(config, predicting=predicting)


def with_batch(config: Config) -> Config:
    """``config`` with a number in the place of ``inference.batch_size auto``, found on this device.

    Raises:
        ConfigError: it is found in a trial training, and the files that training needs are not there.
        MaskfoldError: what else keeps a training of the config from starting.
    """
    if config.inference.batch_size != AUTO:
        return config
    try:
        check_competition(config)
    except CompetitionError as error:
        reason = f"inference.batch_size auto is found with training images, and {error}"
        raise ConfigError(f"{reason}: give a number") from None
    from maskfold.steps.settle import settle  # imports what training needs

    return settle(config)
