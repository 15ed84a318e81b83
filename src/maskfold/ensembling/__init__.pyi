# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .checkpoints import load_networks as load_networks
from .choice import EnsembleChoice as EnsembleChoice
from .choice import RunChoice as RunChoice
from .choice import read_ensemble as read_ensemble
from .choice import write_ensemble as write_ensemble
from .oof import OofImage as OofImage
from .oof import candidate_table as candidate_table
from .oof import oof_images as oof_images
from .submit import default_choice as default_choice
from .submit import predict_samples as predict_samples
from .submit import write_submission as write_submission
