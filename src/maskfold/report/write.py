"""From runs to a report on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskfold.board.board import Board
from maskfold.competitions import Competition
from maskfold.datasets.annotators import read_annotations
from maskfold.ensembling.choice import EnsembleChoice, has_ensemble, read_ensemble
from maskfold.ensembling.submit import check_hashes, default_choice
from maskfold.errors import ReportError
from maskfold.files import write_file
from maskfold.report.gallery import make_cards, pick_images
from maskfold.report.gather import Findings, gather
from maskfold.report.page import refuse_other_suffix, report_page
from maskfold.runs import Run

MOST_IMAGES = 500


@dataclass(frozen=True)
class Report:
    """What was written: the file, the number of images in its gallery, and the figures behind it."""

    path: Path
    shown: int
    findings: Findings


def make_report(
    runs: Sequence[Run],
    competition: Competition,
    choice: EnsembleChoice,
    path: Path,
    *,
    count: int = 60,
    board: Board | None = None,
) -> Report:
    """Write one HTML file about the out-of-fold predictions of ``choice``; ``path`` is replaced as a whole.

    Args:
        choice: the ensemble of these runs, in their order (see `read_choice`).
        count: images of the gallery, a third each worst, median and uncertain.
        board: of these runs and others, for the section about their neighbours; None: there is none.

    Raises:
        ReportError: another suffix than .html, or a count that is not 1 to 500.
        InferenceError: no finished fold, or runs that validate different images.
        RunError: damaged files.
    """
    refuse_other_suffix(path)
    if not 1 <= count <= MOST_IMAGES:
        raise ReportError(f"--images is {count}: expected 1 to {MOST_IMAGES}")
    findings = gather(runs, competition, choice, board)
    picked = pick_images(findings.table, count, findings.failed)
    annotators = runs[0].config.targets.annotators
    annotations = None if annotators is None else read_annotations(competition, annotators)
    cards = make_cards(picked, findings, annotations)
    page = report_page(findings, cards)
    write_file(path, page)
    return Report(path, len(cards), findings)


def read_choice(runs: Sequence[Run], ensemble_path: Path) -> EnsembleChoice:
    """The tuned ensemble of runs or, where there is none, the equal mean of what each predicts with untuned.

    Raises:
        RunError: a damaged ensemble.yaml.
        InferenceError: weights that changed since tuning.
    """
    if has_ensemble(ensemble_path):
        choice = read_ensemble(ensemble_path, [run.path for run in runs])
        check_hashes(choice, runs)
        return choice
    return default_choice(runs)
