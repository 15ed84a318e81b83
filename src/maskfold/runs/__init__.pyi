# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .fold import FoldFolder as FoldFolder
from .history import FoldHistory as FoldHistory
from .history import ends_of_cycles as ends_of_cycles
from .history import read_history as read_history
from .maps import MapStore as MapStore
from .pseudo_rules import Rules as Rules
from .run import Run as Run
