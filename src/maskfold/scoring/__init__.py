"""Scores of runs and of submissions, comparisons, and the log of what was submitted."""
