"""What may happen to a command. Each fault is a function of a lane; it returns how many tries it made.

Where nothing happened, since the command was done before or the disk sufficed, that is none.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.drill.commands import STAGES, Try, start
from tests.drill.ends import end_of, is_one_message
from tests.drill.instruments import dies_at, small_files, unreadable, wrong_clock
from tests.drill.lane import Diverged, Lane, was_done
from tests.drill.ray_workers import kill_a_worker, ray_is_there

Fault = Callable[[Lane], int]


def kill(stage: str, lane: Lane) -> int:
    """(a), (h): killed several times in a row, then left alone; workers and batches differ from try to try."""
    folder, kills = lane.case(stage), 0
    for _ in range(lane.chance.randint(2, 6)):
        if not lane.killed_somewhere(folder, stage):
            break
        kills += 1
    else:
        lane.finish(folder, stage)
        return _done(folder, kills)
    lane.compare(folder, stage)
    return _done(folder, kills)


def small_disk(lane: Lane) -> int:
    """(b): files may not become as large as they need to be."""
    stage = lane.any_stage()
    folder = lane.case(stage)
    done = lane.disturbed(folder, stage, [small_files(lane.chance.choice((8_000, 12_000, 16_000, 24_000, 40_000)))])
    if done.ended() == 0:  # all of them were small enough
        lane.compare(folder, stage)
        return _done(folder, 0)
    _refused(done.ended(), done.said, "needs", "shared memory")
    return _again(lane, folder, stage)


def full_disk(lane: Lane) -> int:
    """(b): a disk of its own that is full after some of the files."""
    folder = lane.case("train")
    (folder / "runs").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={lane.chance.randint(4, 60) * 4096}", "tmpfs", str(folder / "runs")]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        done = lane.disturbed(folder, "train")
        filled = done.ended() != 0
        _refused(done.ended(), done.said, "the disk is full")
        subprocess.run(["mount", "-o", "remount,size=64M", str(folder / "runs")], check=True, capture_output=True)
        lane.finish(folder, "train")
    finally:
        subprocess.run(["umount", "-l", str(folder / "runs")], check=False)
    return _done(folder, int(filled))


def left_out(name: str, tries: int, place: Path) -> str:
    """Why a fault is not tried here; empty: it is."""
    if "full disk" in name and not can_mount(place):
        return "not allowed to mount a disk here"
    if "Ray" in name and not ray_is_there():
        return "Ray is not installed"
    return "" if tries else "in the long form only"


def can_mount(place: Path) -> bool:
    """Whether this machine lets us have a disk of our own."""
    probe = place / "probe"
    probe.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(probe)], check=False, capture_output=True).returncode:
        return False
    subprocess.run(["umount", str(probe)], check=True)
    return True


def damage_while_training(lane: Lane) -> int:
    """(c): a killed training, then a file of it that is cut, changed, gone or cannot be read."""
    folder = lane.case("train")
    if not lane.killed_somewhere(folder, "train"):
        return _done(folder, 0)
    files = [path for path in (folder / "runs").rglob("*") if path.is_file()]
    return _damaged(lane, folder, "train", files)


def damage_before_prediction(lane: Lane) -> int:
    """(c): a finished, tuned run with a file that is cut, changed, gone or cannot be read."""
    stage = lane.chance.choice(("tune", "predict"))
    folder = lane.case(stage)
    return _damaged(lane, folder, stage, [path for path in (folder / "runs").rglob("*") if path.is_file()])


def _damaged(lane: Lane, folder: Path, stage: str, files: list[Path]) -> int:
    """Either the end is the same, or the command says in one message what is wrong."""
    if not files:
        return _done(folder, 0)
    path = lane.chance.choice(sorted(files))
    if lane.chance.random() < 0.2:
        how, prepare = "unreadable", [unreadable(path)]
    else:
        how, prepare = _harm(lane, path), []
    done = start(folder, STAGES[stage], prepare)
    what = f"{path.relative_to(folder)} {how}"
    if done.ended() == 0 and what == "runs/r/ensemble.yaml gone" and "Not tuned" in done.said:
        pass  # who removes it wants the tuning forgotten, and is told so
    elif done.code == 0:
        # What is not looked at stays as it is: the file itself, or the maps that it belongs to.
        but = f"oof {path.parent.name}" if path.parent.parent.name == "oof" else path.name
        try:
            lane.compare(folder, stage, but)
        except Diverged as error:
            raise Diverged(f"{what}: {error}") from None
    elif done.code != 1 or not is_one_message(done.said):
        raise Diverged(f"{what}: {done.code}: {done.said[-900:]}")
    return _done(folder, 1)


def _harm(lane: Lane, path: Path) -> str:
    content, how = bytearray(path.read_bytes()), lane.chance.choice(("cut", "flip", "empty", "gone"))
    if how == "gone":
        path.unlink()
    elif how == "flip" and content:
        place = lane.chance.randrange(len(content))
        content[place] ^= 1 << lane.chance.randrange(8)
        path.write_bytes(content)
        how += f" at {place}"
    else:
        path.write_bytes(content[: lane.chance.randrange(len(content))] if how == "cut" and content else b"")
    return how


def kill_a_rank(lane: Lane) -> int:
    """(d): one of two processes that train a fold together; the other is ended as torchrun does."""
    if "ranks" not in lane.wanted:
        whole = lane.case("train")
        started = time.monotonic()
        if [each.ended() for each in _ranks(whole)] != [0, 0]:
            raise RuntimeError("two ranks do not train")
        lane.wanted["ranks"], lane.seconds["ranks"] = end_of(whole), time.monotonic() - started
        _done(whole, 0)
    folder = lane.case("train")
    ranks = _ranks(folder)
    victim, other = lane.chance.sample(ranks, 2)
    victim.wait(lane.chance.uniform(0, lane.seconds["ranks"]))
    victim.send(signal.SIGKILL)
    victim.ended()
    if other.wait(1) is None:
        other.send(signal.SIGTERM)
        if other.wait(30) is None:
            other.send(signal.SIGKILL)
    other.ended()
    again = _ranks(folder)
    if [each.ended() for each in again] != [0, 0]:
        raise Diverged(f"two ranks again: {[each.said[-600:] for each in again]}")
    lane.compare(folder, "ranks")
    return _done(folder, 1)


def _ranks(folder: Path) -> list[Try]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    of_rank = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    return [
        start(folder, STAGES["train"], [partial(os.environ.update, given)], name=f"rank_{rank}")
        for rank, given in enumerate(of_rank)
    ]


def two_at_once(lane: Lane) -> int:
    """(e): the same fold once more, also with ``--overwrite``, while it is trained."""
    folder = lane.case("train")
    first = lane.disturbed(folder, "train")
    lock = folder / "runs/r/.fold_1.lock"
    while not lock.exists() and first.poll() is None:
        time.sleep(0.005)
    second = start(folder, [*STAGES["train"], *(["--overwrite"] if lane.chance.random() < 0.5 else [])])
    if second.ended() == 1:
        _refused(1, second.said, "another process is working on")
        if f"process {first.pid} on " not in second.said:
            raise Diverged(f"the holder is not named: {second.said[-600:]}")
    elif first.ended() != 0 or second.code != 0:
        raise Diverged(f"two at once: {first.code}, {second.code}: {second.said[-600:]}")
    if first.ended() != 0:
        raise Diverged(f"the first of two: {first.code}: {first.said[-600:]}")
    lane.compare(folder, "train")
    return _done(folder, 1)


def asked_to_end(lane: Lane) -> int:
    """(f): SIGTERM or Ctrl-C at a random instant."""
    stage = lane.any_stage()
    folder, (number, code) = lane.case(stage), lane.chance.choice(((signal.SIGTERM, 143), (signal.SIGINT, 130)))
    done = lane.disturbed(folder, stage)
    done.wait(lane.chance.uniform(0.05, lane.seconds[stage]))
    done.send(number)
    if done.ended() == 0:
        lane.compare(folder, stage)
        return _done(folder, 1)
    if done.code != code or done.said.count("error: ") != 1 or "the same command" not in done.said:
        raise Diverged(f"{stage}, {number.name}: {done.code}: {done.said[-900:]}")
    return _again(lane, folder, stage)


def clock(lane: Lane) -> int:
    """(g): the clocks jump while it runs, and it is killed meanwhile."""
    stage = lane.any_stage()
    folder, seed = lane.case(stage), lane.chance.randrange(10**6)
    deadly = dies_at(lane.chance.randint(1, lane.calls[stage]), lane.chance)
    killed = lane.disturbed(folder, stage, [wrong_clock(seed), deadly]).ended()
    done = lane.disturbed(folder, stage, [wrong_clock(seed + 1)]) if killed else None
    if killed not in (0, -9) or (done is not None and done.ended() != 0 and not was_done(done)):
        raise Diverged(f"{stage}: {killed}: {done and done.said[-900:]}")
    lane.compare(folder, stage)
    return _done(folder, 1)


def _refused(code: int, said: str, *words: str) -> None:
    if code == 0:
        return
    if code != 1 or not any(each in said for each in words) or not is_one_message(said):
        raise Diverged(f"{code}: {said[-900:]}")


def _again(lane: Lane, folder: Path, stage: str) -> int:
    lane.finish(folder, stage)
    return _done(folder, 1)


def _done(folder: Path, tries: int) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    return tries


class Kind(NamedTuple):
    """A kind of fault, and its tries in the long form and in the short one, which is among the tests."""

    happens: Fault
    long: int
    short: int


FAULTS = {
    "a, h: kill of train": Kind(partial(kill, "train"), 120, 4),
    "a, h: kill of train, adversarial": Kind(partial(kill, "train, adversarial"), 30, 1),
    "a, h: kill of train, semi": Kind(partial(kill, "train, semi"), 30, 1),
    "a, h: kill of tune": Kind(partial(kill, "tune"), 80, 2),
    "a, h: kill of predict": Kind(partial(kill, "predict"), 80, 2),
    "a: kill of Ray's workers": Kind(kill_a_worker, 4, 0),
    "b: files may not grow": Kind(small_disk, 30, 1),
    "b: full disk": Kind(full_disk, 20, 1),
    "c: damage, then train": Kind(damage_while_training, 100, 3),
    "c: damage, then tune or predict": Kind(damage_before_prediction, 100, 3),
    "d: kill of one of two ranks": Kind(kill_a_rank, 10, 1),
    "e: the same fold twice at once": Kind(two_at_once, 20, 1),
    "f: SIGTERM, Ctrl-C": Kind(asked_to_end, 60, 2),
    "g: the clocks jump": Kind(clock, 30, 1),
}
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
