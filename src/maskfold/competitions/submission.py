"""Write a submission in the competition's form: whole and validated, or not at all."""

import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from maskfold.archives import new_member
from maskfold.competitions.competition import Competition
from maskfold.competitions.encoded import EncodedMask, MaskEncoder, Rows
from maskfold.competitions.spool import Spool
from maskfold.competitions.table import write_table
from maskfold.competitions.validate import describe_problems, submission_problems
from maskfold.competitions.windows import MaskWindows
from maskfold.errors import SubmissionError, first_few
from maskfold.files import UNFINISHED, FileBatch, atomic_path, exchange_folder, make_folder, writable

Sizes = dict[str, tuple[int, int]]
Add = Callable[[str, Any], None]  # an id, and the content of its `EncodedMask`


class SubmissionWriter:
    """Context manager that takes masks in any order and, on a clean exit, leaves a validated submission.

    The form follows the competition: a CSV of run lengths in the sample's order; or one image file per image (binary
    masks 0/255, else classes, or the values and colours of the profile's ``label_map``) in the folder ``path``, or in
    an archive where ``path`` ends in ``.zip``. An earlier submission at ``path`` is replaced; on an exception it stays
    and nothing else is left.

    Args:
        competition: the competition.
        path: the file or folder to write.
        ids: the ids that will be written, in any order; they must be those of the test split.

    Raises:
        SubmissionError: ids that differ from the test split's, at once; at the end what
            `validate_submission` finds.
    """

    def __init__(self, competition: Competition, path: Path, ids: Iterable[str]) -> None:
        self.competition = competition
        self.path = Path(path)
        self._encode = MaskEncoder(competition)
        self._sizes: Sizes = {}
        self._check_ids(list(ids))
        self._sink = _sink(competition, self.path, self._sizes)

    def __enter__(self) -> "SubmissionWriter":
        self._add = self._sink.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.__exit__(kind, error, trace)

    def write(self, id: str, mask: np.ndarray | MaskWindows) -> bool:
        """Encode a mask, see `MaskEncoder`, and `add` it."""
        return self.add(self._encode(id, mask))

    def add(self, mask: EncodedMask) -> bool:
        """Add one image's mask, which any process may have encoded.

        Returns:
            Whether anything is in it.

        Raises:
            SubmissionError: the image has a mask already.
        """
        if mask.id in self._sizes:
            raise SubmissionError(f"{mask.id} is written twice: every test image has one mask")
        self._sizes[mask.id] = mask.size
        self._add(mask.id, mask.content)
        return mask.there

    def _check_ids(self, ids: list[str]) -> None:
        given, samples = set(ids), self.competition.samples("test").by_id
        missing = [name for name in samples if name not in given]
        unknown = [name for name in ids if name not in samples]
        if missing or unknown:
            raise SubmissionError(
                f"the ids to be written are not the competition's {len(samples)} test ids: {len(missing)} "
                f"missing ({first_few(missing)}), {len(unknown)} unknown ({first_few(unknown)})"
            )


def _sink(competition: Competition, path: Path, sizes: Sizes) -> AbstractContextManager[Add]:
    if competition.submission_kind == "csv":
        return _csv_sink(competition, path, sizes)
    form = _zip_sink if path.suffix == ".zip" else _folder_sink
    return form(competition, path, sizes)


@contextmanager
def _csv_sink(competition: Competition, path: Path, sizes: Sizes) -> Iterator[Add]:
    layout = competition.layout
    with Spool(path) as rows:

        def add(image_id: str, content: Rows) -> None:
            for value, rles in content.items():
                rows.add((image_id, value), rles)

        yield add
        # The sample of a competition with a row per instance may name an image more than once.
        order = [key for key in dict.fromkeys(layout.sample_keys()) if key in rows]
        with atomic_path(path) as temporary:
            written = ((*key, rle) for key in order for rle in rows.texts(key))
            write_table(layout.profile.form("test"), written, temporary)
            _require_valid(temporary, path, competition, sizes)


@contextmanager
def _zip_sink(competition: Competition, path: Path, sizes: Sizes) -> Iterator[Add]:
    names = competition.layout.file_names()
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            yield lambda image_id, content: archive.writestr(new_member(names[image_id]), content)
        _require_valid(temporary, path, competition, sizes)


@contextmanager
def _folder_sink(competition: Competition, path: Path, sizes: Sizes) -> Iterator[Add]:
    names = competition.layout.file_names()
    refuse_other_content(path)
    temporary = path.parent / f".{path.stem}.{UNFINISHED}{uuid.uuid4().hex}"
    with writable(path):
        make_folder(temporary)
    masks = FileBatch()
    try:

        def add(image_id: str, content: bytes) -> None:
            with masks.path(temporary / names[image_id]) as file:
                file.write_bytes(content)

        yield add
        _require_valid(temporary, path, competition, sizes)
        masks.sync()
        exchange_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _require_valid(written: Path, path: Path, competition: Competition, sizes: Sizes) -> None:
    problems = submission_problems(written, competition, sizes=sizes)
    if problems:
        raise SubmissionError(describe_problems(path, problems))


def refuse_other_content(path: Path) -> None:
    """Refuse a place for a folder of masks where there is something else than an earlier one.

    Raises:
        SubmissionError: there is.
    """
    if not path.exists():
        return
    others = (
        [entry.name for entry in path.iterdir() if entry.suffix not in (".png", ".tif")]
        if path.is_dir()
        else [path.name]
    )
    if others:
        raise SubmissionError(
            f"{path} is not the folder of an earlier submission (it holds {first_few(others)}): choose another"
        )
