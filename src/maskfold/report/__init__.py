"""Self-contained HTML pages about runs and about a contest's data, and pictures of masks."""

from maskfold.report.errors import ReportError
from maskfold.report.write import Report, make_report, read_choice

__all__ = ["Report", "ReportError", "make_report", "read_choice"]
