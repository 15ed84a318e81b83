# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .write import Report as Report
from .write import make_report as make_report
from .write import read_choice as read_choice
