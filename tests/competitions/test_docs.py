"""docs/competitions.md: its example works, and its tables hold every key of the schema."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
from tests.competitions.conftest import slow_rle, write_image

from maskfold.competitions import SubmissionWriter, load_profile, open_competition
from maskfold.competitions.profile import CsvProfile, CsvSplit, CsvSubmission, FileListProfile, PngMasksProfile
from maskfold.config import CompetitionConfig
from maskfold.images import ImageSpec
from maskfold.rle import RLEDialect

DOCS = Path(__file__).parents[2] / "docs/competitions.md"


def example(tmp_path):
    snippet = re.search(r"```yaml\n(layout: csv\n.*?)```", DOCS.read_text(encoding="utf-8"), re.S).group(1)
    assert len(snippet.splitlines()) < 30
    path = tmp_path / "steel.yaml"
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
    assert competition.class_names == ("background", "scratch", "dent", "hole")
    np.testing.assert_array_equal(competition.mask(competition.samples("train")[0].masks, size), label)
    with SubmissionWriter(competition, tmp_path / "s.csv", ["t.jpg"]) as writer:
        writer.write("t.jpg", label)
    written = "".join(f"t.jpg,{index},{runs[index]}\n" for index in (1, 2, 3))
    assert (tmp_path / "s.csv").read_text() == head + written


def test_every_key_is_in_a_table():
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    documented = {key for row in rows for key in re.findall(r"`([a-z_.]+)`", "|".join(row.split("|")[:3]))}
    keys = {f"{part}.{key}" for part in ("train", "test") for key in CsvSplit.model_fields}
    keys |= set(CsvProfile.model_fields) - {"train", "test", "dialect"}
    keys = (keys - {"submission"}) | {f"submission.{key}" for key in CsvSubmission.model_fields}
    keys |= {f"dialect.{field.name}" for field in fields(RLEDialect)}
    keys |= {f"image_spec.{field.name}" for field in fields(ImageSpec)}
    keys |= set(PngMasksProfile.model_fields) | set(FileListProfile.model_fields)
    assert keys <= documented


def test_every_shipped_profile_has_a_section():
    sections = re.findall(r"^### ([a-z-]+)$", DOCS.read_text(encoding="utf-8"), re.M)
    assert [load_profile(name).name for name in sections] == sections
    assert len(sections) == 4
