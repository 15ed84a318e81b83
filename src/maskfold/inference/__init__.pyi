# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .decoding import Chain as Chain
from .decoding import Step as Step
from .decoding import build_chain as build_chain
from .predict import Prediction as Prediction
from .predict import predict_batches as predict_batches
from .views import View as View
from .views import build_views as build_views
from .window import window_logits as window_logits
