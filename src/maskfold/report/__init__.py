"""Self-contained HTML pages about runs and about a competition's data, and pictures of masks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
