"""The experiment as one typed, frozen tree, read from YAML and the command line."""

from maskfold.config.data import (
    AnnotatorsConfig,
    CompetitionConfig,
    DataConfig,
    FoldsConfig,
    GroupConfig,
    MixConfig,
    SmoothingConfig,
    TargetsConfig,
    TeacherConfig,
    WeightsConfig,
)
from maskfold.config.load import (
    MADE_WITH,
    changed_keys,
    config_from_tree,
    config_yaml,
    describe_options,
    list_problems,
    load_config,
    option_keys,
    override,
    read_yaml,
)
from maskfold.config.prediction import (
    CRFConfig,
    InferenceConfig,
    PostConfig,
    TTAConfig,
    TuneConfig,
)
from maskfold.config.schema import (
    Config,
)
from maskfold.config.shipped import find_config, shipped_configs
from maskfold.config.training import (
    AdversarialConfig,
    AveragingConfig,
    ModelConfig,
    OptimConfig,
    ScheduleConfig,
    SemiConfig,
    TrainConfig,
)

__all__ = [
    "MADE_WITH",
    "AdversarialConfig",
    "AnnotatorsConfig",
    "AveragingConfig",
    "CRFConfig",
    "CompetitionConfig",
    "Config",
    "DataConfig",
    "FoldsConfig",
    "GroupConfig",
    "InferenceConfig",
    "MixConfig",
    "ModelConfig",
    "OptimConfig",
    "PostConfig",
    "ScheduleConfig",
    "SemiConfig",
    "SmoothingConfig",
    "TTAConfig",
    "TargetsConfig",
    "TeacherConfig",
    "TrainConfig",
    "TuneConfig",
    "WeightsConfig",
    "changed_keys",
    "config_from_tree",
    "config_yaml",
    "describe_options",
    "find_config",
    "list_problems",
    "load_config",
    "option_keys",
    "override",
    "read_yaml",
    "shipped_configs",
]
