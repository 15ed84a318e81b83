"""A competition at a URL: copied once, whole or not at all, and read as a folder of this machine."""

import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.scripts.conftest import write_config

from maskfold.competitions import mirror
from maskfold.competitions.find import open_competition
from maskfold.config import load_config
from maskfold.errors import CompetitionError
from maskfold.runs import Run
from maskfold.steps.predict import predict
from maskfold.steps.train import train
from maskfold.storage import FsspecStorage

pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'maskfold[storage]'")


@pytest.fixture(params=["memory://", "s3://"])
def url(request, tmp_path, drawn, monkeypatch):
    """Where the tiny competition is, beside a hidden file; nothing was copied yet."""
    start = "memory:/" if request.param == "memory://" else request.getfixturevalue("bucket")
    url = f"{start}/data/{tmp_path.name}/tiny"
    storage = FsspecStorage(url)
    for path in sorted(drawn.rglob("*")):
        if path.is_file():
            storage.publish(path.relative_to(drawn).as_posix(), path.read_bytes())
    storage._system.pipe_file(f"{storage._root}/.cache/x", b"not for others")
    monkeypatch.setenv("MASKFOLD_CACHE", str(tmp_path / "cache"))
    mirror._copy.cache_clear()
    return url


def opened(url):
    return open_competition(load_config(None, {"competition.root": url}).competition)


def copies(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache/data").iterdir() if not path.name.endswith(".lock"))


def again():
    """As another process would look at the URL."""
    mirror._copy.cache_clear()


def test_it_is_copied_once_and_read_as_a_folder(url, drawn, tmp_path, monkeypatch):
    competition = opened(url)
    assert competition.root.parent == tmp_path / "cache/data"
    assert competition.root.name.startswith("tiny-")
    found = {path.relative_to(competition.root): path for path in competition.root.rglob("*") if path.is_file()}
    assert found.keys() == {path.relative_to(drawn) for path in drawn.rglob("*") if path.is_file()}
    assert all(path.read_bytes() == (drawn / name).read_bytes() for name, path in found.items())
    assert competition.samples("train").ids == opened(drawn).samples("train").ids
    monkeypatch.setattr(FsspecStorage, "fetch", lambda *_: pytest.fail("it is there already"))
    again()
    assert opened(url).root == competition.root


def test_what_was_changed_at_the_url_is_another_copy(url, tmp_path):
    former = opened(url).root
    FsspecStorage(url).publish("train/T000.jpg", b"another image")
    again()
    competition = opened(url)
    assert (competition.root / "train/T000.jpg").read_bytes() == b"another image"
    assert (former / "train/T000.jpg").read_bytes() != b"another image"
    assert len(copies(tmp_path)) == 2


def test_a_copy_that_breaks_off_leaves_nothing(url, tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "AT_ONCE", 7)
    original, calls = FsspecStorage.fetch, []

    def breaking(storage, keys, folder):
        calls.append(len(keys))
        if len(calls) == 3:
            raise OSError("the network is gone")
        original(storage, keys, folder)

    with monkeypatch.context() as patch:
        patch.setattr(FsspecStorage, "fetch", breaking)
        with pytest.raises(OSError, match="network"):
            opened(url)
    assert calls == [7, 7, 7]
    assert copies(tmp_path) == []
    again()
    name = opened(url).root.name
    shutil.move(tmp_path / "cache/data" / name, tmp_path / "cache/data" / f".{name}.part-0123")
    again()
    assert opened(url).root.name == name
    assert copies(tmp_path) == [name], "what a killed process left is removed"


def test_files_that_change_meanwhile_are_refused(url, tmp_path, monkeypatch):
    original = FsspecStorage.fetch

    def changing(storage, keys, folder):
        original(storage, keys, folder)
        storage.publish("train_mask.csv", b"T000.jpg\t1 2\n")

    monkeypatch.setattr(FsspecStorage, "fetch", changing)
    with pytest.raises(CompetitionError, match=r"1 files at .* changed while they were copied \(train_mask.csv\)"):
        opened(url)
    assert copies(tmp_path) == []


def test_no_room_and_nothing_there_are_one_message(url, monkeypatch):
    with pytest.raises(CompetitionError, match=r"there are no files at .*/nothing: put the competition's files"):
        opened(f"{url}/nothing")
    monkeypatch.setattr(mirror.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(CompetitionError, match=r"take .* GB, .* has room for 1e-06: .* MASKFOLD_CACHE"):
        opened(url)


def test_a_machine_that_has_no_copy_makes_one(url, tmp_path, monkeypatch):
    """What is sent to workers of a cluster: the competition as one machine sees it."""
    sent = pickle.dumps(opened(url))
    monkeypatch.setenv("MASKFOLD_CACHE", str(tmp_path / "elsewhere"))
    shutil.rmtree(tmp_path / "cache")
    again()
    competition = pickle.loads(sent)
    assert competition.root.parent == tmp_path / "elsewhere/data"
    assert len(competition.samples("test")) == 5


@pytest.mark.slow
@pytest.mark.parametrize("url", ["s3://"], indirect=True)
def test_a_run_remembers_the_url_and_its_files_are_those_of_a_folder(url, drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {}
    for name, root in (("there", url), ("here", str(drawn))):
        config = write_config(tmp_path / f"{name}.yaml", competition__root=root, train__epochs=1, folds__count=3)
        run = train(load_config(config), 1)
        assert str(Run(run.path).config.competition.root) == str(Path(root))
        files[name] = [(run.path / key).read_bytes() for key in ("folds.csv", "fold_1/best.safetensors")]
        files[name].append(predict(run).read_bytes())
    assert files["there"] == files["here"]
