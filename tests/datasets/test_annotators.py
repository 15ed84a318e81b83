"""Masks by several annotators: read in every layout, what they make together, and who is missing."""

import pickle
import shutil

import cv2
import numpy as np
import pytest
import torch
import yaml
from tests.conftest import reference_rle, write_tianchi

from maskfold.competitions import Sample, open_competition
from maskfold.config import AnnotatorsConfig, CompetitionConfig, load_config
from maskfold.datasets import AnnotatorTargets, Draw, TrainDataset
from maskfold.datasets.annotators import Annotations, mean_label, read_annotations, staple_label
from maskfold.datasets.staple import staple
from maskfold.errors import CompetitionError, ConfigError
from maskfold.labels import Label, LabelSpec
from maskfold.runs import Run

SIZES = {f"T{number:03d}.jpg": [(48, 40), (40, 56)][number % 2] for number in range(6)}
ANNOTATORS = ("ann.csv", "bob.csv", "cleo.csv")


def masks_of(seed, sizes=SIZES):
    """id -> one rectangle somewhere, of other sides for everybody."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, size in sizes.items():
        found[name] = np.zeros(size, np.uint8)
        top, left = rng.integers(0, 12, 2)
        found[name][top : top + rng.integers(9, 25), left : left + rng.integers(9, 20)] = 1
    return found


@pytest.fixture(scope="module")
def drawn_by():
    return {name: masks_of(seed) for seed, name in enumerate(ANNOTATORS)}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory, drawn_by):
    """The tiny competition with three annotators' tables."""
    folder = write_tianchi(tmp_path_factory.mktemp("annotated") / "tiles", train=6, test=2)
    for name, masks in drawn_by.items():
        (folder / name).write_text("".join(f"{id_}\t{reference_rle(mask)}\n" for id_, mask in masks.items()))
    return folder


def opened(folder, profile="tianchi-buildings", **more):
    return open_competition(CompetitionConfig(profile=profile, root=folder, **more))


def values(annotations, name, id_, size):
    return annotations.label(name, Sample(id_, id_, None), size).values


def test_a_table_for_each_annotator(tiles, drawn_by):
    annotations = read_annotations(opened(tiles), AnnotatorsConfig(masks=ANNOTATORS))
    assert tuple(annotations.masks) == ANNOTATORS
    for name, masks in drawn_by.items():
        for id_, mask in masks.items():
            assert np.array_equal(values(annotations, name, id_, mask.shape), mask)
    assert annotations.gaps() == []


@pytest.mark.parametrize("header", [True, False])
def test_rows_of_one_table_in_another_dialect(tmp_path, header):
    """Row-major, from 0, a column more: in any place where columns have names, the last one where they have not."""
    sizes = {f"{number}": (23, 17 + number) for number in range(3)}
    lines = ["rle,who,id"] if header else []
    drawn = {who: masks_of(seed, sizes) for seed, who in enumerate(("zoe", "7"))}
    (tmp_path / "train").mkdir()
    for id_, size in sizes.items():
        cv2.imwrite(str(tmp_path / "train" / f"{id_}.png"), np.zeros((*size, 3), np.uint8))
        for who, masks in drawn.items():
            words = np.array(reference_rle(masks[id_].T).split(), int)
            words[::2] -= 1
            rle = " ".join(map(str, words))
            lines.append(f"{rle},{who},{id_}" if header else f"{id_},{rle},{who}")
    (tmp_path / "all.csv").write_text("\n".join(lines))
    (tmp_path / "train.csv").write_text(("id,rle\n" if header else "") + "".join(f"{id_},\n" for id_ in sizes))
    split = {"table": "train.csv", "image": "train/{id}.png"}
    columns, dialect = {"id": "id", "mask": "rle"}, {"order": "C", "start": 0}
    profile = {"layout": "csv", "metric": "dice", "header": header, "columns": columns, "dialect": dialect}
    profile |= {"train": split, "test": split}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(profile))
    competition = opened(tmp_path, str(tmp_path / "mine.yaml"))
    annotations = read_annotations(competition, AnnotatorsConfig(masks=("all.csv",), column="who"))
    assert list(annotations.masks) == ["7", "zoe"]
    for who, masks in drawn.items():
        for id_, mask in masks.items():
            assert np.array_equal(values(annotations, who, id_, mask.shape), mask)
    (tmp_path / "all.csv").write_text("\n".join(lines).replace("zoe", "  "))
    with pytest.raises(CompetitionError, match="3 rows have no who: 0, 1, 2"):
        read_annotations(competition, AnnotatorsConfig(masks=("all.csv",), column="who"))


def test_folders_of_masks(tmp_path):
    for folder in ("images", "masks", "eve", "dan"):
        (tmp_path / folder).mkdir()
    masks = masks_of(3, {"a.b": (20, 31), "c": (18, 25)})
    for stem, mask in masks.items():
        cv2.imwrite(str(tmp_path / "images" / f"{stem}.jpg"), np.zeros((*mask.shape, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{stem}.png"), mask * 255)
        cv2.imwrite(str(tmp_path / "eve" / f"{stem}.png"), mask[:, ::-1] * 255)
    cv2.imwrite(str(tmp_path / "dan" / "c.png"), masks["c"][::-1])
    competition = opened(tmp_path, "png-masks")
    annotations = read_annotations(competition, AnnotatorsConfig(masks=("eve", "dan")))
    assert np.array_equal(values(annotations, "eve", "a.b", (20, 31)), masks["a.b"][:, ::-1])
    assert np.array_equal(values(annotations, "dan", "c", (18, 25)), masks["c"][::-1])
    assert annotations.gaps() == [
        "dan has no mask of 1 of 2 training images, which use the other annotators': a.b",
    ]
    with pytest.raises(CompetitionError, match=r"there are no masks in .*gil"):
        read_annotations(competition, AnnotatorsConfig(masks=("gil",)))
    with pytest.raises(CompetitionError, match="a folder of masks for each annotator, and no column"):
        read_annotations(competition, AnnotatorsConfig(masks=("eve",), column="who"))


def test_lists_and_folders_of_label_maps(tmp_path):
    rng = np.random.default_rng(6)
    for folder in ("images", "labels", "ida", "jo"):
        (tmp_path / folder).mkdir()
    maps = {stem: rng.choice([0, 1, 2, 255], (12, 19)).astype(np.uint8) for stem in ("p", "q")}
    for stem, classes in maps.items():
        cv2.imwrite(str(tmp_path / "images" / f"{stem}.png"), np.zeros((12, 19, 3), np.uint8))
        for folder, changed in (("labels", classes * 0), ("ida", classes), ("jo", classes[::-1])):
            cv2.imwrite(str(tmp_path / folder / f"{stem}.png"), changed)
    (tmp_path / "train.txt").write_text("".join(f"images/{stem}.png labels/{stem}.png\n" for stem in maps))
    (tmp_path / "jo.txt").write_text("images/p.png jo/p.png\nimages/x.png jo/q.png\n")
    competition = opened(tmp_path, "file-list", class_names=("sky", "road", "car"))
    annotations = read_annotations(competition, AnnotatorsConfig(masks=("ida", "jo.txt")))
    ida = annotations.label("ida", Sample("images/q.png", ""), (12, 19))
    assert np.array_equal(np.where(ida.valid, ida.values, 255), maps["q"])
    jo = annotations.label("jo.txt", Sample("images/p.png", ""), (12, 19))
    assert np.array_equal(np.where(jo.valid, jo.values, 255), maps["p"][::-1])
    lacking, strange = annotations.gaps()
    assert lacking.startswith("jo.txt has no mask of 1 of 2 training images")
    assert strange == "jo.txt marks 1 images that are not training images: images/x.png"
    (tmp_path / "jo.txt").write_text("images/p.png\n")
    with pytest.raises(CompetitionError, match=r"jo\.txt, line 1: 1 fields, expected 'image label'"):
        read_annotations(competition, AnnotatorsConfig(masks=("jo.txt",)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "x.jpg\t1 2\n",
            r"z\.csv has no mask of any training image: it names x\.jpg, expected .* T000\.jpg",
        ),
        ("T000.jpg\t1 2\nT000.jpg\t\n", r"z\.csv: 1 duplicate ids: T000\.jpg"),
        ("T000.jpg\t1 2\tann\n", r"z\.csv has 3 columns"),
        (None, r"there is no file z\.csv in"),
    ],
)
def test_tables_that_do_not_fit(tiles, tmp_path, rows, message):
    folder = shutil.copytree(tiles, tmp_path / "tiles")
    if rows is not None:
        (folder / "z.csv").write_text(rows)
    with pytest.raises(CompetitionError, match=message):
        read_annotations(opened(folder), AnnotatorsConfig(masks=("ann.csv", "z.csv")))


def test_a_path_stays_in_the_competitions_folder(tiles):
    with pytest.raises(CompetitionError, match="not a plain path inside the competition's folder"):
        read_annotations(opened(tiles), AnnotatorsConfig(masks=("../other.csv",)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"masks": "[a.csv, a.csv]"}, "masks names a file twice: a.csv"),
        ({"masks": "[a.csv, b.csv]", "column": "who"}, "column is who, so masks must be one table: it has 2"),
        ({"masks": "[]"}, r"targets\.annotators\.masks"),
        ({"merge": "mean"}, r"targets\.annotators\.masks is missing"),
        ({"masks": "[a.csv]", "merge": "median"}, r"targets\.annotators\.merge is 'median'"),
    ],
)
def test_configs_that_make_no_sense(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(None, {f"targets.annotators.{key}": value for key, value in overrides.items()})


def label(rows, void=()):
    values = np.array(rows, np.uint8)
    valid = np.ones(values.shape[-2:], bool)
    for place in void:
        valid[place] = False
    return Label(np.where(valid, values, 0).astype(np.uint8), valid)


def test_the_mean_by_hand():
    binary = mean_label(
        LabelSpec("binary", ("roof",)),
        [label([[1, 1, 0, 1]], [(0, 3)]), label([[1, 0, 0, 1]], [(0, 3)]), label([[1, 0, 0, 1]], [(0, 1), (0, 3)])],
    )
    assert binary.values == pytest.approx(np.array([[[1, 0.5, 0, 0]]]))
    assert binary.valid.tolist() == [[True, True, True, False]]
    classes = mean_label(
        LabelSpec("multiclass", tuple("abc")), [label([[2, 0]]), label([[2, 1]]), label([[0, 1]], [(0, 1)])]
    )
    assert classes.values == pytest.approx(np.array([[[1 / 3, 0.5]], [[0, 0.5]], [[2 / 3, 0]]]))
    both = mean_label(LabelSpec("multilabel", ("x", "y")), [label([[[1, 0]], [[1, 1]]]), label([[[0, 0]], [[1, 0]]])])
    assert both.values == pytest.approx(np.array([[[0.5, 0]], [[1, 0.5]]]))
    assert all(found.values.dtype == np.float32 for found in (binary, classes, both))


def test_staple_of_every_task():
    rng = np.random.default_rng(9)
    truth = (rng.random((2, 14, 21)) < 0.4).astype(np.uint8)
    layers = np.stack([truth ^ (rng.random(truth.shape) < noise) for noise in (0.05, 0.2, 0.1)]).astype(np.uint8)
    void = rng.random((3, 14, 21)) < 0.15
    void[:, 2, 3] = True
    found = staple_label(
        LabelSpec("multilabel", ("x", "y")),
        [Label(np.where(own, 0, mask), ~own) for mask, own in zip(layers, void, strict=True)],
    )
    for number in (0, 1):
        alone = staple(np.where(void, -1, layers[:, number].astype(int)), 2).posterior[1]
        assert np.array_equal(found.values[number], alone)
        one = [Label(np.where(own, 0, mask[number]), ~own) for mask, own in zip(layers, void, strict=True)]
        assert np.array_equal(staple_label(LabelSpec("binary", ("x",)), one).values, alone[None])
    assert not found.valid[2, 3]
    assert found.valid.sum() == (~void).any(0).sum()
    classes = layers.sum(1).astype(np.uint8)
    exclusive = staple_label(
        LabelSpec("multiclass", tuple("abc")),
        [Label(np.where(own, 0, mask), ~own) for mask, own in zip(classes, void, strict=True)],
    )
    assert np.array_equal(exclusive.values, staple(np.where(void, -1, classes.astype(int)), 3).posterior)


def test_targets_of_images_that_not_everybody_has_drawn(tiles, drawn_by):
    competition = opened(tiles)
    everything = read_annotations(competition, AnnotatorsConfig(masks=ANNOTATORS))
    masks = {name: dict(own) for name, own in everything.masks.items()}
    del masks["ann.csv"]["T001.jpg"], masks["cleo.csv"]["T001.jpg"]
    for own in masks.values():
        del own["T004.jpg"]
    annotations = Annotations(competition, masks)
    assert annotations.gaps()[0] == (
        "ann.csv has no mask of 2 of 6 training images, which use the other annotators': T001.jpg, T004.jpg"
    )
    assert annotations.gaps()[-1] == (
        "no annotator has a mask of 1 of 6 training images, which keep the competition's own: T004.jpg"
    )
    samples = competition.samples("train")
    data = TrainDataset(competition, samples, sources=[AnnotatorTargets(annotations, "mean", seed=0)])
    data = pickle.loads(pickle.dumps(data))
    targets = {item["id"]: item["targets"]["mask"] for item in (data[Draw(0, index)] for index in range(6))}
    assert np.array_equal(targets["T001.jpg"][0], drawn_by["bob.csv"]["T001.jpg"])
    own = competition.label(samples.by_id["T004.jpg"].masks, SIZES["T004.jpg"]).values
    assert np.array_equal(targets["T004.jpg"][0], own)
    mean = np.mean([masks["T002.jpg"] for masks in drawn_by.values()], axis=0, dtype=np.float32)
    assert len(np.unique(mean)) == 4
    assert targets["T002.jpg"][0].numpy() == pytest.approx(mean)


def test_what_the_competition_does_not_score_stays_out(tiles, drawn_by):
    competition = opened(tiles)
    targets = AnnotatorTargets(read_annotations(competition, AnnotatorsConfig(masks=ANNOTATORS)), "mean", seed=0)
    valid = np.ones(SIZES["T002.jpg"], bool)
    valid[5:20] = False
    found = targets(competition.samples("train").by_id["T002.jpg"], Label(0 * valid.view(np.uint8), valid), Draw(0, 2))
    assert np.array_equal(found.valid, valid)
    assert not found.values[:, ~valid].any()
    assert found.values[:, valid].any()


def test_another_annotator_in_each_epoch(tiles, drawn_by):
    competition = opened(tiles)
    annotations = read_annotations(competition, AnnotatorsConfig(masks=ANNOTATORS))
    samples = competition.samples("train")

    def chosen(seed, epoch, index, repeat=0):
        data = TrainDataset(competition, samples, sources=[AnnotatorTargets(annotations, "random", seed=seed)])
        mask = data[Draw(epoch, index, repeat)]["targets"]["mask"][0].numpy()
        (who,) = [name for name in ANNOTATORS if np.array_equal(drawn_by[name][samples[index].id], mask)]
        return who

    choices = [[chosen(0, epoch, index) for epoch in range(20)] for index in range(4)]
    assert choices == [[chosen(0, epoch, index, repeat=1) for epoch in range(20)] for index in range(4)]
    counts = [sum(own.count(name) for own in choices) for name in ANNOTATORS]
    assert min(counts) > 14, "each about a third of 80"
    assert len({tuple(own) for own in choices}) == 4
    assert choices[0] != [chosen(1, epoch, 0) for epoch in range(20)]


def test_staple_goes_through_the_dataset(tiles, drawn_by):
    competition = opened(tiles)
    source = AnnotatorTargets(read_annotations(competition, AnnotatorsConfig(masks=ANNOTATORS)), "staple", seed=0)
    item = TrainDataset(competition, competition.samples("train"), sources=[source])[Draw(3, 1)]
    expected = staple(np.stack([masks["T001.jpg"] for masks in drawn_by.values()]), 2).posterior[1]
    assert torch.equal(item["targets"]["mask"][0], torch.from_numpy(expected))


def test_a_run_reads_them_once_and_says_once_what_is_missing(tiles, tmp_path, caplog):
    folder = shutil.copytree(tiles, tmp_path / "tiles")
    (folder / "bob.csv").write_text("".join((folder / "bob.csv").read_text().splitlines(True)[:4]))
    config = load_config(None, {"competition.root": folder, "targets.annotators.masks": list(ANNOTATORS)}, name="a")
    run = Run.create(config, tmp_path)
    first = run.annotations()
    (folder / "bob.csv").unlink()
    assert run.annotations() is first
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("bob.csv has no mask of 2 of 6 training images")
    assert Run.create(load_config(None, {"competition.root": folder}, name="b"), tmp_path).annotations() is None
