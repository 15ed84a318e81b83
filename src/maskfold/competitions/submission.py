"""Write a submission in the competition's form: whole and validated, or not at all."""

import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from maskfold.competitions.competition import Competition
from maskfold.competitions.images import is_large
from maskfold.competitions.spool import Spool
from maskfold.competitions.table import write_table
from maskfold.competitions.validate import describe_problems, submission_problems
from maskfold.competitions.windows import MaskWindows
from maskfold.errors import SubmissionError, first_few
from maskfold.files import UNFINISHED, atomic_path, exchange_folder, make_folder, sync_files, writable
from maskfold.program import command_line

Sizes = dict[str, tuple[int, int]]
Add = Callable[[str, np.ndarray | MaskWindows], None]


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
        self._samples = competition.samples("test").by_id
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
        """Add one image's mask, bool or integers as the competition's ``labels`` has it, of `Competition.mask_size`.

        It may be a mask of instances (`maskfold.instances`), which are rows where the competition wants them.

        Returns:
            Whether anything is in it.

        Raises:
            SubmissionError: an unknown id, one written before, another size, values that are not classes.
        """
        if id not in self._samples:
            raise SubmissionError(f"{id} is not a test image of this competition: it cannot be part of a submission")
        if id in self._sizes:
            raise SubmissionError(f"{id} is written twice: every test image has one mask")
        size = self.competition.mask_size(self._samples[id])
        shape, expected = _shape(mask, self.competition), self.competition.labels.mask_shape(size)
        if shape != expected:
            raise SubmissionError(
                f"the mask of {id} has shape {shape}, expected {expected}: that of its image, or of the profile's "
                "submission"
            )
        if isinstance(mask, MaskWindows):
            watched = _Watched(mask)
            self._add(id, MaskWindows(watched.read, mask.size))
            there = watched.there
        else:
            numbered = self.competition.instances and mask.dtype == np.int32
            self._check_values(id, mask, numbered=numbered)
            self._add(id, mask if numbered else mask.astype(np.uint8, copy=False))
            there = bool(mask.any())
        self._sizes[id] = size
        return there

    def _check_values(self, id: str, mask: np.ndarray, *, numbered: bool) -> None:
        highest = self.competition.labels.highest
        if mask.dtype.kind not in "bui" or mask.min() < 0 or (mask.max() > highest and not numbered):
            raise SubmissionError(
                f"the mask of {id} ({mask.dtype}) holds {mask.min()} to {mask.max()}, expected whole numbers "
                f"0 to {highest}"
            )

    def _check_ids(self, ids: list[str]) -> None:
        given = set(ids)
        missing = [name for name in self._samples if name not in given]
        unknown = [name for name in ids if name not in self._samples]
        if missing or unknown:
            raise SubmissionError(
                f"the ids to be written are not the competition's {len(self._samples)} test ids: {len(missing)} "
                f"missing ({first_few(missing)}), {len(unknown)} unknown ({first_few(unknown)})"
            )


class _Watched:
    """Reads a mask's windows, and remembers whether there was anything in them."""

    def __init__(self, mask: MaskWindows) -> None:
        self.mask, self.there = mask, False

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        window = self.mask.read(rows, columns)
        self.there = self.there or bool(window.any())
        return window


def _shape(mask: np.ndarray | MaskWindows, competition: Competition) -> tuple[int, ...]:
    return competition.labels.mask_shape(mask.size) if isinstance(mask, MaskWindows) else mask.shape


def _sink(competition: Competition, path: Path, sizes: Sizes) -> AbstractContextManager[Add]:
    if competition.submission_kind == "csv":
        return _csv_sink(competition, path, sizes)
    form = _zip_sink if path.suffix == ".zip" else _folder_sink
    return form(competition, path, sizes)


@contextmanager
def _csv_sink(competition: Competition, path: Path, sizes: Sizes) -> Iterator[Add]:
    layout = competition.layout
    with Spool(path) as rows:

        def add(image_id: str, mask: np.ndarray | MaskWindows) -> None:
            whole = isinstance(mask, np.ndarray)
            found = layout.encode(mask) if whole else layout.encode_windows(mask)
            for value, rles in found.items():
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
            yield lambda image_id, mask: archive.writestr(names[image_id], _file(competition, names[image_id], mask))
        _require_valid(temporary, path, competition, sizes)


@contextmanager
def _folder_sink(competition: Competition, path: Path, sizes: Sizes) -> Iterator[Add]:
    names = competition.layout.file_names()
    refuse_other_content(path)
    temporary = path.parent / f".{path.stem}.{UNFINISHED}{uuid.uuid4().hex}"
    with writable(path):
        make_folder(temporary)
    try:

        def add(image_id: str, mask: np.ndarray | MaskWindows) -> None:
            name = names[image_id]
            with atomic_path(temporary / name, durable=False) as file:
                file.write_bytes(_file(competition, name, mask))

        yield add
        _require_valid(temporary, path, competition, sizes)
        sync_files(temporary)
        exchange_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _file(competition: Competition, name: str, mask: np.ndarray | MaskWindows) -> bytes:
    if isinstance(mask, MaskWindows):
        if is_large(mask.size, competition.max_pixels):
            raise SubmissionError(
                f"a mask of {mask.size[0]}x{mask.size[1]} pixels is too large for a png: write tifs with "
                f"{command_line('tile', 'predict')}"
            )
        mask = mask.whole()
    pixels = competition.layout.reader.pixels(mask)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(Path(name).suffix, pixels)[1].tobytes()


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
