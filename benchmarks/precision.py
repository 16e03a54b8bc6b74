"""Whether bf16 costs quality: the same recipe in float32 and in bf16, for an equal number of steps, over some seeds.

    python benchmarks/precision.py [--steps 400] [--seeds 5] [--network mlp]

Digits, the default recipe (an MLP) unless told otherwise. Both precisions start from the same weights and see the
same batches and latents in the same order. Scores of 2000 samples against the 360 held-out digits, in [-1, 1]: sliced
W1 (256 directions), recall and coverage (k = 5, pixels). Below the runs stand, for each score, the mean difference
between the precisions, seed by seed, its standard error, and the deviation of float32 between seeds: the noise.
Processors without bf16 units emulate it slowly and round alike. Writes docs/results/precision.json and .md.
"""

import argparse
import sys
from statistics import mean, stdev
from typing import Any

import torch
from results import write_results

from wassergan import TrainSettings
from wassergan.data import open_source
from wassergan.distances import sliced_w1
from wassergan.evaluation import neighbour_metrics
from wassergan.modality.recipes import resolve_for
from wassergan.session.build import build_trainer, has_bf16_units

SAMPLES, DIRECTIONS = 2000, 256
SCORES = ("sliced_w1", "recall", "coverage")


def scores(precision: str, *, seed: int, steps: int, network: str) -> dict[str, float]:
    """Train, then score the averaged generator."""
    source = open_source("digits", seed=seed)
    settings = TrainSettings(data="digits", seed=seed, precision=precision, network=network, threads=1)
    trainer = build_trainer(resolve_for(settings, source), source)
    trainer.train(steps=steps, tick_due=lambda step: False)
    samples = trainer.sample(SAMPLES).flatten(1)
    held = source.heldout(torch.arange(source.heldout_count)).flatten(1)
    near = neighbour_metrics(held, samples)
    rng = torch.Generator().manual_seed(0)
    distance = sliced_w1(samples, held, projections=DIRECTIONS, rng=rng).item()
    return {"sliced_w1": distance, "recall": near.recall, "coverage": near.coverage, "seconds": trainer.seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--network", default="mlp", choices=["mlp", "conv"])
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for precision in ("float32", "bf16"):
            found = scores(precision, seed=seed, steps=options.steps, network=options.network)
            rows.append({"precision": precision, "seed": seed, **found})
            print(rows[-1], flush=True)
    halves = {name: [row for row in rows if row["precision"] == name] for name in ("float32", "bf16")}
    differences = {
        name: [b[name] - a[name] for a, b in zip(halves["float32"], halves["bf16"], strict=True)] for name in SCORES
    }
    count, exact = options.seeds, halves["float32"]
    below = {
        "bf16 - float32, mean": {name: mean(values) for name, values in differences.items()},
        "its standard error": {name: stdev(values) / count**0.5 for name, values in differences.items()},
        "float32, deviation between seeds": {name: stdev(row[name] for row in exact) for name in SCORES},
    }
    rows += [{"precision": what, "seed": "", **values} for what, values in below.items()]
    for row in rows[-3:]:
        row["seconds"] = ""
        print(row)
    write_results(
        "precision",
        f"Quality in float32 and in bf16 after {options.steps} steps on digits",
        rows,
        summary={"network": options.network, "bf16 units": has_bf16_units(torch.device("cpu"))},
        command=f"python benchmarks/precision.py {' '.join(sys.argv[1:])}".strip(),
    )


if __name__ == "__main__":
    main()
