"""The commands: each reads its options, makes one library call and shows the result.

The library is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from changedetect.cli import options


@click.command()
@options.aoi_argument
@options.run_options
@options.json_option
@options.loudness_options
def run(aoi: Path, as_json: bool, verbose: bool, quiet: bool, **chosen: Any) -> None:
    """Do the whole job for one AOI and write outputs/<name>/.

    Outputs that are there already are replaced once the new ones are complete. Dates are ISO 8601,
    such as 2024-10-05 or 2024-10-05T02:20:00Z.
    """
    from changedetect import pipeline
    from changedetect.cli import progress, show
    from changedetect.gather import RunOptions

    with progress.listening(verbose, quiet) as listener:
        report = pipeline.run(aoi, RunOptions(**chosen), listener)
    show.run_report(report, as_json)


@click.command()
@options.aois_argument
@click.option("--month", metavar="YYYY-MM", help="Scenes up to the end of that month; news are those of that month.")
@click.option("--webhook", metavar="URL", help="Post the result as JSON to this address when done.")
@options.run_options
@options.json_option
@options.loudness_options
def batch(
    aois: tuple[Path, ...],
    month: str | None,
    webhook: str | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **chosen: Any,
) -> None:
    """Do many AOIs, working only on what is new since the last batch.

    Each AOI has its folder in outputs/ (or --out DIR); batch.json tells what became of each. What earlier batches
    worked out is kept in outputs/.state.
    """
    from changedetect.batch import run_batch
    from changedetect.cli import progress, show_batch
    from changedetect.gather import RunOptions

    with progress.listening(verbose, quiet) as listener:
        done = run_batch(aois, RunOptions(**chosen), month, webhook, listener)
    show_batch.batch_report(done, as_json)
    raise click.exceptions.Exit(done.exit_code)


@click.command()
@options.aoi_argument
@options.scene_options
@options.json_option
@options.loudness_options
def scenes(aoi: Path, as_json: bool, verbose: bool, quiet: bool, **chosen: Any) -> None:
    """List the scenes found and whether each can be used."""
    from changedetect import pipeline
    from changedetect.cli import progress, show
    from changedetect.gather import RunOptions

    with progress.listening(verbose, quiet) as listener:
        records = pipeline.list_scenes(aoi, RunOptions(**chosen), listener)
    show.scene_list(records, as_json)


@click.command()
@options.aois_argument
@options.json_option
def validate(aois: tuple[Path, ...], as_json: bool) -> None:
    """Check AOI files and their settings without reading pixels."""
    from changedetect import pipeline
    from changedetect.cli import show

    results = pipeline.validate(aois)
    show.validation(results, as_json)
    raise click.exceptions.Exit(max((error.exit_code for _, error in results if error), default=0))


@click.command()
@options.aoi_argument
@click.option("--out", metavar="DIR", type=options.FOLDER, required=True, help="Folder to write into.")
@options.set_option
@options.loudness_options
def simulate(aoi: Path, out: Path, sets: tuple[str, ...], verbose: bool, quiet: bool) -> None:
    """Write simulated scenes with truth and an AOI file to run on.

    The AOI file must have `scenes: {simulate: {scenario: ...}}`, as those in aoi/ do.
    """
    from changedetect import pipeline
    from changedetect.cli import progress, show

    with progress.listening(verbose, quiet) as listener:
        written = pipeline.simulate_to(aoi, out, sets, listener)
    show.simulated(written, out)


@click.command()
@options.out_dir_argument
@click.argument("truth", metavar="TRUTH.geojson", type=options.PATH)
@options.json_option
def evaluate(out_dir: Path, truth: Path, as_json: bool) -> None:
    """Score outputs against truth.

    Recall, precision, class, dates and counts, with their intervals, and false alarms per km2.
    """
    from changedetect import evaluation
    from changedetect.cli import show

    show.scores(evaluation.evaluate(out_dir, truth), as_json)


@click.command()
@click.argument("old", metavar="OLD_DIR", type=options.PATH)
@click.argument("new", metavar="NEW_DIR", type=options.PATH)
@options.json_option
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Show which changes are new, gone or altered between two outputs."""
    from changedetect import evaluation
    from changedetect.cli import show_batch

    show_batch.difference(evaluation.compare_outputs(old, new), as_json)


@click.command()
@options.out_dir_argument
@click.option("--review", metavar="review.json", type=options.PATH, help="Merge this review first, as `review` does.")
@options.json_option
def report(out_dir: Path, review: Path | None, as_json: bool) -> None:
    """Make report.html again from an output folder alone."""
    from changedetect import pictures
    from changedetect.cli import show

    show.remade(pictures.remake_report(out_dir, review), as_json)


@click.command()
@options.out_dir_argument
@click.argument("review", metavar="review.json", type=options.PATH)
@options.json_option
def review(out_dir: Path, review: Path, as_json: bool) -> None:
    """Add reviews made in report.html to changes.geojson.

    Nothing that was said before is touched.
    """
    from changedetect import pictures
    from changedetect.cli import show

    show.remade(pictures.remake_report(out_dir, review), as_json)


ALL = (run, batch, scenes, validate, simulate, evaluate, diff, report, review)
"""In the order of the help."""
