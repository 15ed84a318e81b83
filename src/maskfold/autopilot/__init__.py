"""From a competition's files to a submission within so many hours, and up the ladder while time is left."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
