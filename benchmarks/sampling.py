"""Time samples on their way to a `.npy` against the generator's bare forward pass, and watch the memory.

    python benchmarks/sampling.py                     a million digits, and 20 rounds of 51,200 in alternation
    python benchmarks/sampling.py --count 100000

The networks are those of the default preset on digits, untrained: weights do not change the time. CPU time of one
thread, so that other processes on the machine count little. Results go to docs/results/sampling.json and sampling.md.
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

from wassergan.building import networks_of
from wassergan.data.digits import digits_source
from wassergan.presets import resolve
from wassergan.sampling import Sampler, write_samples
from wassergan.settings import TrainSettings
from wassergan.training import SAMPLING_CHUNK

ROUND_CHUNKS = 50


def digits_sampler() -> Sampler:
    source = digits_source()
    settings = resolve(TrainSettings(data="digits"), shape=source.shape, train_count=source.train_count)
    generator, _ = networks_of(settings, source.shape, source.codec)
    assert settings.latent_dim is not None
    return Sampler(generator.eval(), settings.latent_dim, source.codec, source.kind)


@torch.no_grad()
def bare(sampler: Sampler, chunks: int) -> None:
    latent = torch.randn(SAMPLING_CHUNK, sampler.latent_dim)
    for _ in range(chunks):
        sampler.generator(latent)


def seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sampler, count = digits_sampler(), ROUND_CHUNKS * SAMPLING_CHUNK
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.npy"
        rounds = [
            (
                seconds(lambda: bare(sampler, ROUND_CHUNKS)),
                seconds(lambda: write_samples(sampler, path, count=count, seed=0)),
            )
            for _ in range(arguments.rounds + 1)
        ][1:]
        before = peak_mib()
        whole = seconds(lambda: write_samples(sampler, path, count=arguments.count, seed=0))
        size = path.stat().st_size / 2**20
    row = {
        "samples": arguments.count,
        "file, MiB": size,
        "bare, samples/s": count / median(each for each, _ in rounds),
        "to .npy, samples/s": count / median(each for _, each in rounds),
        "ratio, median of rounds": median(forward / written for forward, written in rounds),
        "all of them, samples/s": arguments.count / whole,
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
