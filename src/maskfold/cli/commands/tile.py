"""Cut large rasters into tiles to train on; predict rasters by windows, as masks or polygons."""

import argparse
import sys
from pathlib import Path

from maskfold.cli.arguments import (
    add_ensemble,
    config_parser,
    dotted_overrides,
    listed_folds,
    open_runs,
    parse,
    parse_sections,
    run_flags,
    runs_parser,
)
from maskfold.cli.options import DATA_OPTIONS
from maskfold.cli.script import if_interrupted, next_command, starting
from maskfold.cli.values import above_zero, band_list, below_one, count_from, share
from maskfold.config import Config, override
from maskfold.errors import RasterError
from maskfold.program import command_line
from maskfold.steps.competition import check_competition

SECTIONS = ("inference", "tta", "post")
CUT = """Cut rasters and their masks into tiles, and write the profile by which maskfold trains on them.

Without --images: the training images of the competition, whose masks are run lengths. With --images, --masks and
--out: any files that rasterio reads. What was interrupted goes on with the same command."""
PREDICT = """Predict rasters by overlapping windows and write masks with their georeference, or polygons.

Test images of a competition are predicted by predict.py, which reads large ones in the same way."""


def main() -> None:
    """Run the command."""
    steps = {"cut": _cut, "predict": _predict}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=steps, help="what to do; its own options follow, STEP --help lists them")
    step = parser.parse_args(sys.argv[1:2]).step
    sys.argv = [f"{sys.argv[0]} {step}", *sys.argv[2:]]
    steps[step]()


def _cut() -> None:
    arguments, config = _parse_cut(_cut_parser())
    with starting("Cutting …"):
        from maskfold.rasters.cut import CutOptions
        from maskfold.steps.tile import cut_competition, cut_files

    options = CutOptions(
        side=arguments.size,
        overlap=arguments.overlap,
        scale=arguments.scale,
        keep_empty=arguments.keep_empty,
        most_nodata=arguments.max_nodata,
        nodata=arguments.nodata,
        block=arguments.block,
    )
    again = "the same command without --overwrite" if arguments.overwrite else "the same command"
    if_interrupted(f"rows of tiles that are done stay, {again} goes on after them")
    if config is not None:
        profile, root = cut_competition(
            config, arguments.out, options, group=arguments.group, overwrite=arguments.overwrite
        )
    else:
        profile, root = cut_files(
            arguments.images,
            arguments.masks,
            arguments.out,
            options,
            class_names=arguments.classes,
            bands=arguments.bands,
            white=arguments.white,
            group=arguments.group,
            overwrite=arguments.overwrite,
        )
    flags = ("--competition.profile", str(profile), "--competition.root", str(root))
    next_command(command_line("train-all", *flags))


def _cut_parser() -> argparse.ArgumentParser:
    parser = config_parser(CUT, DATA_OPTIONS)
    add = parser.add_argument
    add(
        "--images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="rasters, a file each; a folder is one raster, the bands of whose files are its channels",
    )
    add(
        "--masks",
        type=Path,
        nargs="+",
        metavar="MASK",
        help="label raster or GeoJSON polygons of each image; one folder: files with the images' stems",
    )
    add("--classes", nargs="+", metavar="NAME", default=[], help="names of classes 0, 1 …; default: binary masks")
    add("--bands", type=band_list, default=(), metavar="LIST", help="such as 1-3,8, counted from 1; default: all")
    add(
        "--white",
        type=above_zero,
        default=0.0,
        metavar="VALUE",
        help="value that is white; default: the type's largest",
    )
    add("--size", type=count_from(32), default=512, help="side of a tile in pixels after --scale, from 32; default 512")
    add(
        "--overlap", type=below_one, default=0.0, metavar="S", help="least overlap of tiles, share of a side; default 0"
    )
    add("--scale", type=above_zero, default=1.0, help="factor by which rasters are resized before; default 1")
    add("--keep-empty", type=share, default=1.0, metavar="S", help="share of empty tiles that is kept; default 1")
    add(
        "--max-nodata",
        type=share,
        default=0.5,
        metavar="S",
        help="largest share without data, else dropped; default 0.5",
    )
    add("--nodata", type=float, metavar="VALUE", help="value that means no data; default: what the files say")
    add(
        "--group",
        choices=("auto", "scene", "block"),
        default="auto",
        help="what folds keep together: rasters, or blocks of tiles that share no pixel; default auto: rasters where "
        "there are five or more",
    )
    add("--block", type=count_from(1), default=4, metavar="N", help="tiles a side of a block, from 1; default 4")
    add("--out", type=Path, metavar="DIR", help="folder to write; default: tiles inside the competition's folder")
    add("--overwrite", action="store_true", help="replace tiles that an earlier cut wrote")
    return parser


def _parse_cut(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Config | None]:
    """The arguments, and the config of the competition whose images are cut; `None`: files are named."""
    arguments, rest = parser.parse_known_args()
    if arguments.images is None:
        if arguments.masks or arguments.classes or arguments.bands or arguments.white:
            parser.error(
                "--masks, --classes, --bands and --white need --images: for a competition its profile says them"
            )
        arguments, config = parse(parser)
        check_competition(config)
        return arguments, config
    if dotted_overrides(rest, parser) or arguments.config:
        parser.error("--images cannot be combined with a competition or its options")
    if arguments.masks is None or arguments.out is None:
        parser.error("--images needs --masks and --out")
    for path in (*arguments.images, *arguments.masks):
        if not path.exists():
            raise RasterError(f"there is no file {path}: give rasters and their masks")
    return arguments, None


def _predict() -> None:
    parser = runs_parser(PREDICT, SECTIONS)
    add = parser.add_argument
    add("rasters", type=Path, nargs="+", metavar="RASTER", help="files that rasterio reads; a folder is one raster")
    add("--out", type=Path, metavar="PATH", help="file for one raster, folder for several; default: rasters/RUN")
    add("--form", choices=("tif", "geojson"), default="tif", help="of files in a folder; default tif")
    add("--probabilities", action="store_true", help="write tifs of probabilities, float32, a band for each class")
    add(
        "--scale",
        type=above_zero,
        help="factor that brings a raster to the training images' scale; default: the tiles'",
    )
    add("--bands", type=band_list, default=(), metavar="LIST", help="such as 1-3,8, counted from 1; default: all")
    add_ensemble(parser)
    add("--overwrite", action="store_true", help="replace files that exist")
    arguments, overrides = parse_sections(parser, SECTIONS)
    runs = open_runs(arguments.runs, overrides)
    folds = listed_folds(runs, arguments.folds)
    for path in arguments.rasters:
        if not path.exists():
            raise RasterError(f"there is no file {path}: give a raster")
    check_competition(override(runs[0].config, overrides), predicting=True)
    with starting(f"Predicting with {folds} …"):
        from maskfold.steps.rasters import predict_rasters

    paths = predict_rasters(
        runs,
        arguments.rasters,
        arguments.out,
        form=arguments.form,
        probabilities=arguments.probabilities,
        scale=arguments.scale,
        bands=arguments.bands,
        folds=arguments.folds,
        untuned=arguments.untuned,
        overrides=overrides,
        overwrite=arguments.overwrite,
    )
    print("\n".join(map(str, paths)))
    next_command(f"open {paths[0]} in a GIS program, or {command_line('report', *run_flags(runs, overrides))}")
