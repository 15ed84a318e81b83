import pytest
import yaml
from tests.competitions.conftest import AIRBUS, CLOUDS

from maskfold.competitions import load_profile
from maskfold.competitions.profile import shipped_profiles
from maskfold.errors import CompetitionError
from maskfold.labels import LabelSpec
from maskfold.metrics import build_metric


def test_shipped_profiles_specific_layouts_first():
    names = [profile.name for profile in shipped_profiles()]
    layouts = list(dict.fromkeys(profile.layout for profile in shipped_profiles()))
    assert layouts == ["csv", "label-files", "coco-json", "file-list", "png-masks"]
    # the one that asks for more first, and of those that ask for the same the one of no particular data set
    order = ["pascal-voc-sbd", "pascal-voc", "camvid", "file-list", "paddleseg-roads", "png-masks"]
    assert [name for name in names if name in order] == order


@pytest.mark.parametrize("profile", shipped_profiles(), ids=lambda profile: profile.name)
def test_shipped_metrics_exist(profile):
    names = ("a", "b", "c") if profile.layout == "file-list" else profile.class_names
    task = getattr(profile, "task", None) or ("multiclass" if len(names) > 1 else "binary")
    assert build_metric(profile.metric.name, LabelSpec(task, names), profile.metric.options)


def test_tianchi_says_what_its_files_look_like():
    profile = load_profile("tianchi-buildings")
    assert (profile.separator, profile.header, list(profile.columns)) == ("\t", False, ["id", "mask"])
    assert (profile.dialect.order, profile.dialect.start) == ("F", 1)
    assert profile.train.folders == {"train"}
    assert load_profile("tgs-salt").test.folders == {"test/images"}


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(CompetitionError, match="did you mean tianchi-buildings"):
        load_profile("tianchi-building")


def test_own_profile_is_named_after_its_file(tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_text(CLOUDS)
    profile = load_profile(str(path))
    assert profile.name == "clouds"
    assert profile.csv_classes == ("Fish", "Sugar")


def test_numbers_are_class_values(tmp_path):
    path = tmp_path / "steel.yaml"
    path.write_text(CLOUDS + "class_values: [1, 2]\n")
    assert load_profile(str(path)).csv_classes == ("1", "2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (AIRBUS + "colums: 3\n", "unknown key colums: did you mean columns"),
        (AIRBUS + "dialect: {ordr: C}\n", "unknown key dialect.ordr: did you mean order"),
        (AIRBUS + "dialect: {start: 2}\n", "dialect.start: Input should be 0 or 1"),
        (AIRBUS.replace("test/{id}", "test/id"), r"test: image is 'test/id': it must hold \{id\}"),
        (AIRBUS.replace("mask: EncodedPixels", "class: c"), "columns lacks mask"),
        (AIRBUS.replace("[ship]", "[sea, ship]"), "class_names must hold one name"),
        (AIRBUS.replace("layout: csv", "layout: cvs"), "'cvs'.*'csv', 'png-masks', 'file-list'"),
        (AIRBUS.replace("layout: csv\n", ""), "the key layout is missing"),
        (AIRBUS.replace("metric: dice\n", ""), "metric: Field required"),
        (CLOUDS.replace("class_separator: _\n", ""), "either columns.class, or class_separator"),
        (CLOUDS.replace("[background, Fish, Sugar]", "[Fish]"), "background and at least one class"),
        (CLOUDS + "class_values: [1]\n", "1 values for the 2 classes of class_names"),
        (AIRBUS + "task: multiclass\n", "task, class_values, class_separator and columns.class belong to rows: class"),
        ("- a\n", "holds no mapping"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_profiles_that_do_not_fit(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(CompetitionError, match=message):
        load_profile(str(path))


@pytest.mark.parametrize("text", [AIRBUS, CLOUDS, CLOUDS + "task: multiclass\n", CLOUDS + "task: multilabel\n"])
def test_a_profile_written_out_whole_reads_back(tmp_path, text):
    (tmp_path / "own.yaml").write_text(text)
    profile = load_profile(str(tmp_path / "own.yaml"))
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(profile.model_dump(mode="json")))
    assert load_profile(str(tmp_path / "again.yaml")) == profile


def test_missing_profile_file(tmp_path):
    with pytest.raises(CompetitionError, match="there is no profile"):
        load_profile(str(tmp_path / "absent.yaml"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("image_spec: {chanels: 4}", "unknown key image_spec.chanels: did you mean channels?"),
        (
            "image_spec: {channels: 4, rgb: [0, 1, 4]}",
            r"image_spec: rgb is \[0, 1, 4\]: expected three channels",
        ),
        ("image_spec: {dtype: int8}", "image_spec.dtype: Input should be 'uint8', 'uint16' or 'float32'"),
        ("submission: {size: [0, 5]}", "submission.size"),
        ("submission: {width: 5}", "unknown key submission.width"),
    ],
)
def test_images_and_submissions_that_are_not_described_well(tmp_path, line, message):
    path = tmp_path / "own.yaml"
    text = "layout: csv\nmetric: dice\ntrain: {table: a.csv, image: '{id}'}\ntest: {table: b.csv, image: '{id}'}\n"
    path.write_text(f"{text}columns: {{id: id, mask: rle}}\n{line}\n")
    with pytest.raises(CompetitionError, match=message):
        load_profile(str(path))


@pytest.mark.parametrize("profile", shipped_profiles(), ids=lambda profile: profile.name)
def test_what_a_pack_writes_of_a_profile_reads_back_the_same(profile, tmp_path):
    tree = profile.model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    assert load_profile(str(tmp_path / "again.yaml")) == profile
