"""Opening packs: whole and unchanged ones only, and archives that are safe to unpack."""

import hashlib
import json
import stat
import zipfile
from types import SimpleNamespace

import pytest
import yaml

from maskfold.errors import PackError
from maskfold.packing.read import open_pack

CHOICE = {"runs": [{"run": "runs/a", "checkpoint": "best", "weight": 1.0}]}
FILES = {
    "ensemble.yaml": yaml.safe_dump(CHOICE),
    "profile.yaml": "layout: csv\n",
    "runs/a/config.yaml": "name: a\nseed: 7\n",
    "runs/a/fold_1/summary.json": "{}",
    "runs/a/fold_1/best/model.safetensors": "weights",
}


def listed(files):
    return json.dumps({"files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}})


@pytest.fixture
def folder(tmp_path):
    """A pack made by hand."""
    for name, text in {**FILES, "pack.json": listed(FILES), "README.md": "card"}.items():
        (tmp_path / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / name).write_text(text)
    return tmp_path / "pack"


def archive(path, folder, more=()):
    with zipfile.ZipFile(path, "w") as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, file.relative_to(folder).as_posix())
        for entry, text in more:
            packed.writestr(entry, text)
    return path


def refused(source):
    with pytest.raises(PackError) as error, open_pack(source):
        pass
    return str(error.value)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pack_is_opened(folder, tmp_path, zipped):
    (folder / "README.md").write_text("a licence, filled in")
    (folder / ".gitattributes").write_text("what a hub adds")
    source = archive(tmp_path / "pack.zip", folder) if zipped else folder
    with open_pack(source) as pack:
        (run,) = pack.runs
        place = run.path.parents[1]
        assert run.finished_folds() == [1]
        assert run.fold(1).checkpoints() == ["best"]
        assert pack.config.seed == 7
        assert pack.config.competition.profile == str(place / "profile.yaml")
        assert pack.choice.runs[0].run == str(run.path)
        assert (place == folder) != zipped
        with pytest.raises(OSError, match="a pack is read-only"):
            run.storage.publish("fold_1/onnx/x.onnx", b"")
    assert place.exists() != zipped


def test_what_is_no_pack_is_refused(folder, tmp_path):
    assert refused(tmp_path / "none") == f"there is no pack {tmp_path / 'none'}: python src/pack.py writes one"
    (folder / "pack.json").unlink()
    for source in (folder, archive(tmp_path / "a.zip", folder)):
        assert refused(source) == f"{source} is not a pack (no pack.json): python src/pack.py writes one"
    (tmp_path / "b.zip").write_bytes(b"PK no")
    assert "b.zip is damaged, or not a zip archive" in refused(tmp_path / "b.zip")


@pytest.mark.parametrize("zipped", [False, True])
def test_changed_missing_and_strange_files_are_refused(folder, tmp_path, zipped):
    def source():
        return archive(tmp_path / "pack.zip", folder) if zipped else folder

    weights = folder / "runs/a/fold_1/best/model.safetensors"
    weights.write_text("Weights")
    assert "is damaged, runs/a/fold_1/best/model.safetensors is not what was packed" in refused(source())
    weights.unlink()
    assert "is incomplete, it lacks runs/a/fold_1/best/model.safetensors" in refused(source())
    (folder / "pack.json").write_text('{"files": 3}')
    assert "pack.json of " in refused(source())
    (folder / "pack.json").write_text(listed({"../outside": "x"}))
    assert "lists files outside of itself" in refused(source())


def test_files_beside_those_of_a_run_are_refused(folder):
    (folder / "runs/a/fold_2").mkdir()
    (folder / "runs/a/fold_2/summary.json").write_text("{}")
    assert "holds files that are not its own, runs/a/fold_2/summary.json: remove them" in refused(folder)


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "runs/../../evil.txt", "C:/evil.txt"])
def test_nothing_is_unpacked_outside(folder, tmp_path, name):
    source = archive(tmp_path / "pack.zip", folder, [(name, "evil")])
    assert f"holds {name!r}, a place outside of it: it is not unpacked" in refused(source)
    assert not list(tmp_path.parent.rglob("evil.txt"))


def test_links_are_not_unpacked(folder, tmp_path):
    (folder / "profile.yaml").unlink()
    entry = zipfile.ZipInfo("profile.yaml")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    source = archive(tmp_path / "pack.zip", folder, [(entry, "/etc/passwd")])
    assert "holds 'profile.yaml', a link: it is not unpacked" in refused(source)


def test_an_archive_for_which_there_is_no_room_is_not_unpacked(folder, tmp_path, monkeypatch):
    source = archive(tmp_path / "pack.zip", folder)
    monkeypatch.setattr("maskfold.packing.read.shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    assert "set TMPDIR to a folder on another disk, or unpack it yourself and name the folder" in refused(source)
    with open_pack(folder) as pack:
        assert pack.config.seed == 7
