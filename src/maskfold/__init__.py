"""maskfold: from a segmentation competition's files to a validated, locally scored submission."""

import os

# albumentations asks the package index for a newer version when it is imported; maskfold never uses the
# network unasked.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
