"""The experiment as one typed, frozen tree, read from YAML and the command line."""

from maskfold.config.load import (
    changed_keys,
    config_from_tree,
    describe_options,
    load_config,
    option_keys,
    override,
    save_config,
)
from maskfold.config.schema import (
    AveragingConfig,
    CompetitionConfig,
    Config,
    DataConfig,
    FoldsConfig,
    GroupConfig,
    InferenceConfig,
    ModelConfig,
    OptimConfig,
    PostConfig,
    ScheduleConfig,
    TrainConfig,
    TuneConfig,
)
from maskfold.config.shipped import find_config, shipped_configs

__all__ = [
    "AveragingConfig",
    "CompetitionConfig",
    "Config",
    "DataConfig",
    "FoldsConfig",
    "GroupConfig",
    "InferenceConfig",
    "ModelConfig",
    "OptimConfig",
    "PostConfig",
    "ScheduleConfig",
    "TrainConfig",
    "TuneConfig",
    "changed_keys",
    "config_from_tree",
    "describe_options",
    "find_config",
    "load_config",
    "option_keys",
    "override",
    "save_config",
    "shipped_configs",
]
