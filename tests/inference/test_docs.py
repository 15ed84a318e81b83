"""The decoding step that docs/cookbook.md shows, as a reader would use it."""

import cv2
import numpy as np
from tests.documents import ROOT, fenced

from maskfold.config import PostConfig, load_config
from maskfold.inference.decoding import build_chain, tunable_values
from maskfold.labels import LabelSpec


def test_the_step_of_the_cookbook(tmp_path, monkeypatch):
    path = ROOT / "docs" / "cookbook.md"
    (source,) = [block for block in fenced(path, "python") if "class Smooth(Step)" in block]
    (tmp_path / "my_steps.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert "`post.steps {my_steps:Smooth: {sigma: 2}}`" in path.read_text(encoding="utf-8")
    post = load_config(None, {"post.steps": "{my_steps:Smooth: {sigma: 2}}"}).post
    labels = LabelSpec("multilabel", ("fog", "haze"))
    maps = np.random.default_rng(0).random((2, 9, 11), np.float32)
    expected = [cv2.GaussianBlur(layer, (0, 0), 2) >= 0.5 for layer in maps]
    assert (build_chain(post, labels).decode(maps) == expected).all()
    plain = PostConfig(steps={"my_steps:Smooth": {"sigma": 0}})
    assert (build_chain(plain, labels).decode(maps) == (maps >= 0.5)).all()
    names = {value.name: value.tried for value in tunable_values(post, labels, {})}
    assert names["my_steps:Smooth.sigma of haze"] == (0, 1, 2)
