"""`wassergan evaluate`."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from wassergan.cli.echo import echo, say
from wassergan.cli.options import GroupedCommand, given, options_of
from wassergan.config.verbs import EvaluateSettings


@click.command(cls=GroupedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@options_of(EvaluateSettings)
@click.option("--json", "as_json", is_flag=True, help="Print the content of metrics.json on standard output.")
def evaluate(run: Path, as_json: bool, **flags: Any) -> None:
    """Evaluate the averaged generator of the run in folder RUN against samples that it was never trained on.

    \b
    Examples:
      wassergan evaluate runs/digits
      wassergan evaluate runs/fashion --count 10000 --features random-conv
      wassergan evaluate runs/fashion --against t10k-images-idx3-ubyte.gz --json
      wassergan evaluate runs/photos --features inception
      torchrun --nproc-per-node 2 -m wassergan evaluate runs/photos
      wassergan evaluate /archive/run --out judged/
      wassergan evaluate runs/people --target income --against people_2021.csv

    Every metric is shown beside its floor: the score of as many training samples against the same held-out ones.
    Tables have a second anchor: rows whose columns were drawn independently. Writes metrics.json into the run folder,
    for pictures evaluation/neighbours.png, for tables evaluation/marginals.png and pair-N.png, and its report.html
    anew.
    """
    from wassergan.cli.tables import evaluation_table
    from wassergan.runs.evaluate import evaluate_run
    from wassergan.training import open_processes, require_same_call

    started, failures = int(time.time()), list[OSError]()
    settings = EvaluateSettings(run=str(run), **given(flags))

    def tell(result: dict[str, Any]) -> None:
        # Before anything is written, so that no full disk loses it; nor does a standard output that nobody reads.
        try:
            echo(json.dumps(result) if as_json else evaluation_table(result))
        except OSError as error:
            failures.append(error)

    with open_processes(log=say) as processes:
        require_same_call(processes, "evaluate", asdict(settings))
        evaluate_run(settings, log=_say, found=tell, processes=processes)
    written = Path(settings.out or run) / "metrics.json"
    if processes.rank == 0 and written.exists() and written.stat().st_mtime >= started:
        _say(f"Wrote {written}")
    if failures:
        raise failures[0]


def _say(sentence: str) -> None:
    echo(sentence, err=True)
