# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .pilot import Autopilot as Autopilot
