"""`wassergan train` and the part that it shares with `resume`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wassergan.cli.interrupts import stop_on_signals
from wassergan.cli.options import GroupedCommand, GroupedOption, given, options_of
from wassergan.settings import TrainSettings

INTERRUPTED = 130


@click.command(cls=GroupedCommand)
@click.argument("data")
@click.option(
    "--out",
    cls=GroupedOption,
    group="Run",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Run folder, new or empty [runs/DATA-PRESET-N].",
)
@options_of(TrainSettings)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on standard output.")
def train(data: str, out: Path | None, as_json: bool, **flags: Any) -> int:
    """Train a generator on DATA: `digits`, a folder of pictures, or a .npy, .npz or IDX (.gz) file.

    \b
    Examples:
      wassergan train digits --budget 20s
      wassergan train photos/ --size 64 --budget 2h --out runs/photos
      wassergan train fields.npz --key t2m --preset wgan-gp --steps 20000
      wassergan train points.npy --constraint gp --seed 1

    Writes log, checkpoints, sample grids and curves into the run folder. Ctrl-C saves and stops;
    `wassergan resume` goes on.
    """
    settings = TrainSettings(data=data, **given(flags))
    folder = out or _free_folder(data, settings.preset)

    from wassergan.runs import train_run

    return run_and_tell(
        lambda observer, interrupted: train_run(settings, folder, observer=observer, interrupted=interrupted),
        folder,
        as_json=as_json,
    )


def run_and_tell(run: Callable[..., dict[str, Any]], folder: Path, *, as_json: bool) -> int:
    """Run with progress and signals, then say what came out and what to type next; returns the exit code."""
    from wassergan.cli.progress import TerminalObserver

    observer = TerminalObserver()
    with stop_on_signals() as interrupted:
        try:
            summary = run(observer, interrupted)
        finally:
            observer.close()
        stopped_early = interrupted()
    if as_json:
        click.echo(json.dumps(summary))
    if stopped_early:
        click.echo(f"Interrupted at step {summary['steps']}; saved. Go on with: wassergan resume {folder}", err=True)
        return INTERRUPTED
    if not as_json:
        click.echo(
            f"Done: {summary['steps']} steps, sliced W1 {summary['sliced_w1']:.4f} against held-out samples "
            f"(floor {summary['sliced_w1_floor']:.4f}).\n"
            f"Report:  {folder / 'report.html'}\n"
            f"Curves:  {folder / 'curves.png'}\n"
            f"Draw:    wassergan sample {folder} --count 64 --out samples.png"
        )
    return 0


def _free_folder(data: str, preset: str) -> Path:
    stem = Path(data).name.split(".")[0] or "data"
    number = 1
    while (folder := Path("runs") / f"{stem}-{preset}-{number}").exists():
        number += 1
    return folder
