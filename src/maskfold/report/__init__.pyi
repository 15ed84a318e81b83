# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .curves import score_settings as score_settings
from .show import error_overlay as error_overlay
from .show import overlay as overlay
from .show import show_images as show_images
from .write import Report as Report
from .write import make_report as make_report
from .write import read_choice as read_choice
