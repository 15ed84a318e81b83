"""Scores of runs and of submissions, comparisons, and the log of what was submitted."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
