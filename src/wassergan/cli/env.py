"""`wassergan env`."""

import json

import click

from wassergan.cli.echo import echo


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def env(as_json: bool) -> None:
    """Describe this installation: versions, processors, accelerators. Paste the output into bug reports.

    \b
    Example:
      wassergan env --json
    """
    from wassergan.utils.environment import environment

    facts = environment()
    if as_json:
        echo(json.dumps(facts))
        return
    for name, value in facts.items():
        echo(f"{name:<16} {value}")
