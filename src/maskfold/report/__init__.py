"""One self-contained HTML page about one or several runs, from their out-of-fold predictions."""

from maskfold.report.errors import ReportError
from maskfold.report.write import Report, make_report, read_choice

__all__ = ["Report", "ReportError", "make_report", "read_choice"]
