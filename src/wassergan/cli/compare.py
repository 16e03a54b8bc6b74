"""`wassergan compare`."""

import json
from pathlib import Path

import click

from wassergan.cli.echo import echo
from wassergan.errors import UserError


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN RUN...")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER|PNG",
    help="Plot the curves of all runs in one figure; into a folder, with the table beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Compare runs side by side: their metrics, with the best marked, and the settings in which they differ.

    \b
    Examples:
      wassergan compare runs/digits-default-1 runs/digits-wgan-1
      wassergan compare runs/* --out comparison/
      wassergan compare runs/a runs/b --out curves.png --json

    Numbers come from the metrics.json that `wassergan evaluate` writes, where every run has one; otherwise from
    the last ticks. Says so where protocols differ: such numbers are not comparable.
    """
    if out is not None and out.suffix not in ("", ".png"):
        raise UserError("Curves are drawn into a .png or a folder", found=f"'{out.name}'")

    from wassergan.cli.tables import comparison_table
    from wassergan.runs.compare import compare_runs

    if out is not None:
        _require_target(runs[0], out)
    result = compare_runs(runs)
    for warning in result["warnings"]:
        echo(f"Warning: {warning}", err=True)
    text = comparison_table(result)
    if out is not None:
        _write(result, text, runs, out)
    echo(json.dumps(result) if as_json else text)


def _require_target(run: Path, out: Path) -> None:
    from wassergan.storage.files import require_writable
    from wassergan.storage.run_folder import RunFolder

    run_folder, picture = RunFolder(run), out if out.suffix else out / "curves.png"
    run_folder.require_folder(picture.parent)
    run_folder.require_target(out if out.suffix or str(out) == "-" else picture)
    require_writable(picture)


def _write(result: dict[str, object], text: str, runs: tuple[Path, ...], out: Path) -> None:
    from wassergan.plots import overlaid_figure, save_figure
    from wassergan.storage.files import make_folder, write_text
    from wassergan.storage.run_folder import RunFolder
    from wassergan.storage.run_log import read_log
    from wassergan.storage.together import together

    picture = out if out.suffix else out / "curves.png"
    make_folder(picture.parent)
    figure = overlaid_figure({str(run): read_log(RunFolder(run).log) for run in runs})
    tables = {} if out.suffix else {"comparison.txt": text, "comparison.json": json.dumps(result, indent=1)}
    with together(picture.parent, ours={picture.name, *tables}.__contains__):
        save_figure(figure, picture)
        for name, content in tables.items():
            write_text(out / name, content + "\n")
    echo(f"Wrote {out}", err=True)
