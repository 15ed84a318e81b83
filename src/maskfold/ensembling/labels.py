"""What a competition's masks hold."""

from maskfold.competitions import Competition
from maskfold.labels import LabelSpec


def labels_of(competition: Competition) -> LabelSpec:
    """The classes of a competition, and that they exclude each other where there are several."""
    task = "binary" if competition.num_classes == 1 else "multiclass"
    return LabelSpec(task, tuple(competition.class_names))
