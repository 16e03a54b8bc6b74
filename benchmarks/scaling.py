"""Measure one and two processes, check a cost model on them, and let it predict many.

    python benchmarks/scaling.py              # a quarter of an hour on two quiet cores
    python benchmarks/scaling.py --apart      # anew only what two runs cost each other; the rest stays as it was

The model of a generator step on W processes with a batch of B rows in all:

    t(W, B) = t0 + t1 · B / W + Σ over all-reduces of (latency · ⌈log2 W⌉ + 2 (W - 1) / W · bytes / bandwidth)

There is one all-reduce of all gradients per critic step and one per generator step, and small ones for the statistics
of batch norms: two per layer for each pass of a generator in training and two for its way back. t0 and t1 are fitted
to runs of one process at three batch sizes; latency and bandwidth to all-reduces between two processes. What it says of
two processes is then held to runs of two processes, once with t0 + t1 · B / W and once with what a run of B / W rows
takes while another of its kind runs beside it: two cores share caches and memory, and two GPUs do not. Results go to
docs/results/scaling.json; docs/scaling.md explains them.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parents[1] / "docs" / "results"
STEPS, ROUNDS = 60, 3
CASES = {
    "mlp-784": {"shape": (28, 28), "flags": ["--preset", "wgan-gp", "--network", "mlp"], "batch": 128},
    "conv-32": {"shape": (32, 32, 3), "flags": ["--preset", "wgan-gp", "--maps", "16"], "batch": 32},
}
# Two kinds of link for the prediction, in bytes per second and seconds: what vendors state for NVLink within a machine
# and for 400 Gbit/s networks between machines, at half of it.
LINKS = {"within a machine": (225e9, 5e-6), "between machines": (25e9, 20e-6)}
GPUS = (8, 64, 1024)


def make_data(folder, shape):
    import numpy as np

    path = folder / f"{'x'.join(map(str, shape))}.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (2048, *shape), dtype=np.uint8))
    return path


def seconds_per_step(data, flags, *, processes, batch, folder, steps, at_once=1):
    """A run's seconds per generator step, warm-up left out, one thread per process; the mean of runs at once."""
    runs = [Path(tempfile.mkdtemp(dir=folder)) / "run" for _ in range(at_once)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] * (processes > 1)
    command = [sys.executable, *launcher, "-m", "wassergan", "train", str(data), *flags]
    command += ["--steps", str(steps), "--batch-size", str(batch), "--threads", "1", "--no-previews"]
    trainings = [
        subprocess.Popen(
            [*command, "--out", str(run)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for run in runs
    ]
    codes = [training.wait() for training in trainings]
    if any(codes):
        raise SystemExit(f"{' '.join(command)} failed")
    seconds = []
    for run in runs:
        told = subprocess.run(
            [sys.executable, "-m", "wassergan", "info", str(run), "--json"], check=True, capture_output=True, text=True
        )
        seconds.append(1 / json.loads(told.stdout)["steps_per_second"])
    return sum(seconds) / len(seconds)


def facts(data, flags, batch):
    """Weights of both networks, critic steps, and batch norms, whose statistics are averaged over processes."""
    import torch

    from wassergan import TrainSettings
    from wassergan.modality.recipes import resolve_for
    from wassergan.session.build import build_trainer, open_data

    named = dict(zip((flag[2:].replace("-", "_") for flag in flags[::2]), flags[1::2], strict=True))
    if "maps" in named:
        named["maps"] = int(named["maps"])
    settings = TrainSettings(data=str(data), batch_size=batch, threads=1, **named)
    source = open_data(settings, log=lambda sentence: None)
    trainer = build_trainer(resolve_for(settings, source), source)
    norms = [layer for layer in trainer.generator.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    sizes = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in (("critic", trainer.critic), ("generator", trainer.generator))
    }
    return {**sizes, "critic_steps": trainer.critic_steps, "batch_norms": len(norms)}


def all_reduce_seconds(sizes):
    """Median seconds of an all-reduce of so many floats between two processes of this machine."""
    code = (
        "import json, sys, time, torch, torch.distributed as dist\n"
        "torch.set_num_threads(1); dist.init_process_group('gloo')\n"
        "for size in json.loads(sys.argv[1]):\n"
        "    values, times = torch.ones(size), []\n"
        "    for _ in range(40):\n"
        "        dist.barrier(); start = time.perf_counter(); dist.all_reduce(values)\n"
        "        times.append(time.perf_counter() - start)\n"
        "    if dist.get_rank() == 0: print(sorted(times)[20], flush=True)\n"
        "dist.destroy_process_group()\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(code)
        file.flush()
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        done = subprocess.run(
            [sys.executable, *launcher, file.name, json.dumps(sizes)], check=True, capture_output=True, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    return [float(line) for line in done.stdout.split()]


def line(points):
    """Least squares: intercept and slope, neither below 0."""
    n = len(points)
    mean_x, mean_y = (sum(p[i] for p in points) / n for i in range(2))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    slope = max(0.0, slope)
    return max(0.0, mean_y - slope * mean_x), slope


def communication(case, processes, latency, bandwidth):
    """Seconds of a generator step's all-reduces: of all gradients, and small ones of batch norms."""
    rounds, share = math.ceil(math.log2(processes)), 2 * (processes - 1) / processes
    gradients = ((case["critic"], case["critic_steps"]), (case["generator"], 1))
    spoken = sum(count * (latency * rounds + share * 4 * size / bandwidth) for size, count in gradients)
    # Mean and variance forward, for the fakes of every critic step and of the generator's own, and twice backward.
    small = 2 * case["batch_norms"] * (case["critic_steps"] + 2)
    return spoken + small * latency * rounds


def measure(name, case, folder):
    data, batch = make_data(folder, case["shape"]), case["batch"]
    found = facts(data, case["flags"], batch)
    runs = {}
    for _ in range(ROUNDS):
        for processes, rows in ((1, batch // 2), (1, batch), (1, 2 * batch), (2, batch), (2, 2 * batch)):
            took = seconds_per_step(data, case["flags"], processes=processes, batch=rows, folder=folder, steps=STEPS)
            runs.setdefault((processes, rows), []).append(took)
            print(name, processes, rows, f"{took * 1e3:.1f} ms", file=sys.stderr, flush=True)
    found["t0"], found["t1"] = line(
        [(rows, median(took)) for (processes, rows), took in runs.items() if processes == 1]
    )
    found["runs"] = [
        {
            "processes": processes, "batch": rows, "milliseconds": 1e3 * median(took),
            "slowest": 1e3 * max(took), "fastest": 1e3 * min(took),
        }
        for (processes, rows), took in sorted(runs.items())
    ]  # fmt: skip
    return found


def model(found, link):
    """Put what the model says beside every run, and what it predicts for many."""
    for run in found["runs"]:
        spoken = communication(found, run["processes"], *link)
        run["model"] = 1e3 * (found["t0"] + found["t1"] * run["batch"] / run["processes"] + spoken)
        if "apart" in run:
            run["model_with_apart"] = run["apart"] + 1e3 * spoken
    found["prediction"] = predict(found)


def measure_apart(name, case, found, folder):
    """How much slower a process is while another trains beside it, on its own: what two share besides gradients."""
    data = make_data(folder, case["shape"])
    alone = {run["batch"]: run["milliseconds"] for run in found["runs"] if run["processes"] == 1}
    for run in found["runs"]:
        if run["processes"] == 2:
            rows = run["batch"] // 2
            both = [
                seconds_per_step(data, case["flags"], processes=1, batch=rows, folder=folder, steps=STEPS, at_once=2)
                for _ in range(ROUNDS)
            ]
            print(name, "apart", rows, [f"{took * 1e3:.1f} ms" for took in both], file=sys.stderr, flush=True)
            run["apart"] = 1e3 * median(both)
            run["slowdown"] = run["apart"] / alone[rows]


def predict(case):
    """Share of a step that is communication, at 64 rows per process, if a process computes a hundred times as fast."""
    rows = 64
    compute = (case["t0"] + case["t1"] * rows) / 100
    table = []
    for gpus in GPUS:
        bandwidth, latency = LINKS["within a machine" if gpus <= 8 else "between machines"]
        spoken = communication(case, gpus, latency, bandwidth)
        step = compute + spoken
        table.append(
            {
                "gpus": gpus, "batch": rows * gpus, "step_milliseconds": 1e3 * step, "communication": spoken / step,
                "efficiency": compute / step,
                "hours_for_1e9_samples": 1e9 / (rows * gpus * case["critic_steps"]) * step / 3600,
            }
        )  # fmt: skip
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apart", action="store_true", help="anew only what two runs cost each other")
    again = parser.parse_args().apart
    results = json.loads((RESULTS / "scaling.json").read_text()) if again else {"cases": {}}
    if not again:
        sizes = [10_000, 100_000, 1_000_000, 4_000_000]
        times = all_reduce_seconds(sizes)
        latency, slope = line([(4 * size, took) for size, took in zip(sizes, times, strict=True)])
        results |= {
            "date": time.strftime("%Y-%m-%d"), "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
            "all_reduce": {"floats": sizes, "seconds": times, "latency": latency, "bandwidth": 1 / slope},
        }  # fmt: skip
    link = results["all_reduce"]["latency"], results["all_reduce"]["bandwidth"]
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            if not again:
                results["cases"][name] = measure(name, case, Path(folder))
            measure_apart(name, case, results["cases"][name], Path(folder))
            model(results["cases"][name], link)
    (RESULTS / "scaling.json").write_text(json.dumps(results, indent=1) + "\n")
    from results import stamp  # here: it brings torch, and nothing else of this process does

    stamp("scaling")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
