"""Self-contained HTML pages about runs and about a competition's data, and pictures of masks."""

from maskfold.report.write import Report, make_report, read_choice

__all__ = ["Report", "make_report", "read_choice"]
