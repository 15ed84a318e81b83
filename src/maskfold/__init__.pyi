# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from . import labels as labels
from . import losses as losses
from . import metrics as metrics
from . import rle as rle
from .config.load import load_config as load_config
from .runs.run import Run as Run
from .steps.competition import open_competition as open_competition
from .steps.evaluate import evaluate as evaluate
from .steps.export import export as export
from .steps.pack import pack as pack
from .steps.predict import predict as predict
from .steps.predict import predict_pack as predict_pack
from .steps.pseudo import pseudo_label as pseudo_label
from .steps.train import train as train
from .steps.tune import tune as tune
from .steps.vote import vote as vote

__version__: str
