"""A run's copy of a profile of one's own, so that it predicts where the profile is not."""

from pathlib import Path

from maskfold.competitions.profile import load_profile, own_profile, profile_yaml
from maskfold.config import Config
from maskfold.storage import Storage

PROFILE = "profile.yaml"


def keep_profile(config: Config, storage: Storage, folder: Path) -> None:
    """Store a copy of the profile that ``config`` names into a run's ``folder``, if it is one's own and there."""
    profile = config.competition.profile
    if own_profile(profile) and Path(profile).exists() and Path(profile) != folder / PROFILE:
        storage.publish(PROFILE, profile_yaml(load_profile(profile)).encode())


def with_kept_profile(config: Config, folder: Path) -> Config:
    """The config of the run in ``folder``, with its copy in the place of a profile of one's own that is gone."""
    own, profile = folder / PROFILE, config.competition.profile
    if not own_profile(profile) or Path(profile).exists() or not own.exists():
        return config
    return config.model_copy(update={"competition": config.competition.model_copy(update={"profile": str(own)})})
