"""`wassergan report`."""

from pathlib import Path

import click

from wassergan.cli.echo import echo


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The HTML file [report.html in the run folder].")
def report(run: Path, out: Path | None) -> None:
    """Write the report of the run in folder RUN: one HTML file that opens from disk.

    \b
    Example:
      wassergan report runs/digits-default-1
    """
    from wassergan.runs.recorder import write_run_report

    echo(f"Wrote {write_run_report(run, out)}")
