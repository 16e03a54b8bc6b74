"""`wassergan info`."""

import json
from pathlib import Path
from typing import Any

import click

from wassergan.cli.columns import fitting, in_columns, terminal_width
from wassergan.cli.echo import echo, say
from wassergan.cli.run_words import run_in_words
from wassergan.errors import UserError, one_line
from wassergan.storage.files import read_text, write_text

LEAST_SHOWN = 3  # of a table's columns, in a narrow terminal: name, kind and what is in it


@click.command()
@click.argument("target")
@click.option("--schema", metavar="FILE", help="Tables: a JSON file that describes the columns.")
@click.option("--key", metavar="NAME", help="Array in a .npz, NetCDF, Zarr, HDF5 or MATLAB file (also FILE::NAME).")
@click.option("--sample-dim", metavar="NAME,...", help="Such files: the axis along which samples lie.")
@click.option("--sheet", metavar="NAME", help="Sheet of an Excel workbook; the first unless given.")
@click.option("--weight", metavar="COLUMN", help="Tables: the column that holds the weights of the rows.")
@click.option("--layout", default="auto", metavar="auto|NTC|NDHW|table|...", help="As for `train`.")
@click.option("--series", metavar="COLUMN", help="Long tables: the column that names the series of each row.")
@click.option("--time", metavar="COLUMN", help="Long tables: the column of time.")
@click.option("--window", type=click.IntRange(1), metavar="N", help="One long series: steps in a window.")
@click.option("--stride", type=click.IntRange(1), metavar="N", help="Steps from one window to the next (1).")
@click.option("--crop", metavar="N|DxHxW", help="One large volume: sides of its crops.")
@click.option("--condition-array", metavar="FILE", help="Conditions that are an array: .npy, .npz (FILE::NAME) or IDX.")
@click.option("--condition-layout", default="auto", metavar="auto|N|ND|NHW|NHWC|NCHW", help="Its axes.")
@click.option("--size", metavar="N|HxW", help="Pictures: scale and centre-crop to this size.")
@click.option("--colour", default="auto", metavar="auto|grey|rgb", help="Pictures: colours.")
@click.option("--skip-unreadable", is_flag=True, help="Pictures: count and skip unreadable ones.")
@click.option(
    "--write-schema",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Tables: write the rules that are found into a schema file, for `train --schema`.",
)
@click.option("--all", "all_facts", is_flag=True, help="Of a run: every setting and every number of the last tick.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(target: str, write_schema: Path | None, all_facts: bool, as_json: bool, **options: Any) -> None:
    """Describe a run folder, or a data source that `train` can read.

    \b
    Examples:
      wassergan info runs/digits-default-1
      wassergan info runs/digits-default-1 --all
      wassergan info runs/digits-default-1 --json
      wassergan info fields.npz
      wassergan info era5.nc --key t2m
      wassergan info loads.csv --window 24 --time hour
      wassergan info rock.tif --crop 32
      wassergan info fine.npy --condition-array coarse.npy
      wassergan info people.csv --schema people.json
      wassergan info people.csv --write-schema people.json
    """
    from wassergan.session.run_content import run_summary
    from wassergan.storage.run_folder import RunFolder

    if Path(target).is_dir() and RunFolder(Path(target)).holds_run():
        facts = run_summary(Path(target))
        if not (as_json or all_facts):
            for line in run_in_words(facts):
                echo(one_line(line))
            return
    else:
        facts = _data_facts(target, options)
    if write_schema:
        _write_schema(write_schema, facts, options["schema"])
    if as_json:
        echo(json.dumps(facts))
        return
    rules = facts.pop("proposed_rules", [])
    settings, table, notes = facts.pop("settings", {}), facts.pop("table", []), facts.pop("notes", [])
    if table:
        del facts["columns"]
    for name, value in facts.items():
        echo(one_line(f"{name:<20} {_shown(value)}"))
    for note in notes if settings else ():  # of data, they were told on the way
        echo(one_line(f"{'note':<20} {note}"))
    for name, value in settings.items():
        if value is not None:
            echo(one_line(f"  {name:<18} {_shown(value)}"))
    rows = [_column_words(column) for column in table]
    shown = fitting(rows, room=width - 2 if (width := terminal_width()) else None, least=LEAST_SHOWN)
    for line in in_columns(shown):
        echo(f"  {line}")
    if rows and len(shown[0]) < len(rows[0]):
        echo("  (a wider terminal, or a file, gets how each column is encoded and written, too)")
    if rules:
        echo(
            "These rules hold in every row; none is kept unless a --schema file asks for it (--write-schema makes one):"
            '\n  "rules": ['
        )
        for number, each in enumerate(rules, 1):
            comma = "," * (number < len(rules))
            echo(f"    {json.dumps(each['rule'], ensure_ascii=False)}{comma}")
        echo(f"  ]  (each in {min(each['rows'] for each in rules)} rows or more)")


def _write_schema(path: Path, facts: dict[str, Any], schema: str | None) -> None:
    """The schema that the table was read with, if there is one, and the rules that were found."""
    rules = [each["rule"] for each in facts.get("proposed_rules", ())]
    if not rules:
        raise UserError("There are no rules to write", found="none was found that the schema does not have")
    if path.exists():
        raise UserError(f"{path} is there already", hint="name a new file")
    content = json.loads(read_text(Path(schema))) if schema else {}
    content["rules"] = [*content.get("rules", ()), *rules]
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    say(f"Wrote {len(rules)} rules to {path}: take out those that hold by chance, then train with --schema {path}.")


def _column_words(column: dict[str, Any]) -> tuple[str, ...]:
    missing = f"{column['missing']:.2%} missing" if column["missing"] else "none missing"
    if column["kind"] == "id":
        return column["name"], "id", column["coded"], missing, "not learnt (0)", ""
    held = f"{column['levels']} levels" if "levels" in column else f"{column['low']} to {column['high']}"
    return column["name"], column["kind"], held, missing, f"{column['coded']} ({column['width']})", column["written"]


def _data_facts(target: str, options: dict[str, Any]) -> dict[str, Any]:
    from wassergan.config.parsing import parse_crop, parse_size
    from wassergan.data import context_shape, open_source
    from wassergan.modality import modality_of

    crop, size = options.pop("crop"), options.pop("size")
    source = open_source(
        target,
        **options,
        crop=parse_crop(crop) if crop else None,
        size=parse_size(size) if size else None,
        log=say,
    )
    codec = source.codec
    return {
        "data": source.name,
        "kind": source.kind,
        "samples": len(source),
        "train": source.train_count,
        "heldout": source.heldout_count,
        "shape": list(source.shape),
        "layout": codec.layout,
        "dtype": codec.dtype,
        **({"condition": list(context_shape(source.context))} if source.context is not None else {}),
        "notes": list(source.notes),
        **({"columns": list(source.columns)} if source.columns else {}),
        **modality_of(source.kind).facts(source),
        **({"round trip": source.round_trip.words()} if source.round_trip else {}),
    }


def _shown(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
