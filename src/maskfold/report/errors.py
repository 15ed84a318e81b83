"""What can go wrong in a report."""


class ReportError(ValueError):
    """A report that cannot be written as asked."""
