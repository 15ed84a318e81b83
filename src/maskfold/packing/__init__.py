"""Finished runs as one folder or archive that predicts elsewhere: written, described, opened."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
