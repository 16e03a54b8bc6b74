"""`wassergan sample`."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from wassergan.cli.echo import echo, say
from wassergan.cli.options import GroupedCommand, given, options_of
from wassergan.config.verbs import SampleSettings
from wassergan.errors import UserError


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
      wassergan sample runs/people --count 100000 --out - | gzip > people.csv.gz
      wassergan sample runs/people --count 1000 --out for_excel.csv --safe-csv
      wassergan sample runs/photos --count 500 --out pictures/ --seed 7
      wassergan sample runs/people --count 10000 --out people.csv --refine 4
      wassergan sample runs/rain --condition-array coarse.npy --draws 20 --out fine.npy
      wassergan sample runs/loads --given-past today.csv --draws 100 --out tomorrow.npy
      torchrun --nproc-per-node 4 -m wassergan sample runs/photos --count 1000000 --out photos.npy
    """
    settings = SampleSettings(run=str(run), **given(flags))

    from tqdm import tqdm

    from wassergan.data.tables.spreadsheets import Formulas
    from wassergan.modality import modality_of
    from wassergan.runs.sample import conditioned, count_of, require_drawable, require_target, write
    from wassergan.session.restore import open_sampler
    from wassergan.training import open_processes, require_same_call

    started, formulas, piped = time.perf_counter(), Formulas(prefix=settings.safe_csv), settings.out == "-"
    with open_processes(log=say) as processes:
        require_same_call(processes, "sample", asdict(settings))
        log = say if processes.rank == 0 else _silent
        told = (say if _on_terminal() else _silent) if processes.rank == 0 else None
        with processes.raise_together():
            wanted = _wanted(settings)
            sampler = open_sampler(
                run,
                checkpoint=settings.checkpoint,
                device=settings.device,
                refine=settings.refine,
                data=settings.data,
                log=log,
                check=lambda sampler: require_drawable(sampler, settings, wanted, told=told),
                processes=processes,
            )
            sampler = conditioned(sampler, settings, wanted, log=log)
        count = count_of(settings, sampler, wanted)
        with processes.raise_together():
            form = _piped_format(settings, sampler.kind, as_json=as_json)
        out = Path(settings.out) if settings.out else run / modality_of(sampler.kind).usual_file
        if not piped:
            processes.on_rank_zero(lambda: require_target(run, out))
        silent = processes.rank > 0 or not _on_terminal()
        with tqdm(total=count, unit="sample", file=sys.stderr, disable=silent) as bar:
            write(
                sampler,
                None if piped else out,
                count=count,
                seed=settings.seed,
                form=form,
                formulas=formulas,
                progress=lambda done: bar.update(done - bar.n) and None,
                processes=processes,
            )
    if processes.rank > 0:
        return
    if formulas.told():
        say(formulas.told())
    if as_json:
        seconds = round(time.perf_counter() - started, 3)
        found = {"out": str(out), "count": count, "seed": settings.seed, "seconds": seconds, "formulas": formulas.count}
        found |= {"refine": settings.refine} if settings.refine else {}
        echo(json.dumps(found))
    else:
        echo(f"Wrote {count} samples to {'standard output' if piped else out}", err=piped)


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _silent(sentence: str) -> None:
    pass


def _piped_format(settings: SampleSettings, kind: str, *, as_json: bool) -> str:
    """The format in which samples go to standard output; empty where they go to a file."""
    from wassergan.modality.writing import piped_format

    if settings.out != "-":
        if settings.format:
            raise UserError("--format is for standard output", found=settings.format, hint="name a file, or --out -")
        return ""
    form = piped_format(settings.format, kind)
    if as_json:
        raise UserError("Samples and JSON both go to standard output", hint="leave out --json, or name a file")
    return form


def _wanted(settings: SampleSettings) -> dict[str, list[Any]]:
    """What samples are asked to be drawn under, column by column."""
    from wassergan.data import read_conditions

    wanted: dict[str, list[Any]] = read_conditions(settings.given_rows) if settings.given_rows else {}
    for pair in settings.given or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError("--given takes NAME=VALUE", found=f"'{pair}'", hint="write it like sex=Female")
        if name in wanted:
            raise UserError(f"Condition {name} is given twice", hint="give it once")
        wanted[name] = [value]
    return wanted
