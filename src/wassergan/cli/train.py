"""`wassergan train` and the part that it shares with `resume`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wassergan.cli.echo import echo, say
from wassergan.cli.interrupts import stop_on_signals
from wassergan.cli.options import GroupedCommand, GroupedOption, given, options_of
from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError, typed
from wassergan.storage.tick_distance import distance_in_short

if TYPE_CHECKING:
    from wassergan.training import DistributedContext

INTERRUPTED = 130
FEW_STEPS = 200


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
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Print gap and gradient norms at every tick, also where a progress bar is shown.",
)
@click.option("--live", is_flag=True, help="Serve the page on 127.0.0.1 while training; it refreshes itself.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on standard output.")
def train(data: str, out: Path | None, verbose: bool, live: bool, as_json: bool, **flags: Any) -> int:
    """Train a generator on DATA.

    DATA is `digits`; a folder of pictures, or .tar shards or a .zip of them; a .npy, .npz, IDX (.gz), NetCDF, Zarr,
    HDF5 or MATLAB file (FILE::NAME names an array in it); a table in a .csv, .tsv (.gz) or Excel file; or .parquet,
    .arrow or .feather files. Shards and these may come as a folder or as a pattern in quotes. Arrays and pictures that
    are larger than memory are streamed.

    \b
    Examples:
      wassergan train digits --budget 20s
      wassergan train photos/ --size 64 --budget 2h --out runs/photos
      wassergan train fields.npz --key t2m --preset wgan-gp --steps 20000
      wassergan train era5.nc::t2m
      wassergan train points.npy --constraint gp --seed 1
      torchrun --nproc-per-node 4 -m wassergan train photos/ --out runs/photos
      wassergan train rows.parquet --budget 1h
      wassergan train people.csv --schema people.json --budget 3m
      wassergan train people.csv --condition sex income --budget 3m
      wassergan train digits --condition label --budget 1m
      wassergan train flowers/ --size 64 --init-from runs/photos --budget 20m
      wassergan train 'shards/part-{000..099}.tar' --size 64

    Writes log, checkpoints, sample grids and curves into the run folder. Ctrl-C saves and stops;
    `wassergan resume` goes on.
    """
    settings = TrainSettings(data=data, **given(flags))

    from wassergan.runs.train import train_run
    from wassergan.training import launched, open_processes, require_same_call

    if out is None and launched():
        raise UserError(
            "Processes that torchrun starts need --out",
            hint="name a run folder that all of them see: started anew, they must find their run again",
        )
    folder = out or _free_folder(data, settings.preset)
    with open_processes(log=say) as processes:
        require_same_call(processes, "train", {})  # settings are compared where they are resolved
        return run_and_tell(
            lambda callback, interrupted: train_run(
                settings, folder, callback=callback, interrupted=interrupted, processes=processes
            ),
            folder,
            processes,
            as_json=as_json,
            verbose=verbose,
            live=live,
        )


def run_and_tell(
    run: Callable[..., dict[str, Any]],
    folder: Path,
    processes: "DistributedContext",
    *,
    as_json: bool,
    verbose: bool,
    live: bool,
) -> int:
    """Run with progress and signals, then say what came out and what to type next; returns the exit code.

    Of several processes, the first alone says anything; a signal to any of them is one to all.
    """
    from wassergan.callbacks import CallbackList
    from wassergan.cli.progress import TerminalProgress

    with stop_on_signals() as interrupted:
        progress = TerminalProgress(verbose=verbose, interrupted=interrupted)
        callback = CallbackList(*([progress] if processes.rank == 0 else []))
        if live and processes.rank == 0:
            from wassergan.runs.live import LivePage

            callback.add(LivePage(say=say))
        summary = run(callback, interrupted)
        (stopped_early,) = processes.any_of(interrupted())
    # The others wait for the last word: torchrun ends all when one leaves with a code that is not 0.
    processes.on_rank_zero(lambda: _tell(summary, folder, stopped_early=stopped_early, as_json=as_json))
    return INTERRUPTED if stopped_early else 0


def _tell(summary: dict[str, Any], folder: Path, *, stopped_early: bool, as_json: bool) -> None:
    if as_json:
        echo(json.dumps(summary))
    if stopped_early:
        echo(f"Interrupted at step {summary['steps']}; saved. Go on with: wassergan resume {typed(folder)}", err=True)
    elif not as_json:
        from wassergan.report.outlook import outlook
        from wassergan.storage.run_folder import RunFolder
        from wassergan.storage.run_log import read_log

        found = outlook(read_log(RunFolder(folder).log))
        echo(
            f"Done: {summary['steps']} steps, {distance_in_short(summary)} against held-out samples.\n"
            + (f"{found}\n" if found else "")
            + _hardly_begun(summary, folder)
            + f"Report:  {folder / 'report.html'}\n"
            f"Curves:  {folder / 'curves.png'}\n"
            f"Draw:    wassergan sample {typed(folder)} {_sample_flags(summary)}"
            + (
                f"\nFill:    wassergan complete {typed(folder)} gaps.csv --out filled.csv"
                if _completes(summary)
                else ""
            )
        )


def _hardly_begun(summary: dict[str, Any], folder: Path) -> str:
    """A line for those whose time was too short to learn anything; they may not know how many steps are many."""
    budget = summary["settings"].get("budget")
    if not budget or summary["steps"] >= FEW_STEPS:
        return ""
    more = f"{max(1, round(10 * budget / 60))}m"
    return f"So few steps are hardly a start. Go on with: wassergan resume {typed(folder)} --budget {more}\n"


def _completes(summary: dict[str, Any]) -> bool:
    return bool(summary["settings"].get("completion"))


def _sample_flags(summary: dict[str, Any]) -> str:
    from wassergan.modality import modality_of

    count, file = modality_of(summary["kind"]).usual_draw
    return f"--count {count} --out {file}"


def _free_folder(data: str, preset: str) -> Path:
    stem = Path(data).name.split(".")[0] or "data"
    number = 1
    while (folder := Path("runs") / f"{stem}-{preset}-{number}").exists():
        number += 1
    return folder
