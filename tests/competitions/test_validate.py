import zipfile

import cv2
import numpy as np
import pytest

from maskfold.competitions import validate_submission
from maskfold.competitions.profile import SHIPPED
from maskfold.errors import SubmissionError


def problems(twin, path, **options):
    with pytest.raises(SubmissionError) as caught:
        validate_submission(path, twin.open(), **options)
    first, *listed = str(caught.value).split("\n  - ")
    assert first == f"{path} is not a valid submission:"
    return listed


def submission(tmp_path, text):
    path = tmp_path / "s.csv"
    path.write_text(text)
    return path


VALID = "z.jpg\t1 3 399 1\nx.jpg\t\ny.jpg\t480 1\n"


def test_valid_submissions(tianchi, tgs, tmp_path):
    validate_submission(submission(tmp_path, VALID), tianchi.open())
    validate_submission(tianchi.root / "test_a_samplesubmit.csv", tianchi.open())
    validate_submission(tgs.root / "sample_submission.csv", tgs.open())


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("x.jpg\t\n", "", "1 missing ids: x.jpg"),
        ("x.jpg\t\n", "x.jpg\t\na.jpg\t\n", "1 unknown ids: a.jpg"),
        ("x.jpg\t\n", "x.jpg\t\nz.jpg\t\n", "1 duplicate ids: z.jpg"),
        ("1 3 399 1", "1 3 399 2", "1 masks that cannot be read: z.jpg: RLE"),
        ("480 1", "0 1", "1 masks that cannot be read: y.jpg: RLE"),
        ("480 1", "480", "1 masks that cannot be read: y.jpg: RLE"),
        ("480 1", "480 1 5 2", "1 masks that cannot be read: y.jpg: RLE"),
        ("480 1", "48o 1", "1 masks that cannot be read: y.jpg: RLE"),
        ("480 1", "-1", "1 masks that cannot be read: y.jpg: RLE"),
    ],
)
def test_each_way_of_not_matching_the_sample(tianchi, tmp_path, old, new, problem):
    assert old in VALID
    found = problems(tianchi, submission(tmp_path, VALID.replace(old, new)))
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_the_sample_submission_has_the_columns_in_another_order(tgs, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        (SHIPPED / "tgs-salt.yaml").read_text().replace("{id: id, mask: rle_mask}", "{mask: rle_mask, id: id}")
    )
    tgs.profile = str(own)
    (problem,) = tgs.open().survey("test").problems
    assert problem.startswith(
        "sample_submission.csv has the columns id,rle_mask, a submission would have rle_mask,id: give test.columns"
    )


def test_the_sample_submission_has_further_columns(tgs):
    path = tgs.root / "sample_submission.csv"
    first, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"sure,{first}", *(f"0.5,{row}" for row in rows)]))
    assert tgs.open().survey("test").warnings == (
        "sample_submission.csv has the columns sure,id,rle_mask, a submission would have id,rle_mask: without sure it "
        "may be refused",
    )
    assert len(tgs.open().samples("test")) == len(rows)


def test_another_order(tianchi, tmp_path):
    lines = VALID.splitlines(keepends=True)
    assert problems(tianchi, submission(tmp_path, lines[0] + lines[2] + lines[1])) == [
        "ids in another order than in the sample submission: y.jpg stands where x.jpg is expected "
        "(row 2 without the header)"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("t2,\nt1,\n", "s.csv has the columns t2,, expected id,rle_mask"),
        ("rle_mask,id\n,t2\n,t1\n", "s.csv has the columns rle_mask,id, expected id,rle_mask"),
        ("id,rle_mask,score\nt2,,1\nt1,,1\n", "s.csv has the columns id,rle_mask,score, expected id,rle_mask"),
        ("id\trle_mask\nt2\t\nt1\t\n", "s.csv has the columns id\trle_mask, expected id,rle_mask"),
        (
            "\ufeffid,rle_mask\nt2,\nt1,\n",
            "s.csv begins with a byte order mark, which a competition reads as part of the first field: save it as "
            "UTF-8 without one",
        ),
        ("", "s.csv is not a CSV separated by ',': No columns to parse from file"),
    ],
)
def test_columns(tgs, tmp_path, text, problem):
    assert problems(tgs, submission(tmp_path, text)) == [problem]


def test_all_problems_in_one_pass_and_the_first_few_of_each(tianchi, tmp_path):
    unknown = "".join(f"n{number}.jpg\t\n" for number in range(5))
    text = unknown + "z.jpg\t1 1 1 1\nz.jpg\t400 1\ny.jpg\t1 1\n"
    found = problems(tianchi, submission(tmp_path, text))
    assert found[:3] == [
        "1 missing ids: x.jpg",
        "5 unknown ids: n0.jpg, n1.jpg, n2.jpg and 2 more",
        "1 duplicate ids: z.jpg",
    ]
    assert found[3].startswith("2 masks that cannot be read: z.jpg: RLE")
    assert found[3].count("z.jpg: RLE") == 2
    assert len(found) == 4


def test_given_sizes_count(tianchi, tmp_path):
    path = submission(tmp_path, VALID)
    sizes = {**tianchi.test, "y.jpg": (16, 29)}
    assert problems(tianchi, path, sizes=sizes)[0].startswith("1 masks that cannot be read: y.jpg")
    validate_submission(path, tianchi.open(), sizes=tianchi.test)


def test_no_submission_at_all(tianchi, png_masks, tmp_path):
    assert "No such file" in problems(tianchi, tmp_path / "absent.csv")[0]
    (problem,) = problems(png_masks, tmp_path / "absent")
    assert problem.startswith(f"{tmp_path / 'absent'} is not a folder or zip archive of mask files: give one, or name")


def test_rows_per_class(clouds, tmp_path):
    head = "Image_Label,EncodedPixels\n"
    rows = ["t_9.jpg_Fish,1 4", "t_9.jpg_Sugar,", "s_8.jpg_Fish,", "s_8.jpg_Sugar,1 391"]
    validate_submission(submission(tmp_path, head + "\n".join(rows)), clouds.open())
    rows[1:3] = ["t_9.jpg_Bird,", "s_8.jpg_Fish,1 392"]
    assert problems(clouds, submission(tmp_path, head + "\n".join(rows)))[:2] == [
        "1 missing ids: t_9.jpg (class Sugar)",
        "1 unknown ids: t_9.jpg (class Bird)",
    ]


def test_rows_per_instance(airbus, tmp_path):
    head = "ImageId,EncodedPixels\n"
    validate_submission(submission(tmp_path, head + "t1.jpg,1 2\nt1.jpg,5 2\nt0.jpg,\n"), airbus.open())
    found = problems(airbus, submission(tmp_path, head + "t1.jpg,1 2\nt1.jpg,1 2\nt0.jpg,\n"))
    assert found == ["1 duplicate ids: t1.jpg with 1 2"]
    found = problems(airbus, submission(tmp_path, head + "t0.jpg,\nt1.jpg,5 2\n"))
    assert found[0].startswith("ids in another order")


def test_png_folders(png_masks, tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    cv2.imwrite(str(folder / "n.png"), np.zeros((20, 17), np.uint8))
    cv2.imwrite(str(folder / "k.png"), np.zeros((20, 17), np.uint8))
    assert problems(png_masks, folder) == [
        "1 missing files: m.png",
        "1 unknown files: k.png",
        "1 masks that cannot be used: n.png: the mask is 20x17 (height x width), its image 17x20: "
        "they must be the same size",
    ]


@pytest.mark.parametrize(("value", "problem"), [(3, "holds the values 3"), (255, "holds 255, which is not a class")])
def test_label_values_and_repeated_members(file_list, tmp_path, value, problem):
    label = np.zeros((18, 25), np.uint8)
    label[0, 0] = value
    good, bad = (cv2.imencode(".png", values)[1].tobytes() for values in (label * 0, label))
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("t0.png", good)
        archive.writestr("t1.png", bad)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("t0.png", good)
    found = problems(file_list, tmp_path / "s.zip")
    assert found[0] == "1 duplicate files: t0.png"
    assert found[1].startswith(f"1 masks that cannot be used: t1.png: the mask {problem}")
