"""Time samples on their way to a `.npy` against the generator's bare forward pass, and watch the memory.

    python benchmarks/sampling.py                     five rounds of a million digits
    python benchmarks/sampling.py --count 100000

Each round is the bare generator on as many latents, in the same chunks, then `write_samples`. The bare passes draw no
latents and keep nothing; what is written has its latents drawn, is decoded to grey levels (float32, 256 bytes each),
written and flushed to disk. The networks are those of the default preset on digits, after one step: weights do not
change the time. CPU time of one thread, so that other processes on the machine count little. Results go to
docs/results/sampling.json and sampling.md.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from results import write_results
from torch import nn

from wassergan import TrainSettings, open_sampler, train_run
from wassergan.modality.writing import write_samples
from wassergan.training import SAMPLING_CHUNK


@torch.no_grad()
def bare(generator: nn.Module, latent_dim: int, chunks: int) -> None:
    latent = torch.randn(SAMPLING_CHUNK, latent_dim)
    for _ in range(chunks):
        generator(latent)


def seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count = arguments.count
    with tempfile.TemporaryDirectory() as folder:
        path, run = Path(folder) / "samples.npy", Path(folder) / "run"
        train_run(TrainSettings(data="digits", steps=1, tensorboard=False, previews=False), run)
        sampler = open_sampler(run, device="cpu")
        bare(sampler.generator, sampler.latent_dim, 10)
        write_samples(sampler, path, count=10 * SAMPLING_CHUNK, seed=0)
        before = peak_mib()
        rounds = [
            (
                seconds(lambda: bare(sampler.generator, sampler.latent_dim, -(-count // SAMPLING_CHUNK))),
                seconds(lambda: write_samples(sampler, path, count=count, seed=0)),
            )
            for _ in range(arguments.rounds)
        ]
        size = path.stat().st_size / 2**20
    ratios = [forward / written for forward, written in rounds]
    row = {
        "samples": count,
        "file, MiB": size,
        "bare, samples/s": count / median(each for each, _ in rounds),
        "to .npy, samples/s": count / median(each for _, each in rounds),
        "ratio, median of rounds": median(ratios),
        "smallest": min(ratios),
        "largest": max(ratios),
        "peak grew by, MiB": peak_mib() - before,
    }
    print(row)
    write_results(
        "sampling",
        "Samples to disk",
        [row],
        summary={"threads": 1, "rounds": arguments.rounds, "clock": "CPU time"},
        command="python benchmarks/sampling.py",
    )


if __name__ == "__main__":
    main()
