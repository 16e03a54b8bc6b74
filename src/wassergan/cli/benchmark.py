"""`wassergan benchmark`: measurements against known answers."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wassergan.cli.echo import echo
from wassergan.config.parsing import parse_budget, positive_int
from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError

if TYPE_CHECKING:
    from wassergan.benchmark.w1 import Row


PRESETS = ("default", "wgan", "wgan-gp", "sn-wgan")


@click.group()
def benchmark() -> None:
    """Measurements with known answers, and of speed."""


@benchmark.command()
@click.option(
    "--pairs",
    default="quick",
    show_default=True,
    metavar="quick|funnels|other|all|NAME,...",
    help="Pairs of distributions with known W1.",
)
@click.option(
    "--solvers",
    default="atoms,orthogonal,learned-atoms",
    show_default=True,
    metavar="NAME,...",
    help="Families of critics: atoms, learned-atoms, orthogonal, gp, lp, sn, clip.",
)
@click.option("--seeds", default="1", show_default=True, metavar="K", help="Runs of each, seeds 0 to K-1.")
@click.option("--steps", metavar="N", help="Critic steps of each run [2000 unless --budget is given].")
@click.option("--budget", metavar="TIME", help="Time of each run, such as 30s; the earlier end counts.")
@click.option("--test-count", default="131072", show_default=True, metavar="N", help="Fresh test points per side.")
@click.option("--device", default="cpu", show_default=True, help="Where to train: cpu, cuda, cuda:N or mps.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("w1.json"),
    show_default=True,
    help="JSON of all runs; runs that it already holds are not repeated. The table is written beside it.",
)
@click.option("--published", type=click.Path(path_type=Path), help="CSV of published results to show beside them.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def w1(
    pairs: str,
    solvers: str,
    seeds: str,
    steps: str | None,
    budget: str | None,
    test_count: str,
    device: str,
    out: Path,
    published: Path | None,
    as_json: bool,
) -> None:
    """Critics on pairs of distributions whose W1 is known: deviation, validity, direction, time.

    \b
    Examples:
      wassergan benchmark w1
      wassergan benchmark w1 --pairs funnels --seeds 3 --budget 60s --out w1.json
      wassergan benchmark w1 --pairs funnels-16-16,cones --solvers gp,lp,orthogonal --steps 5000

    Writes the JSON after every run, so that an interrupted benchmark goes on where it stopped, and a Markdown
    table of the same name. With the default pairs it takes minutes; `--pairs all` with several seeds takes hours.
    """
    names = [name.strip() for name in solvers.split(",")]
    if not out.parent.is_dir():
        raise UserError("There is no folder for the results", found=f"'{out.parent}'")
    counts = {"steps": None if steps is None else positive_int(steps), "test_count": positive_int(test_count)}
    seconds = None if budget is None else parse_budget(budget)
    seed_count = positive_int(seeds)

    from wassergan.benchmark.w1 import Effort, markdown, pair_names, run
    from wassergan.distances import DEFAULT_STEPS, get_family
    from wassergan.session.build import choose_device
    from wassergan.storage.files import write_text
    from wassergan.storage.run_folder import require_output

    require_output(require_output(out).with_suffix(".md"))
    for name in names:
        get_family(name)
    if counts["steps"] is None and seconds is None:
        counts["steps"] = DEFAULT_STEPS
    effort = Effort(steps=counts["steps"], seconds=seconds, test_count=counts["test_count"] or 0)
    rows = run(pair_names(pairs), names, seed_count, effort, out, device=choose_device(device), log=_tell)
    report = markdown(rows, published)
    write_text(out.with_suffix(".md"), report)
    echo(json.dumps([asdict(row) for row in rows]) if as_json else report)


@benchmark.command()
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("--published", type=click.Path(path_type=Path), help="CSV of published results to show beside them.")
@click.option("--out", type=click.Path(path_type=Path), help="Markdown file to write instead of printing.")
def table(runs: Path, published: Path | None, out: Path | None) -> None:
    """The report of all runs in a JSON that `benchmark w1` wrote, with the commands that make them.

    \b
    Example:
      wassergan benchmark table w1.json --published published.csv --out w1.md

    The CSV has the columns metric (cosine, l2, w1), dim, funnels, solver, value.
    """
    from wassergan.benchmark.w1 import markdown, read_rows
    from wassergan.storage.files import write_text
    from wassergan.storage.run_folder import require_output

    if out is not None and not out.parent.is_dir():
        raise UserError("There is no folder for the report", found=f"'{out.parent}'")
    if out is not None:
        require_output(out)
    rows = read_rows(runs)
    if not rows:
        raise UserError("There are no runs to report", found=f"'{runs}'", hint="make some with `benchmark w1`")
    text = markdown(rows, published)
    if out is None:
        echo(text, nl=False)
        return
    write_text(out, text)


@benchmark.command()
@click.option("--data", default="digits", show_default=True, help="What to train on.")
@click.option("--presets", default=",".join(PRESETS), show_default=True, metavar="NAME,...", help="What to train.")
@click.option(
    "--precision", default="float32,bf16", show_default=True, metavar="NAME,...", help="Of the passes through networks."
)
@click.option("--device", default="auto", show_default=True, help="Where to train: auto, cpu, cuda, cuda:N or mps.")
@click.option("--threads", metavar="N", help="CPU threads; a preset's own choice unless given.")
@click.option("--budget", default="5s", show_default=True, metavar="TIME", help="For each row.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON of all rows; the table goes beside it.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def speed(
    data: str,
    presets: str,
    precision: str,
    device: str,
    threads: str | None,
    budget: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Generator steps and samples per second of presets on this machine, in rounds that alternate.

    \b
    Examples:
      wassergan benchmark speed
      wassergan benchmark speed --data photos/ --presets default --precision auto --budget 30s
      wassergan benchmark speed --presets wgan,wgan-gp --out speed.json
    """
    seconds, count = parse_budget(budget), None if threads is None else positive_int(threads)
    if out is not None and not out.parent.is_dir():
        raise UserError("There is no folder for the results", found=f"'{out.parent}'")

    from wassergan.session.throughput import markdown, measure
    from wassergan.storage.files import write_text
    from wassergan.storage.run_folder import require_output
    from wassergan.storage.together import together

    if out is not None:
        require_output(require_output(out).with_suffix(".md"))
    rows = list(
        measure(
            [
                TrainSettings(data=data, preset=preset, precision=each, device=device, threads=count)
                for preset in _names(presets)
                for each in _names(precision)
            ],
            seconds=seconds,
        )
    )
    records, table = json.dumps([asdict(row) for row in rows], indent=1), markdown(rows)
    if out is not None:
        text = out.with_suffix(".md")
        with together(out.parent, ours={out.name, text.name}.__contains__):
            write_text(out, records + "\n")
            write_text(text, table)
    echo(records if as_json else table)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _tell(row: "Row") -> None:
    echo(
        f"{row.pair} {row.solver} seed {row.seed}: W1 {row.w1:.4f}, estimate {row.deviation:+.1f} %, "
        f"lower bound {row.lower_deviation:+.1f} % ({'valid' if row.valid else 'NOT VALID'}), "
        f"cosine {row.cosine:.3f}, {row.steps} steps, {row.seconds:.0f} s",
        err=True,
    )
