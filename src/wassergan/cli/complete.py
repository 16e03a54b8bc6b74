"""`wassergan complete`."""

import json
from pathlib import Path
from typing import Any

import click

from wassergan.cli.echo import echo
from wassergan.cli.options import GroupedCommand, given, options_of
from wassergan.config.verbs import CompleteSettings


@click.command(cls=GroupedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("table", type=click.Path(path_type=Path))
@options_of(CompleteSettings)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON on standard output.")
def complete(run: Path, table: Path, as_json: bool, **flags: Any) -> None:
    """Fill the missing cells of TABLE with draws given the rest of each row, by the run in folder RUN.

    \b
    Examples:
      wassergan train people.csv --completion --budget 3m --out runs/people
      wassergan complete runs/people gaps.csv --out filled.csv
      wassergan complete runs/people gaps.csv --draws 5 --out filled.csv
      wassergan complete runs/people gaps.parquet --out filled.parquet --seed 1

    The run must have been trained with --completion. TABLE has the columns of its table, in any order. Cells that are
    there stay as they are, to the byte in CSV files.
    """
    from wassergan.runs.complete import complete_table

    found = complete_table(CompleteSettings(run=str(run), table=str(table), **given(flags)))
    if as_json:
        echo(json.dumps(found))
        return
    filled = found["missing"] - found["left"]
    for out in found["out"]:
        echo(f"Wrote {found['rows']} rows to {out}, {filled} missing cells filled")
    if found["left"]:
        echo(f"{found['left']} cells stay missing: their columns were empty in training", err=True)
