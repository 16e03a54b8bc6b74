"""`wassergan sample`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from wassergan.cli.echo import echo
from wassergan.cli.options import GroupedCommand, given, options_of
from wassergan.errors import UserError
from wassergan.settings import SampleSettings

USUAL_COUNT = 64


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
      wassergan sample runs/people --count 1000 --out some.csv --given sex=Female age=40
      wassergan sample runs/people --given-rows wanted.csv --out made.csv
      wassergan sample runs/photos --count 500 --out pictures/ --seed 7
      torchrun --nproc-per-node 4 -m wassergan sample runs/photos --count 1000000 --out photos.npy
    """
    settings = SampleSettings(run=str(run), **given(flags))

    from tqdm import tqdm

    from wassergan.opening import open_sampler
    from wassergan.sampling import write_samples
    from wassergan.training import open_processes

    started = time.perf_counter()
    with open_processes() as processes:
        silent = processes.rank > 0 or not sys.stderr.isatty()
        with processes.together():
            sampler = open_sampler(run, checkpoint=settings.checkpoint, device=settings.device, processes=processes)
            wanted = _wanted(settings)
            sampler = sampler.under(wanted)
        count = settings.count or (max(map(len, wanted.values())) if settings.given_rows else USUAL_COUNT)
        out = (
            Path(settings.out) if settings.out else run / ("samples.csv" if sampler.kind == "table" else "samples.png")
        )
        with tqdm(total=count, unit="sample", file=sys.stderr, disable=silent) as bar:
            write_samples(
                sampler,
                out,
                count=count,
                seed=settings.seed,
                progress=lambda done: bar.update(done - bar.n) and None,
                processes=processes,
            )
    if processes.rank > 0:
        return
    if as_json:
        seconds = round(time.perf_counter() - started, 3)
        echo(json.dumps({"out": str(out), "count": count, "seed": settings.seed, "seconds": seconds}))
    else:
        echo(f"Wrote {count} samples to {out}")


def _wanted(settings: SampleSettings) -> dict[str, list[Any]]:
    """What samples are asked to be drawn under, column by column."""
    from wassergan.data import read_conditions

    wanted: dict[str, list[Any]] = read_conditions(settings.given_rows) if settings.given_rows else {}
    for pair in settings.given or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError("--given takes NAME=VALUE", found=f"'{pair}'", mend="write it like sex=Female")
        if name in wanted:
            raise UserError(f"Condition {name} is given twice", mend="give it once")
        wanted[name] = [value]
    return wanted
