"""Execute the notebooks of both languages from top to bottom; the executed copies, with their pictures, go elsewhere.

The Chinese ones have the same code, so they find what the English ones trained and use it again.
"""

import argparse
import ast
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent
SECONDS = 1200  # for one cell; more is a hang


def execute(path: Path, out: Path, *, folder: Path, settings: Mapping[str, Any] | None = None) -> Path:
    """Run a notebook in ``folder`` and write it with its outputs to ``out``, also where a cell fails.

    Args:
        settings: new values for names of the cell that is tagged ``parameters`` (papermill's convention).

    Raises:
        ValueError: a setting that the notebook does not have.
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    if settings:
        set_parameters(notebook, settings)
    client = NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": folder}})
    out.mkdir(parents=True, exist_ok=True)
    try:
        client.execute()
    finally:
        nbformat.write(notebook, out / path.name)
    return out / path.name


def set_parameters(notebook: nbformat.NotebookNode, settings: Mapping[str, Any]) -> None:
    """Put a cell with the new values behind the cell tagged ``parameters``."""
    place = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    assigned = ast.parse(notebook.cells[place].source).body
    names = {target.id for node in assigned if isinstance(node, ast.Assign) for target in node.targets}
    if unknown := settings.keys() - names:
        raise ValueError(f"the notebook has no settings {sorted(unknown)}, only {sorted(names)}")
    source = "\n".join(f"{name} = {value!r}" for name, value in settings.items())
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(place + 1, cell)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", type=Path, nargs="*", help="default: all, the English ones first, in their order")
    parser.add_argument("--out", type=Path, default=Path("runs/notebooks"), help="default: runs/notebooks")
    arguments = parser.parse_args()
    for path in arguments.notebooks or [*sorted(HERE.glob("*.ipynb")), *sorted(HERE.glob("zh/*.ipynb"))]:
        start = time.perf_counter()
        out = arguments.out / "zh" if path.parent.name == "zh" else arguments.out
        try:
            copy = execute(path, out, folder=Path.cwd())
        except CellExecutionError as error:
            parser.exit(1, f"error: {path.name} failed:\n{error}\n")
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {copy}", flush=True)


if __name__ == "__main__":
    main()
