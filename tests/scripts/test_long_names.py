"""File names as long as a file system allows, in Chinese, go the whole way through the scripts."""

import shutil

import pandas as pd
from tests.drawn_runs import decode, dice, truth_of
from tests.scripts.conftest import write_config

# 80 characters of three bytes each, and T000.jpg: 248 of the 255 bytes that a name may have, 728 percent-encoded.
STEM = "高分辨率遥感影像建筑物提取数据集第三批次训练样本" * 3 + "编号一二三四五六"


def long_name(name):
    return f"{STEM}{name}"


def test_names_of_eighty_chinese_characters_from_files_to_a_score(tmp_path, monkeypatch, drawn, script):
    monkeypatch.chdir(tmp_path)
    assert 230 < len(long_name("T000.jpg").encode()) <= 255
    root = tmp_path / "data" / "mine"
    shutil.copytree(drawn, root)
    for folder, table in (("train", "train_mask.csv"), ("test_a", "test_a_samplesubmit.csv")):
        for path in list((root / folder).iterdir()):
            path.rename(path.with_name(long_name(path.name)))
        text = (root / table).read_text()
        (root / table).write_text("".join(f"{STEM}{line}\n" for line in text.splitlines()))
    truth = root / "test_a_truth.csv"
    truth.write_text("".join(f"{STEM}{line}\n" for line in truth.read_text().splitlines()))
    write_config(tmp_path / "c.yaml", train__epochs=2, tta__views="none")
    config = ("--config", "c.yaml")
    for name, *words in (
        ("check_data", *config),
        ("train_fold", *config, "--fold", "0"),
        ("tune", "--runs", "runs/c"),
        ("predict", "--runs", "runs/c"),
        ("report", "--runs", "runs/c", "--images", 3),
    ):
        done = script(name, *words)
        assert done.code == 0, done.err
    scored = script("evaluate", "--runs", "runs/c", "--submission", "submissions/c.csv", "--truth", truth)
    assert scored.code == 0, scored.err
    rows = pd.read_csv("submissions/c.csv", sep="\t", header=None, dtype=str, keep_default_na=False)
    masks = truth_of(drawn, "test")
    assert sorted(rows[0]) == sorted(map(long_name, masks))
    found = {image_id.removeprefix(STEM): rle for image_id, rle in zip(rows[0], rows[1], strict=True)}
    scores = [dice(decode(found[name], mask.shape), mask) for name, mask in masks.items()]
    assert f"c.csv: dice {sum(scores) / len(scores):.4f}" in scored.out
