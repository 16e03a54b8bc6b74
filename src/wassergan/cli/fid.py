"""`wassergan fid`: every metric of one data set against another, beside what two halves of the other have."""

import json
from typing import TYPE_CHECKING, Any

import click

from wassergan.cli.echo import echo, say
from wassergan.cli.reading import reading_of, reading_options
from wassergan.errors import UserError

if TYPE_CHECKING:
    from wassergan.config.settings import TrainSettings
    from wassergan.data.measured import Reading


OF_TWO = {  # what an evaluation says as it goes on, where there is no run
    "Features of the training samples": "Features of the half of A that gives the floors",
    "Features of the held-out samples": "Features of the other half of A",
    "Samples of the generator": "Features of B",
    "Rows of the generator": "Rows of B",
    "Features that learn from the training pictures": "Features that learn from the pictures of A",
    "Near copies of training samples": "Near copies of samples of A",
    "Near copies of training rows": "Near copies of rows of A",
}


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--features",
    default="pixels",
    show_default=True,
    metavar="pixels|random-conv|inception[:WEIGHTS]|FILE",
    help="What the metrics of arrays and pictures are computed on; a file is a TorchScript or exported module.",
)
@click.option("--count", type=click.IntRange(min=1), help="Samples of B; all, but at most 10000, unless given.")
@click.option("--target", metavar="COLUMN", help="Tables: the column that trees learn to predict.")
@click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="For the features."
)
@reading_options
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of halves, directions, folds, subsamples.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def fid(
    a: str,
    b: str,
    features: str,
    count: int | None,
    target: str | None,
    device: str,
    seed: int,
    as_json: bool,
    **flags: Any,
) -> None:
    """Fréchet distance and all other metrics of the samples B against the real samples A; no run is needed.

    \b
    Examples:
      wassergan fid real/ generated/
      wassergan fid real.npy generated.npy --json
      wassergan fid photos/ samples/ --features inception
      wassergan fid people.csv made.csv --target income

    A and B are anything that `train` reads, of the same kind. A is cut into two halves by seed. B is compared with the
    one, and so is the other half: that is the floor of each metric. Pictures of B are brought to the size and colours
    of A. Fréchet distances fall with the number of samples: compare them at equal counts.
    """
    from wassergan.config.verbs import EvaluateSettings
    from wassergan.modality import modality_of
    from wassergan.modality.judged import judged
    from wassergan.session.build import choose_device, open_data
    from wassergan.storage.files import scratch_folder

    if not -(2**63) <= seed < 2**63:
        raise UserError("A seed is a number of 64 bits", found=f"--seed {seed}")
    reading = reading_of(flags)
    settings = EvaluateSettings(count=count, features=features, target=target, seed=seed, device=device)
    chosen = choose_device(device)
    how = _how_to_open(reading, schema=flags["schema"], seed=seed)
    source = open_data(how, data=a, log=say)
    modality = modality_of(source.kind)
    others = modality.others(
        b,
        source,
        lambda: open_data(how, data=b, like=source, log=say),
        sheet=reading.sheet,
        schema=flags["schema"],
        weight=None,
        log=say,
    )
    given = modality.given(source, others)
    with scratch_folder() as folder:
        asked = _at_most(settings, given.held)
        result = judged(asked, given, source, modality=modality, device=chosen, folder=folder, log=_say)
    facts = _facts(result, a, b, given.held, len(source))
    echo(json.dumps(facts) if as_json else _told(facts, result))


def _say(sentence: str) -> None:
    say(OF_TWO.get(sentence, sentence))


def _how_to_open(reading: "Reading", *, schema: str | None, seed: int) -> "TrainSettings":
    """The settings of a run that would read its data in this way and hold one half of them out."""
    from wassergan.config.settings import TrainSettings
    from wassergan.modality.judged import HALF

    said = {name: value for name, value in vars(reading).items() if name != "schema"}
    return TrainSettings(**said, schema=schema, heldout=HALF, seed=seed)


def _at_most(settings: Any, held: int) -> Any:
    """The settings with a count that B has: as many as the half of A that gives the floor, unless asked otherwise."""
    from dataclasses import replace

    from wassergan.evaluation.evaluate import LARGEST

    if settings.count is not None and settings.count > held:
        raise UserError("B does not have so many samples", found=f"--count {settings.count} of {held}")
    return replace(settings, count=settings.count or min(held, LARGEST), sheet=None)


def _facts(result: dict[str, Any], a: str, b: str, held: int, real: int) -> dict[str, Any]:
    """The result in the words of two data sets: there is no generator, and nothing was trained."""
    memory = {name: value for name, value in result["memorisation"].items() if name not in ("sentence", "picture")}
    return {
        "a": a,
        "b": b,
        "samples_a": real,
        "samples_b": held,
        "metrics": sorted(result["metrics"], key=lambda row: row["name"] != "frechet_distance"),
        **({"channels": result["channels"]} if result.get("channels") else {}),
        "copies": memory,
        "flags": ["copies" if flag == "memorised" else flag for flag in result["verdict"]["flags"]],
        "protocol": result["protocol"],
    }


def _told(facts: dict[str, Any], result: dict[str, Any]) -> str:
    from wassergan.errors import one_line
    from wassergan.evaluation.metric_table import aligned, metric_cells

    protocol, memory = facts["protocol"], facts["copies"]
    flags = ", ".join(facts["flags"]) or "none"
    lines = [
        f"{protocol['generated']} of {facts['samples_b']} samples of {facts['b']} against {protocol['heldout']} of "
        f"{facts['a']}; floors from {protocol['training']} others of {facts['a']}.",
        f"Features: {protocol['features']}, {protocol['feature_dim']} numbers. Seed {protocol['seed']}, "
        f"{protocol['seconds']:.1f} s.",
        "",
        *aligned(metric_cells({**result, "metrics": facts["metrics"]})),
        "",
        f"Near copies: {memory['share_near_copies']:.2%} of B lie within {memory['threshold']:.3g} of one sample of A "
        f"and far from others; {memory['share_near_copies_heldout']:.2%} of A's own other half do.",
        f"Beyond what chance explains: {flags}.",
    ]
    return "\n".join(map(one_line, lines))
