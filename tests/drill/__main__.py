"""The drill: faults at random instants of real commands, which must end as if nothing had been.

    python -m tests.drill [--short] [--seed N] [--lanes N] [--only WORD]

Prints a table: fault, tries, survived. Exit code 1 where one did not survive.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.drill.commands import import_all
from tests.drill.faults import CORES, FAULTS, left_out
from tests.drill.lane import Lane

Row = dict[str, Any]
IDLE = 20  # tries in which nothing happened, after which a fault counts as one that cannot happen


def main() -> None:
    """Run the drill."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="as many tries as the tests make")
    parser.add_argument("--seed", type=int, default=0, help="of all that is left to chance; default: 0")
    parser.add_argument(
        "--lanes", type=int, default=min(2, CORES), help="tries at a time; default: one a core, 2 at most"
    )
    parser.add_argument("--only", default="", help="only faults whose name holds this")
    arguments = parser.parse_args()
    started = time.monotonic()
    import_all()
    place = Path(tempfile.mkdtemp(prefix="maskfold-drill-"))
    try:
        children = [_fork_lane(place, number, arguments) for number in range(arguments.lanes)]
        for pid in children:
            os.waitpid(pid, 0)
        rows = [json.loads(path.read_text()) for path in sorted(place.glob("lane_*.json"))]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    ok = len(rows) == arguments.lanes and _table(rows)
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(0 if ok else 1)


def _fork_lane(place: Path, number: int, arguments: argparse.Namespace) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        folder = place / f"lane_{number}"
        folder.mkdir()
        rows = _lane(folder, number, arguments)
        (place / f"lane_{number}.json").write_text(json.dumps(rows))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _lane(folder: Path, number: int, arguments: argparse.Namespace) -> list[Row]:
    lane = Lane(folder, 1000 * arguments.seed + number)
    rows: list[Row] = []
    for name, kind in FAULTS.items():
        if arguments.only not in name:
            continue
        tries = kind.short if arguments.short else kind.long
        row: Row = {"fault": name, "tries": 0, "survived": 0, "note": left_out(name, tries, folder), "errors": []}
        rows.append(row)
        if row["note"]:
            continue
        mine = tries // arguments.lanes + (number < tries % arguments.lanes)
        idle = 0
        while row["tries"] < mine:
            try:
                done = kind.happens(lane)
                idle = 0 if done else idle + 1
                if idle == IDLE:
                    raise RuntimeError(f"nothing happened in {IDLE} tries, one after the other")
                row["tries"] += done
                row["survived"] += done
            except Exception as error:
                row["tries"] += 1
                row["errors"].append(f"{type(error).__name__}: {error}")
        print(f"lane {number}: {name}: {row['survived']} of {row['tries']}", file=sys.stderr, flush=True)
    return rows


def _table(lanes: list[list[Row]]) -> bool:
    print(f"{'fault':36}{'tries':>7}{'survived':>10}")
    ok = True
    for parts in zip(*lanes, strict=True):
        tries, survived = (sum(part[key] for part in parts) for key in ("tries", "survived"))
        print(f"{parts[0]['fault']:36}{tries:7}{survived:10}  {parts[0]['note']}")
        for error in [error for part in parts for error in part["errors"]]:
            print(f"    {error}", file=sys.stderr)
        ok = ok and tries == survived
    return ok


if __name__ == "__main__":
    main()
