"""Fuzz for as long as is asked: ``python -m tests.fuzz [TARGET …] --inputs 100000``.

With ``--seconds`` the inputs are chosen by atheris (pip install atheris), which follows what the code does with them.
"""

import argparse
import sys

from tests.fuzz.harness import fuzz
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run the targets one after the other; exit code 1 where one of them is not sound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--inputs", type=int, default=100_000, help="of each target (of rle ten times as many)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, help="let atheris fuzz the one TARGET for so long instead")
    arguments = parser.parse_args()
    if arguments.seconds and len(arguments.targets) != 1:
        parser.error("--seconds fuzzes one TARGET: name it")
    if arguments.seconds:
        guided(arguments.targets[0], arguments.seconds)
    sound = True
    for name in arguments.targets or TARGETS:
        inputs = arguments.inputs * (10 if name == "rle" else 1)
        outcome = fuzz(name, inputs, arguments.seed, report_every=max(1, inputs // 5))
        print(outcome, flush=True)
        for data, trace in outcome.failures:
            print(f"{data!r}\n{trace}", flush=True)
        sound &= outcome.sound
    sys.exit(not sound)


def guided(name: str, seconds: int) -> None:
    """Let atheris choose the inputs; it ends the process."""
    import atheris

    target = TARGETS[name]
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-timeout=10", "-max_len=4096"], target.accepts)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
