"""The example of docs/competitions.md trains as it stands there."""

import json

import numpy as np
from tests.competitions.conftest import slow_rle, write_image
from tests.competitions.test_docs import example
from tests.scripts.conftest import write_config


def test_the_documented_example_trains_two_steps(tmp_path, monkeypatch, script):
    monkeypatch.chdir(tmp_path)
    example(tmp_path)
    head, rows = "ImageId,ClassId,EncodedPixels", []
    for number in range(8):
        size = (36, 44 + number)
        write_image(tmp_path / f"steel/train_images/p{number}.jpg", number, size)
        for value in (1, 2, 3):
            mask = np.zeros(size, np.uint8)
            mask[3 : 9 + number, 10 * value : 10 * value + 6] = 1
            rows.append(f"p{number}.jpg,{value},{slow_rle(mask, order='C', start=0) if number % 3 else -1}")
    write_image(tmp_path / "steel/test_images/t.jpg", 99, (36, 44))
    (tmp_path / "steel/train.csv").write_text("\n".join([head, *rows]) + "\n")
    (tmp_path / "steel/sample_submission.csv").write_text(f"{head}\n" + "".join(f"t.jpg,{v},0 1\n" for v in (1, 2, 3)))
    write_config(
        tmp_path / "c.yaml", competition__profile="steel.yaml", competition__root="steel", train__epochs=None,
        train__iterations=2, train__batch_size=2,
    )  # fmt: skip
    trained = script("train_fold", "--config", "c.yaml", "--fold", "0")
    assert trained.code == 0, trained.err
    assert json.loads((tmp_path / "runs/c/fold_0/summary.json").read_text())["steps"] == 2
    predicted = script("predict", "--runs", "runs/c", "--untuned")
    assert predicted.code == 0, predicted.err
