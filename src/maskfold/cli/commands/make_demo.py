"""Draw the demo data: aerial scenes with buildings, in the files of Tianchi competition 531872."""

import argparse
from pathlib import Path

from maskfold.cli.script import next_command, starting
from maskfold.program import command_line
from maskfold.steps.places import DEMO


def main() -> None:
    """Run the command."""
    show_defaults = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=show_defaults)
    add = parser.add_argument
    add("--out", type=Path, default=DEMO, help="folder to write; created if it does not exist")
    add("--seed", type=int, default=0, help="number from 0; the same one draws the same data")
    add("--tiles", type=int, default=160, help="training tiles, number from 1")
    add("--test-tiles", type=int, default=60, help="test tiles, number from 1")
    add("--size", type=int, default=192, help="side of a tile, 32 to 1024 pixels; always 80 metres of ground")
    add(
        "--annotators",
        type=int,
        default=0,
        help="people who mark the training tiles too, each in a table of their own (train_mask_1.csv …), number from 0 "
        "to 4; they shift, round corners, forget small buildings, join neighbours",
    )
    add("--overwrite", action="store_true", help="replace demo data already there instead of refusing")
    args = parser.parse_args()
    with starting(f"Drawing {args.tiles} training and {args.test_tiles} test tiles …"):
        from maskfold.demo import make_demo

    counts = {"train_tiles": args.tiles, "test_tiles": args.test_tiles, "tile": args.size}
    make_demo(args.out, seed=args.seed, **counts, annotators=args.annotators, overwrite=args.overwrite)
    drawn = f", training masks by {args.annotators} annotators too" if args.annotators else ""
    print(f"{args.out}: {args.tiles} training and {args.test_tiles} test tiles, {args.size} pixels a side{drawn}")
    next_command(command_line("train-fold", "--fold", "0"))
