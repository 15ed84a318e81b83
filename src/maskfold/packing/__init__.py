"""Finished runs as one folder or archive that predicts elsewhere: written, described, opened."""
