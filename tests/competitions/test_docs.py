"""docs/competitions.md: its example works, and its tables hold every key of the schema."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from tests.clouds import draw_clouds
from tests.competitions.conftest import slow_rle, write_image
from tests.conftest import TINY

from maskfold.competitions import SubmissionWriter, load_profile, open_competition
from maskfold.competitions.channels import Channel
from maskfold.competitions.csv_split import CsvSlices, CsvSubmission, CsvTest, CsvTrain
from maskfold.competitions.label_profiles import (
    CocoJsonProfile,
    CocoSource,
    FileListProfile,
    LabelFilesProfile,
    LabelSource,
    PngMasksProfile,
)
from maskfold.competitions.profile import CsvProfile
from maskfold.config import CompetitionConfig, load_config
from maskfold.images import ImageSpec
from maskfold.rle import RLEDialect
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.training import fit

DOCS = Path(__file__).parents[2] / "docs/competitions.md"


def example(tmp_path):
    return written_example(tmp_path / "steel.yaml", 0)


def written_example(path, number):
    snippet = re.findall(r"```yaml\n(layout: csv\n.*?)```", DOCS.read_text(encoding="utf-8"), re.S)[number]
    assert len(snippet.splitlines()) < 30
    path.write_text(snippet)
    return path


def test_the_example_reads_and_writes_rows_per_class(tmp_path):
    size = (9, 14)
    label = np.zeros(size, np.uint8)
    label[0, :5], label[3:6, 2:9], label[-1, -1] = 1, 3, 1
    write_image(tmp_path / "steel/train_images/p.jpg", 1, size)
    write_image(tmp_path / "steel/test_images/t.jpg", 2, size)
    runs = {index: slow_rle(label == index, order="C", start=0) for index in (1, 2, 3)}
    assert runs[1] == "0 5 125 1"
    head = "ImageId,ClassId,EncodedPixels\n"
    (tmp_path / "steel/train.csv").write_text(f"{head}p.jpg,3,{runs[3]}\np.jpg,1,{runs[1]}\np.jpg,2,-1\n")
    sample = head + "".join(f"t.jpg,{index},0 1\n" for index in (1, 2, 3))
    (tmp_path / "steel/sample_submission.csv").write_text(sample)

    config = CompetitionConfig(profile=str(example(tmp_path)), root=tmp_path / "steel")
    competition = open_competition(config)
    assert competition.labels.class_names == ("background", "scratch", "dent", "hole")
    np.testing.assert_array_equal(competition.label(competition.samples("train")[0].masks, size).values, label)
    with SubmissionWriter(competition, tmp_path / "s.csv", ["t.jpg"]) as writer:
        writer.write("t.jpg", label)
    written = "".join(f"t.jpg,{index},{runs[index]}\n" for index in (1, 2, 3))
    assert (tmp_path / "s.csv").read_text() == head + written


def test_the_example_of_classes_that_overlap(tmp_path):
    size = (8, 11)
    layers = np.zeros((4, *size), np.uint8)
    layers[0, 1:5, 2:8], layers[1, 3:7, 4:10], layers[3, :, -1] = 1, 1, 1
    write_image(tmp_path / "clouds/train_images/p.jpg", 1, size)
    write_image(tmp_path / "clouds/test_images/t.jpg", 2, size)
    names = ("Fish", "Flower", "Gravel", "Sugar")
    head = "Image_Label,EncodedPixels\n"
    rows = [f"{name},{slow_rle(layer)}\n" for name, layer in zip(names, layers, strict=True)]
    (tmp_path / "clouds/train.csv").write_text(head + "".join(f"p.jpg_{row}" for row in rows))
    (tmp_path / "clouds/sample_submission.csv").write_text(head + "".join(f"t.jpg_{name},1 1\n" for name in names))
    profile = written_example(tmp_path / "own.yaml", 1)
    competition = open_competition(CompetitionConfig(profile=str(profile), root=tmp_path / "clouds"))
    assert (competition.labels.task, competition.labels.class_names) == ("multilabel", names)
    masks = competition.samples("train")[0].masks
    np.testing.assert_array_equal(competition.label(masks, size).values, layers)
    assert competition.coverage(masks, size) == layers.any(0).mean()
    with SubmissionWriter(competition, tmp_path / "s.csv", ["t.jpg"]) as writer:
        writer.write("t.jpg", layers)
    assert (tmp_path / "s.csv").read_text() == head + "".join(f"t.jpg_{row}" for row in rows)


@pytest.mark.parametrize(("number", "loss"), [(0, "cross_entropy"), (1, "bce")])
def test_the_examples_train_without_a_loss_in_the_config(tmp_path, number, loss):
    profile = load_profile(str(written_example(tmp_path / "own.yaml", number)))
    rng, tables = np.random.default_rng(0), {name: [",".join(profile.columns.values())] for name in ("train", "test")}
    for index in range(4):
        image, layers = draw_clouds(rng, (40, 48))
        for split, name in (("train", f"p{index}.png"), ("test", f"t{index}.png")):
            write_image(tmp_path / f"data/{split}_images/{name}", index, image.shape[:2])
            for place, value in enumerate(profile.csv_classes):
                layer = layers[place] & ~layers[:place].any(0) if not profile.overlapping else layers[place]
                id_ = f"{name}_{value}" if profile.class_separator else f"{name},{value}"
                tables[split].append(f"{id_},{profile.dialect.encode(layer)}")
    (tmp_path / "data/train.csv").write_text("\n".join(tables["train"]) + "\n")
    (tmp_path / "data/sample_submission.csv").write_text("\n".join(tables["test"]) + "\n")
    keys = {"competition.profile": str(tmp_path / "own.yaml"), "competition.root": tmp_path / "data"}
    config = load_config(None, {**TINY, **keys, "folds.count": 2, "train.epochs": 1}, name="own")
    run = Run.create(config, tmp_path / "runs")
    fit(run, 0)
    assert loss in read_epochs(run.fold(0))


def test_every_key_is_in_a_table():
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    documented = {key for row in rows for key in re.findall(r"`([a-z_.]+)`", "|".join(row.split("|")[:3]))}
    sections = {"train": CsvTrain, "test": CsvTest, "submission": CsvSubmission, "slices": CsvSlices}
    keys = set(CsvProfile.model_fields) - {*sections, "dialect"}
    keys |= {f"{part}.{key}" for part, section in sections.items() for key in section.model_fields}
    keys |= {f"channels.{field.name}" for field in fields(Channel)}
    keys |= {f"dialect.{field.name}" for field in fields(RLEDialect)}
    keys |= {f"image_spec.{field.name}" for field in fields(ImageSpec)}
    models = (PngMasksProfile, FileListProfile, LabelFilesProfile, LabelSource, CocoJsonProfile, CocoSource)
    keys |= {key for model in models for key in model.model_fields} - {"submission"} | {"submission.file"}
    assert keys <= documented


def test_examples_of_label_images_are_profiles(tmp_path):
    text = DOCS.read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(layout: (?:label-files|coco-json)\n.*?)```", text, re.S)
    assert len(examples) == 3
    for number, example in enumerate(examples):
        (tmp_path / f"{number}.yaml").write_text(example)
        assert load_profile(str(tmp_path / f"{number}.yaml")).class_names


def test_every_shipped_profile_has_a_section():
    sections = re.findall(r"^### ([a-z-]+)$", DOCS.read_text(encoding="utf-8"), re.M)
    assert [load_profile(name).name for name in sections] == sections
    assert len(sections) == 4
