"""`wassergan prune`."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from wassergan.cli.echo import echo


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--keep", type=click.IntRange(min=1), required=True, help="How many numbered checkpoints stay.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def prune(run: Path, keep: int, dry_run: bool, as_json: bool) -> None:
    """Remove the older numbered checkpoints of the run in folder RUN; `latest` and `best` stay.

    \b
    Examples:
      wassergan prune runs/photos --keep 1 --dry-run
      wassergan prune runs/photos --keep 1

    The run can be resumed and drawn from as before. A run that another process writes is refused.
    """
    from wassergan.runs.prune import prune_run

    found = prune_run(run, keep=keep, dry_run=dry_run)
    if as_json:
        echo(json.dumps({**asdict(found), "dry_run": dry_run}))
        return
    freed = f"{found.freed_bytes / 1e6:.1f} MB"
    if not found.removed:
        kept = "1 numbered checkpoint" if len(found.kept) == 1 else f"{len(found.kept)} numbered checkpoints"
        echo(f"Nothing to remove: {run} has {kept}.")
    elif dry_run:
        echo(f"Would remove the checkpoints of steps {_listed(found.removed)}, and free {freed}.")
    else:
        echo(f"Removed the checkpoints of steps {_listed(found.removed)}; {freed} were freed.")


def _listed(steps: tuple[int, ...]) -> str:
    shown = [str(each) for each in steps]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:3], "...", *shown[-2:]])
