"""Images whose pixels differ in size, as a competition's tables say."""

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.profile_base import PixelSize
from maskfold.competitions.samples import read_pairs
from maskfold.errors import first_few, raise_all


def read_factors(files: CompetitionFiles, table: str, asked: PixelSize) -> dict[str, float]:
    """Id -> the factor that brings an image's pixels to the size that is ``asked`` for, of the images of one table.

    Raises:
        CompetitionError: a table or column that is not there, sizes that are not numbers above 0.
    """
    found, wrong = {}, []
    for name, text in read_pairs(files, table, asked.id, asked.column):
        try:
            found[name] = float(text) / asked.wanted
        except ValueError:
            found[name] = 0.0
        if not 0 < found[name] < float("inf"):
            wrong.append(f"{name} in {table} has {text!r}")
    raise_all([f"{len(wrong)} sizes of pixels are not numbers above 0: {first_few(wrong)}"] if wrong else [])
    return found
