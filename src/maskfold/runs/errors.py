"""What can be wrong with a run folder."""


class RunError(ValueError):
    """A run folder that is missing, damaged, in use, or of another config."""
