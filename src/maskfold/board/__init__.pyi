# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .board import Board as Board
from .board import make_board as make_board
from .columns import board_text as board_text
from .entry import Entry as Entry
from .gap import Gap as Gap
