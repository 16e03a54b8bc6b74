"""`wassergan visualize`."""

import json
from pathlib import Path
from typing import Any

import click

from wassergan.cli.echo import echo, say
from wassergan.cli.options import GroupedCommand, given, options_of
from wassergan.config.verbs import VisualizeSettings


@click.command(cls=GroupedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", help="Where the data are now, if they were moved.")
@options_of(VisualizeSettings)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON on standard output.")
def visualize(run: Path, data: str | None, as_json: bool, **flags: Any) -> None:
    """Plot what the averaged generator of the run in folder RUN has learnt.

    \b
    Pictures, fields:  interpolation.webp (walks through the latent space), interpolation.png (from one latent to
                       another), truncation.png (latents drawn in and stretched)
    Fields:            fields.png, moments.png (held-out beside generated, one colour scale)
    Rows of numbers:   marginals.png, pairs.png (held-out against generated)
    Tables:            marginals.png, pairs.png (pairs that tell most)

    \b
    Examples:
      wassergan visualize runs/digits
      wassergan visualize runs/points --count 10000 --out figures/
      wassergan visualize runs/fields --data /new/place/fields.npz --seed 3
    """
    settings = VisualizeSettings(run=str(run), **given(flags))

    from wassergan.runs.visualize import visualize_run
    from wassergan.storage.run_folder import RunFolder

    files = visualize_run(
        run,
        Path(settings.out) if settings.out else RunFolder(run).visualization,
        count=settings.count,
        seed=settings.seed,
        checkpoint=settings.checkpoint,
        device=settings.device,
        data=data,
        log=say,
    )
    if as_json:
        echo(json.dumps({"files": [str(path) for path in files], "seed": settings.seed}))
    else:
        echo("\n".join(f"Wrote {path}" for path in files))
