"""`wassergan export`."""

import json
from pathlib import Path
from typing import Any

import click

from wassergan.cli.echo import echo
from wassergan.cli.options import GroupedCommand, given, options_of
from wassergan.config.verbs import ExportSettings


@click.command(cls=GroupedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@options_of(ExportSettings)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON on standard output.")
def export(run: Path, as_json: bool, **flags: Any) -> None:
    """Write the averaged generator of the run in folder RUN into one file that other programs run.

    The file says how to draw latents and how to decode samples into the units of the data; docs/export.md shows
    how to load each format in a few lines.

    \b
    Examples:
      wassergan export runs/digits --format onnx
      wassergan export runs/digits --out digits.safetensors --checkpoint best
      wassergan export runs/photos --format pt2 --out photos.pt2
    """
    settings = ExportSettings(run=str(run), **given(flags))

    from wassergan.runs.export import chosen_format, export_run

    named = Path(settings.out) if settings.out else None
    chosen = chosen_format(settings.format, named)
    out = named or run / f"generator.{chosen}"
    step = export_run(run, out, format_name=chosen, checkpoint=settings.checkpoint)
    if as_json:
        facts = {"out": str(out), "format": chosen, "step": step, "bytes": out.stat().st_size}
        echo(json.dumps(facts))
    else:
        echo(f"Wrote the generator of step {step} to {out}")
