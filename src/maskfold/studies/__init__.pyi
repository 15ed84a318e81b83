# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .plan import Plan as Plan
from .results import Results as Results
from .run import run_study as run_study
from .study import Study as Study
from .study import Variant as Variant
from .study import load_study as load_study
