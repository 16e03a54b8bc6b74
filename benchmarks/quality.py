"""Quality of a preset after a time budget, through the command line: train, sample, score against held-out data.

    python benchmarks/quality.py digits --budget 20s --seeds 3
    python benchmarks/quality.py fashion --budget 120s --seeds 1

Scores in [-1, 1], flattened: sliced W1 (256 directions), precision, recall and coverage (k = 5, pixels). Digits: 2000
samples against the 360 held-out digits of the run's own split. Fashion-MNIST: 4000 samples against the 10000 test
images for sliced W1, 2000 of each for the rest; its IDX files are looked for in ../shared/data, or in --folder.
Writes docs/results/quality_DATA.json and .md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import write_results
from torch import Tensor

from wassergan.data import open_source
from wassergan.data.readers.idx import read_idx
from wassergan.distances import sliced_w1
from wassergan.evaluation import neighbour_metrics

FASHION = Path(__file__).parents[2] / "shared" / "data" / "fashion_mnist"


def wassergan(*arguments: str) -> str:
    """Run the command line and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "wassergan", *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def score(name: str, samples: Tensor, held: Tensor, near: int) -> dict[str, Any]:
    """Sliced W1 on all, neighbour metrics on the first `near` of each."""
    rng = torch.Generator().manual_seed(0)
    metrics = neighbour_metrics(held[:near], samples[:near])
    return {"sample": name, "sliced_w1": sliced_w1(samples, held, projections=256, rng=rng).item(), **asdict(metrics)}


def digits(seed: int) -> tuple[str, Tensor, Tensor, int, int]:
    """Data argument, training rows, held-out rows, samples to draw, rows for the neighbour metrics."""
    source = open_source("digits", seed=seed)
    train, held = source.train(torch.arange(source.train_count)), source.heldout(torch.arange(source.heldout_count))
    return "digits", train.flatten(1), held.flatten(1), 2000, 2000


def fashion(folder: Path) -> tuple[str, Tensor, Tensor, int, int]:
    """The same for Fashion-MNIST."""
    train, held = (_pixels(folder / f"{name}-images-idx3-ubyte.gz") for name in ("train", "t10k"))
    return str(folder / "train-images-idx3-ubyte.gz"), train[:10000], held, 4000, 2000


def _pixels(path: Path) -> Tensor:
    return torch.from_numpy(read_idx(path)).flatten(1).float() / 127.5 - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["digits", "fashion"])
    parser.add_argument("--budget", default="20s")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--folder", type=Path, default=FASHION, help="with Fashion-MNIST's IDX files")
    parser.add_argument("--flags", default="", help="further flags of `train`, in one string")
    options = parser.parse_args()
    rows = []
    for seed in range(options.seeds):
        data, train, held, count, near = digits(seed) if options.data == "digits" else fashion(options.folder)
        with tempfile.TemporaryDirectory() as folder:
            run, out = f"{folder}/run", f"{folder}/samples.npy"
            arguments = ["--budget", options.budget, "--seed", str(seed), "--preset", options.preset]
            wassergan("train", data, *arguments, *options.flags.split(), "--out", run)
            wassergan("sample", run, "--count", str(count), "--out", out)
            info = json.loads(wassergan("info", run, "--json"))
            samples = torch.from_numpy(np.load(out)).flatten(1).float()
        samples = samples / (8.0 if options.data == "digits" else 127.5) - 1
        extra = {"seed": seed, "steps": info["steps"], "seconds": info["seconds"]}
        rows.append({**score(options.preset, samples, held, near), **extra})
        rows.append({**score("floor: training rows", train, held, near), "seed": seed, "steps": 0, "seconds": 0.0})
        for row in rows[-2:]:
            print({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
    write_results(
        f"quality_{options.data}",
        f"Quality on {options.data} after {options.budget}",
        rows,
        summary={"preset": options.preset, "budget": options.budget},
        command=f"python benchmarks/quality.py {' '.join(sys.argv[1:])}",
    )


if __name__ == "__main__":
    main()
