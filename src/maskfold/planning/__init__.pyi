# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .fingerprint import Fingerprint as Fingerprint
from .fingerprint import take_fingerprint as take_fingerprint
from .plan import Plan as Plan
from .plan import make_plan as make_plan
from .speed import MeasuredSpeed as MeasuredSpeed
from .speed import Speed as Speed
