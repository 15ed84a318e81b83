# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .read import Pack as Pack
from .read import open_pack as open_pack
