"""`wassergan info`."""

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(target: str, as_json: bool) -> None:
    """Say what a run folder, or a data source that `train` reads, holds.

    \b
    Examples:
      wassergan info runs/digits-default-1
      wassergan info runs/digits-default-1 --json
      wassergan info fields.npz
    """
    from wassergan.runfolder import RunFolder, run_summary

    if Path(target).is_dir() and RunFolder(Path(target)).holds_run():
        facts = run_summary(Path(target))
    else:
        facts = _data_facts(target)
    if as_json:
        click.echo(json.dumps(facts))
        return
    settings = facts.pop("settings", {})
    for name, value in facts.items():
        click.echo(f"{name:<20} {_shown(value)}")
    for name, value in settings.items():
        if value is not None:
            click.echo(f"  {name:<18} {_shown(value)}")


def _data_facts(target: str) -> dict[str, Any]:
    from wassergan.data import open_source

    source = open_source(target, report=lambda sentence: click.echo(sentence, err=True))
    codec = source.codec
    return {
        "data": source.name,
        "kind": source.kind,
        "samples": len(source),
        "train": source.train_count,
        "heldout": source.heldout_count,
        "shape": list(source.shape),
        "layout": codec.layout,
        "dtype": codec.dtype,
        **({"columns": list(source.columns)} if source.columns else {}),
    }


def _shown(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
