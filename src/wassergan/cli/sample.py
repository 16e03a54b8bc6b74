"""`wassergan sample`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from wassergan.cli.options import GroupedCommand, given, options_of
from wassergan.settings import SampleSettings


@click.command(cls=GroupedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@options_of(SampleSettings)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON on standard output.")
def sample(run: Path, as_json: bool, **flags: Any) -> None:
    """Draw samples from the averaged generator of the run in folder RUN, in the units of its data.

    \b
    Examples:
      wassergan sample runs/digits --count 64 --out digits.png
      wassergan sample runs/digits --count 1000000 --out digits.npy
      wassergan sample runs/people --count 10000 --out people.csv
      wassergan sample runs/photos --count 500 --out pictures/ --seed 7
      torchrun --nproc-per-node 4 -m wassergan sample runs/photos --count 1000000 --out photos.npy
    """
    settings = SampleSettings(run=str(run), **given(flags))

    from tqdm import tqdm

    from wassergan.runs import open_sampler
    from wassergan.sampling import write_samples
    from wassergan.training import open_processes

    started = time.perf_counter()
    with open_processes() as processes:
        silent = processes.rank > 0 or not sys.stderr.isatty()
        with processes.together():
            sampler = open_sampler(run, checkpoint=settings.checkpoint, device=settings.device, processes=processes)
        out = (
            Path(settings.out) if settings.out else run / ("samples.csv" if sampler.kind == "table" else "samples.png")
        )
        with tqdm(total=settings.count, unit="sample", file=sys.stderr, disable=silent) as bar:
            write_samples(
                sampler,
                out,
                count=settings.count,
                seed=settings.seed,
                progress=lambda done: bar.update(done - bar.n) and None,
                processes=processes,
            )
    if processes.rank > 0:
        return
    if as_json:
        seconds = round(time.perf_counter() - started, 3)
        click.echo(json.dumps({"out": str(out), "count": settings.count, "seed": settings.seed, "seconds": seconds}))
    else:
        click.echo(f"Wrote {settings.count} samples to {out}")
