"""Do the test images look like the training images?

A simple classifier on colour statistics tries to tell the splits apart, cross-validated (the classifier two-sample
test: D. Lopez-Paz and M. Oquab, Revisiting Classifier Two-Sample Tests, ICLR 2017, arXiv:1610.06545).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from maskfold.checks.images import Images
from maskfold.checks.notes import Notes

# With fewer images in a split the figure is mostly chance: its standard error is about 0.06 at 40 and 40.
FEWEST = 40
# From here on three of four pairs of a training and a test image are told apart.
SHIFTED = 0.75
FOLDS = 5
MOST_ODDS = np.log(10)  # one image shall not stand for a whole test set


@dataclass(frozen=True)
class Shift:
    """How different the splits look.

    Attributes:
        auc: area under the ROC curve: 0.5, the splits look alike, to 1, each image shows which split it is of.
        features: feature, train and test (means, levels of the images' scale), difference (in standard
            deviations of the training images), the largest first.
        odds: (n,), log odds that an image is of the test split, by a classifier that did not see it.
        rows: (n,), the row numbers of these images: those of training, then those of test.
    """

    auc: float
    features: pd.DataFrame
    odds: np.ndarray
    rows: np.ndarray


def check_shift(images: Images, notes: Notes) -> Shift | None:
    """Compare training and test images; None where a split has too few. A warning where they are told apart."""
    table = images.table
    train, test = (table.loc[table["split"] == split, images.colours] for split in ("train", "test"))
    if min(len(train), len(test)) < FEWEST:
        notes.facts["train/test shift"] = f"not measured: {len(train)} and {len(test)} images, needs {FEWEST} of each"
        return None
    odds = _decisions(train.to_numpy(float), test.to_numpy(float))
    rows = np.concatenate([images.rows_of("train"), images.rows_of("test")])
    shift = Shift(_auc(odds, len(train)), _differences(train, test), odds, rows)
    notes.facts["train/test shift"] = f"AUC {shift.auc:.2f} by colour statistics (0.5: alike, 1: each image told apart)"
    if shift.auc >= SHIFTED:
        first = shift.features.iloc[0]
        notes.warnings.append(
            f"test images look different from training images: colour statistics tell them apart with an AUC of "
            f"{shift.auc:.2f} (most of a single one: {first['feature']}, {first['train']:.0f} in train and "
            f"{first['test']:.0f} in test); augment colours, and expect less on the test split than out of fold"
        )
    return shift


def likeness_to_test(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, float]:
    """How much more often images like a training image are among the test images, and the AUC of telling them apart.

    The first are odds of a classifier that did not see the image, a ratio of densities (Bickel, Brückner & Scheffer,
    JMLR 2009), cut off at a tenth and at ten, with mean 1: as weights they make the training images look like the test
    images, as far as the classifier sees.

    Args:
        train: figures (n, k) of the training images.
        test: (m, k) of the test images.
    """
    decisions = _decisions(train, test)
    auc = _auc(decisions, len(train))
    odds = np.exp(decisions[: len(train)].clip(-MOST_ODDS, MOST_ODDS))
    return odds / odds.mean(), auc


def _auc(decisions: np.ndarray, train: int) -> float:
    """Of log odds, those of ``train`` training images first."""
    return float(roc_auc_score(np.arange(len(decisions)) >= train, decisions))


def _decisions(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Log odds (n + m,) that an image is a test image, each by a classifier that did not see it."""
    values = np.concatenate([train, test])
    labels = np.repeat([0, 1], [len(train), len(test)])
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return np.asarray(cross_val_predict(model, values, labels, cv=folds, method="decision_function"))


def _differences(train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    scale = train.std().replace(0, 1)
    table = pd.DataFrame(
        {"train": train.mean(), "test": test.mean(), "difference": (test.mean() - train.mean()) / scale}
    )
    ordered = table.sort_values("difference", key=np.abs, ascending=False, kind="stable")
    return ordered.rename_axis("feature").reset_index()
