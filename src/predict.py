"""Predict the test images with a run's (or several runs') folds and write a validated submission."""

from maskfold.cli.arguments import competition_of, open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.predict import (
    add_predict_arguments,
    choose,
    compute_oof,
    describe_folds,
    log_submission,
    submission_path,
)
from maskfold.cli.script import next_command, run_script
from maskfold.config import override
from maskfold.ensembling.submit import folds_of, predict_samples, test_samples, write_submission

SECTIONS = ("inference", "tta", "post")


def main() -> None:
    parser = runs_parser(__doc__, SECTIONS)
    add_predict_arguments(parser)
    arguments, overrides = parse_sections(parser, SECTIONS)
    runs = open_runs(arguments.runs)
    config = override(runs[0].config, overrides)
    competition = competition_of(config)
    choice = choose(runs, config, set(overrides), untuned=arguments.untuned)
    if arguments.oof:
        compute_oof(choice, competition, config)
        return next_command(f"python src/tune.py{run_flags(runs, overrides)}")
    path = submission_path(runs, competition, arguments)
    folds = arguments.folds or folds_of(runs[0])
    print(describe_folds(runs, competition, folds))
    samples = test_samples(competition)
    batch_size = config.inference.batch_size
    predictions = predict_samples(choice, competition, samples, arguments.folds, batch_size=batch_size)
    maps = path.with_name(path.stem + "_probabilities") if arguments.save_probabilities else None
    counts = write_submission(predictions, choice, competition, path, samples.ids, maps)
    print(f"{counts['images']} images, {counts['empty']} with an empty mask. Valid submission: {path}")
    log_submission(path, choice, competition, runs, folds)
    return next_command(
        f"python src/evaluate.py --submission {path} --truth TRUTH (or upload it, then --note-lb SCORE)"
    )


if __name__ == "__main__":
    run_script(main)
