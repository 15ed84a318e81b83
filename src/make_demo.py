"""Draw the demo data: aerial scenes with buildings, in the files of Tianchi contest 531872."""

import argparse
import sys
from pathlib import Path

from maskfold.competitions.demo import DemoError, make_demo


def parse() -> argparse.Namespace:
    show_defaults = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=show_defaults)
    add = parser.add_argument
    add("--out", type=Path, default=Path("data/demo"), help="folder to write, made if need be")
    add("--seed", type=int, default=0, help="number from 0; the same one draws the same data")
    add("--tiles", type=int, default=160, help="training tiles, number from 1")
    add("--test-tiles", type=int, default=60, help="test tiles, number from 1")
    add("--size", type=int, default=256, help="side of a tile in pixels, from 32; always 80 metres of ground")
    add("--overwrite", action="store_true", help="replace demo data already there instead of refusing")
    return parser.parse_args()


def main() -> int:
    args = parse()
    counts = {"train_tiles": args.tiles, "test_tiles": args.test_tiles, "tile": args.size}
    try:
        make_demo(args.out, seed=args.seed, **counts, overwrite=args.overwrite)
    except (DemoError, OSError) as error:
        print(f"make_demo: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: {args.tiles} training and {args.test_tiles} test tiles, {args.size} pixels a side")
    print("Next: python src/train_fold.py --fold 0")
    return 0


if __name__ == "__main__":
    sys.exit(main())
