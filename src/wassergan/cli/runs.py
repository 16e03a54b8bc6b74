"""`wassergan runs`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wassergan.cli.columns import in_columns
from wassergan.cli.echo import echo

if TYPE_CHECKING:
    from wassergan.runs.listing import ListedRun


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs(folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER [runs] and below it: states, scores and sizes, the latest last.

    \b
    Examples:
      wassergan runs
      wassergan runs /shared/runs --json

    The score is the distance of generated from held-out samples at the last tick, beside its floor: the distance that
    training samples have. The verdict is that of the last `wassergan evaluate`. Checkpoints are not opened.
    """
    from wassergan.runs.listing import list_runs

    found = list_runs(folder)
    if as_json:
        echo(json.dumps([asdict(each) for each in found]))
        return
    if not found:
        echo(f"There are no runs in {folder}.")
        return
    _print(found)


def _print(found: list["ListedRun"]) -> None:
    from wassergan.runs.listing import age_in_words

    rows: list[tuple[str, ...]] = [("run", "state", "steps", "distance", "floor", "verdict", "size", "changed")]
    for each in found:
        steps = "-" if each.steps is None else f"{each.steps}"
        numbers = ["-" if value is None else f"{value:.4g}" for value in (each.distance, each.floor)]
        size = f"{each.size_bytes / 1e6:.1f} MB"
        rows.append((each.run, each.state, steps, *numbers, each.verdict or "-", size, age_in_words(each.changed)))
    for line in in_columns(rows, numbers=True):
        echo(line)
    echo(f"{len(found)} run{'s' * (len(found) > 1)}, {sum(each.size_bytes for each in found) / 1e6:.1f} MB")
