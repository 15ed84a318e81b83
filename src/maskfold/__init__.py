"""maskfold: from a segmentation competition's files to a validated, locally scored submission.

The way in a program (the commands ``maskfold train-fold`` … run the same functions)::

    import maskfold

    config = maskfold.load_config("demo", {"train.epochs": 10})  # a name, or the path of a YAML file
    competition = maskfold.open_competition(config)              # samples, images, masks, metric
    run = maskfold.train(config, 0)                              # fold 0 of runs/demo
    choice = maskfold.tune(run)                                  # runs/demo/ensemble.yaml
    path = maskfold.predict(run)                                 # submissions/demo.csv
    maskfold.vote([path, "other.csv", "third.csv"], config)      # submissions/vote.csv
    print(maskfold.evaluate(run).line())                         # the out-of-fold score
    maskfold.pseudo_label(run)                                   # data/pseudo/demo, for data.extra of the next run
    file = maskfold.export(run)                                  # runs/demo/demo.onnx
    folder = maskfold.pack(run)                                  # packs/demo, which predicts elsewhere:
    with open_pack(folder) as pack:                              # of maskfold.packing
        maskfold.predict_pack(pack)                              # submissions/demo.csv
    run = maskfold.Run.open("runs/demo")                         # a run of another day

Usable alone are the packages `maskfold.losses`, `maskfold.metrics`, `maskfold.rle` and the module `maskfold.labels`.
Everything is imported at its first use: ``import maskfold`` imports neither torch nor anything else that is slow.
"""

import os

import lazy_loader

# albumentations asks the package index for a newer version when it is imported; maskfold never uses the
# network unasked.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

# OpenMP's threads spin while they wait for each other: a little faster on an idle machine, several times slower as soon
# as anything else runs on it. Read when torch is imported; the user's own environment wins.
if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
