"""`wassergan watch`: has new data the distribution of a reference?"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wassergan.cli.echo import echo, say
from wassergan.cli.reading import reading_of, reading_options
from wassergan.errors import UserError

if TYPE_CHECKING:
    from wassergan.monitor import BatchReport, W1Monitor
    from wassergan.monitor.state import MonitorState

ALARM = 3
ALARMS = ("any", "batch", "stream")


@click.command()
@click.argument("reference")
@click.argument("new", nargs=-1, required=True)
@click.option("--alpha", type=float, default=0.01, show_default=True, help="Probability of a false alarm.")
@click.option(
    "--alarm",
    default="any",
    show_default=True,
    metavar="any|batch|stream",
    help="When to end in exit code 3. batch: a batch's own p-value is at most alpha; stream: the evidence of the whole "
    "stream has reached 1 / alpha; any: either.",
)
@click.option("--state", metavar="FOLDER", help="Continue from the batches seen before, and remember these.")
@click.option("--page", metavar="FILE", help="Write one page with the timeline, columns and moved rows.")
@click.option("--permutations", type=int, default=999, show_default=True, help="Permutations of each test.")
@click.option(
    "--rows", type=int, default=1000, show_default=True, help="Rows of each side in the joint distance and test."
)
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Confidence of each lower bound.")
@click.option(
    "--correction",
    default="holm",
    show_default=True,
    metavar="holm|benjamini-hochberg",
    help="Correction of the columns' p-values for multiple tests.",
)
@click.option("--columns", metavar="NAME,...", help="Watch these columns alone.")
@click.option(
    "--scale",
    default="iqr",
    show_default=True,
    metavar="iqr|std|range|none",
    help="Scale by which numbers are divided.",
)
@click.option(
    "--features", default="random-conv", show_default=True, metavar="NAME", help="Features of pictures to compare."
)
@click.option(
    "--by-column",
    is_flag=True,
    help="Compare each column of numbers by itself, of .npy, Parquet, Arrow and Feather files of any size, which are "
    "read a piece at a time.",
)
@reading_options
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of permutations, directions and drawn rows.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each batch.")
def watch(
    reference: str,
    new: tuple[str, ...],
    alarm: str,
    state: str | None,
    page: str | None,
    as_json: bool,
    by_column: bool,
    **flags: Any,
) -> None:
    """Compare each of NEW with REFERENCE: has the distribution changed, by how much, where, and how certain is that?

    \b
    Examples:
      wassergan watch reference.csv today.csv
      wassergan watch reference.parquet monday.parquet tuesday.parquet --page drift.html
      wassergan watch reference.csv today.csv --state drift --json    # a cron job: continues every day

    For each batch, reports W1 with its certificate, the distance that chance alone explains, a p-value that is exact
    at every sample size, a lower bound on the distance of the distributions, and the columns that moved, in their own
    units. Exit code 3 on alarm. Without a change, each batch raises one with probability at most alpha, and the whole
    stream ever does with probability at most alpha; --alarm stream leaves the batches out.
    """
    _check_alarm(alarm)
    if by_column:
        _refuse_with_columns(state=state, page=page, alarm=None if alarm == "any" else alarm)
        if _by_column(reference, new, flags, as_json=as_json):
            raise click.exceptions.Exit(ALARM)
        return
    from wassergan.storage.run_folder import require_output

    if page is not None and not Path(page).parent.is_dir():
        raise UserError("There is no folder for the page", found=f"'{Path(page).parent}'")
    target = None if page is None else require_output(Path(page))
    with _state(state) as saved:
        monitor = _monitor(reference, flags)
        if saved is not None:
            saved.load(monitor)
        reports = list(_checked(monitor, new, saved, as_json=as_json))
        if target is not None:
            _write_page(target, reference, monitor, reports, saved)
        raised = {
            "batch": any(each.alarm for each in reports),
            "stream": monitor.evidence.alarm_at is not None,
        }
    if any(raised.values()) if alarm == "any" else raised[alarm]:
        raise click.exceptions.Exit(ALARM)


def _check_alarm(alarm: str) -> None:
    from wassergan.errors import unknown_name

    if alarm not in ALARMS:
        raise unknown_name("alarm", alarm, ALARMS)


def _refuse_with_columns(**given: str | None) -> None:
    for name, value in given.items():
        if value is not None:
            raise UserError(f"--by-column keeps no stream and writes no page: leave --{name} out", found=value)


def _by_column(reference: str, new: tuple[str, ...], flags: dict[str, Any], *, as_json: bool) -> bool:
    """Whether a column of a file moved."""
    from wassergan.config.parsing import parse_names
    from wassergan.monitor import streamed_drifts

    settings = {name: flags[name] for name in ("alpha", "confidence", "permutations", "correction", "seed")}
    columns = parse_names(flags["columns"]) if flags["columns"] else ()
    raised = False
    for name in new:
        log = partial(echo, err=True)
        found = streamed_drifts(reference, name, columns=columns, log=log, **settings)
        moved = [each for each in found if each.drift.moved]
        raised = raised or bool(moved)
        if as_json:
            echo(
                json.dumps({"name": Path(name).name, "alarm": bool(moved), "columns": [asdict(each) for each in found]})
            )
            continue
        verdict = "columns changed" if moved else "no change of a column seen"
        echo(f"{Path(name).name}: {verdict} ({found[0].rows[1]} rows against {found[0].rows[0]} of the reference)")
        for each in moved:
            bounds = "" if each.w1_lower is None else f"; W1 in [{each.w1_lower:.6g}, {each.w1_upper:.6g}]"
            echo(f"  {each.drift.words()}{bounds}")
    return raised


@contextmanager
def _state(folder: str | None) -> Iterator["MonitorState | None"]:
    """The state in a folder, whose lock is held meanwhile."""
    if folder is None:
        yield None
        return
    from wassergan.monitor.state import MonitorState
    from wassergan.storage.lock import held
    from wassergan.storage.run_folder import RunFolder

    if RunFolder(Path(folder)).holds_run():
        raise UserError(f"{folder} holds a run", hint="name another folder for the state of the monitor")
    RunFolder(Path(folder)).require_folder(Path(folder))
    with held(Path(folder)):
        yield MonitorState(Path(folder))


def _monitor(reference: str, flags: dict[str, Any]) -> "W1Monitor":
    from wassergan.config.parsing import parse_names
    from wassergan.monitor import W1Monitor

    settings = {
        name: flags[name]
        for name in ("alpha", "permutations", "rows", "confidence", "correction", "scale", "features", "seed")
    }
    columns = parse_names(flags["columns"]) if flags["columns"] else ()
    return W1Monitor(
        reference,
        columns=columns,
        reading=reading_of(flags),
        log=say,
        **settings,
    )


def _checked(
    monitor: "W1Monitor", new: tuple[str, ...], saved: "MonitorState | None", *, as_json: bool
) -> Iterator["BatchReport"]:
    for name in new:
        report = monitor.check(name)
        if saved is not None:
            saved.save(monitor, report)
        echo(json.dumps(report.facts()) if as_json else report.words())
        yield report


def _write_page(
    path: Path, reference: str, monitor: "W1Monitor", reports: list["BatchReport"], saved: "MonitorState | None"
) -> None:
    from wassergan.monitor.state import summary_of
    from wassergan.report.watch import write_watch_page

    history = saved.history if saved is not None else [summary_of(each) for each in reports]
    if not reports:
        raise UserError("A page needs a batch")
    write_watch_page(path, Path(reference).name, monitor.alpha, history, reports[-1].facts())
