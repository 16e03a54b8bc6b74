"""`wassergan resume`."""

from pathlib import Path
from typing import Any

import click

from wassergan.cli.echo import say
from wassergan.cli.options import GroupedCommand, given, options_of
from wassergan.cli.train import run_and_tell
from wassergan.config.settings import TrainSettings


@click.command(cls=GroupedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", help="Where the data are now, if they were moved.")
@options_of(TrainSettings)
@click.option("--checkpoint", default="latest", metavar="latest|best|STEP", help="Where to resume from [latest].")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Print gap and gradient norms at every tick, also where a progress bar is shown.",
)
@click.option("--live", is_flag=True, help="Serve the page on 127.0.0.1 while training; it refreshes itself.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on standard output.")
def resume(run: Path, checkpoint: str, verbose: bool, live: bool, as_json: bool, **flags: Any) -> int:
    """Resume the run in folder RUN from its latest checkpoint (or another), bit for bit on the CPU.

    \b
    Examples:
      wassergan resume runs/digits-default-1
      wassergan resume runs/digits-default-1 --budget 10m
      wassergan resume runs/photos --steps 50000
      torchrun --nproc-per-node 4 -m wassergan resume runs/photos

    --steps and --budget count from the start of the run. --data, --labels and --schema name where files lie now that
    were moved; --keep, --tick-steps, --previews and the like say what is written. --device, --threads, --precision,
    --batch-size, --critic-lr and --generator-lr may change too, and then a line says that the numbers do.
    Other settings must be those of the run: a difference is printed and refused.
    """
    from wassergan.runs.train import resume_run
    from wassergan.training import open_processes, require_same_call

    with open_processes(log=say) as processes:
        require_same_call(processes, "resume", {**given(flags), "checkpoint": checkpoint})
        return run_and_tell(
            lambda callback, interrupted: resume_run(
                run,
                given(flags),
                checkpoint=checkpoint,
                callback=callback,
                interrupted=interrupted,
                processes=processes,
            ),
            run,
            processes,
            as_json=as_json,
            verbose=verbose,
            live=live,
        )
