"""Quality of generated tables after a time, beside real rows, independent columns and other generators.

    python benchmarks/tables.py adult --budget 3m --seeds 0,1,2
    python benchmarks/tables.py california --steps 2000 --flags "--batch-size 256"
    python benchmarks/tables.py magic --budget 3m --beside argn=ENV/bin/python,ctgan=ENV/bin/python

Every seed trains through the command line on the training rows (Adult and MAGIC: their training file; the others: four
fifths, split off here by seed), draws as many rows, and is judged by the library's own metrics of tables
(docs/evaluation.md) against rows that training never saw. TSTR: AUC for classes, R² for numbers. Beside them, for
numbers and one-hots of unit deviation:

- `dcr_share`: the share of made rows closer to a training row than to a held-out row, of as many; 0.5 is ideal.
- `alpha_precision`, `beta_recall` (Alaa et al. 2022, arXiv 2102.08921, without its learned embedding): balls around
  the mean of one side that hold a share of it; 1 less twice the mean difference of the share of the other side within.
- `rows_per_second`: of drawing as many rows, the start of the process not counted for others, counted for ours.

`--beside` trains others (`table_peers.py`) on the same rows for as long as `wassergan train` took, start and
preparation included, on one thread. Each is installed for this alone, into an environment of its own, whose Python is
named:

    argn:  pip install torch==2.13.0 "numpy>=2" "pandas<3" pyarrow scikit-learn "psutil<6" joblib transformers \
               accelerate datasets peft json-repair tokenizers opt-einsum
           pip install --no-deps mostlyai-engine==2.7.3 opacus xgrammar
    arf:   pip install arfpy==0.1.1 "numpy<2.3" "pandas<3" "scikit-learn<1.8"
    ctgan: pip install torch==2.13.0
           pip install --no-deps ctgan==0.12.1 rdt "pandas<3" pytz tzdata python-dateutil six numpy scipy scikit-learn \
               joblib cloudpickle threadpoolctl narwhals faker tqdm

SDMetrics' quality is there if SDMetrics is installed, against the training rows. The data are looked for in
../shared/data, or in --folder. Writes docs/results/tables_DATA.json and .md.
"""

import argparse
import csv
import gzip
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from results import earlier_rows, write_results
from sklearn.neighbors import NearestNeighbors

from wassergan.data import TableCodec, read_rows
from wassergan.evaluation.tables import (
    EvaluationData,
    EvaluationResult,
    Samples,
    columns_of,
    evaluate_rows,
    get_target,
    independent,
    known,
)
from wassergan.session.restore import open_sampler

SHARED = Path(__file__).parents[2] / "shared" / "data"
LARGEST_VECTORS = 10_000
Rows = list[dict[str, str]]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A table with a column to be predicted.

    Args:
        target: that column.
        rows: a folder and a seed to training and held-out rows.
    """

    target: str
    rows: Callable[[Path, int], tuple[Rows, Rows]]


def read(path: Path) -> Rows:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(rows: Rows, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def split_off(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    order = np.random.default_rng(seed).permutation(len(rows))
    return [rows[i] for i in order[len(rows) // 5 :]], [rows[i] for i in order[: len(rows) // 5]]


def adult(folder: Path, seed: int) -> tuple[Rows, Rows]:
    return read(folder / "adult" / "adult_train.csv.gz"), read(folder / "adult" / "adult_test.csv.gz")


def magic(folder: Path, seed: int) -> tuple[Rows, Rows]:
    return read(folder / "magic_gamma" / "train.csv.gz"), read(folder / "magic_gamma" / "test.csv.gz")


def california(folder: Path, seed: int) -> tuple[Rows, Rows]:
    return split_off(read(folder / "california_housing" / "housing.csv.gz"), seed)


def taxis(folder: Path, seed: int) -> tuple[Rows, Rows]:
    return split_off(read(folder / "taxis" / "taxis.csv.gz"), seed)


def penguins(folder: Path, seed: int) -> tuple[Rows, Rows]:
    return split_off(read(folder / "penguins" / "penguins.csv"), seed)


TASKS = {
    "adult": Task("income", adult),
    "california": Task("median_house_value", california),
    "magic": Task("class", magic),
    "taxis": Task("tip", taxis),
    "penguins": Task("species", penguins),
}


def judged(
    codec: TableCodec, target: str, made: Numbers, train: Numbers, held: Numbers, *, seed: int
) -> EvaluationResult:
    """Metrics of made rows; what may be in a column is what all training rows say."""
    numbers = np.random.default_rng(seed)
    bounds = zip(columns_of(codec), np.nanmin(train, axis=0), np.nanmax(train, axis=0), strict=True)
    columns = tuple(column if column.levels else replace(column, low=low, high=high) for column, low, high in bounds)
    kept = [rows[numbers.permutation(len(rows))] for rows in (made, train, held)]
    kept.append(independent(kept[1], seed=seed))
    samples = [Samples(rows, codec.encode(torch.from_numpy(known(columns, rows[:LARGEST_VECTORS])))) for rows in kept]
    predicted = get_target(columns, target, kept[1], kept[2])
    return evaluate_rows(EvaluationData(columns, *samples, target=predicted, trained=train), seed=seed)  # type: ignore[arg-type]


def scores(evaluated: EvaluationResult, which: str) -> dict[str, Any]:
    """`value`, `floor` (real rows) or `independent` of every metric."""
    return {row.name: getattr(row, which) for row in evaluated.rows}


def wassergan(*arguments: str) -> str:
    """Run the command line and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "wassergan", *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def trained(data: Path, run: Path, length: list[str], flags: str, seed: int) -> tuple[dict[str, Any], float]:
    """What `info` says of a new run, and the seconds that the command took from start to end."""
    started = time.perf_counter()
    wassergan("train", str(data), *length, "--seed", str(seed), *shlex.split(flags), "--out", str(run))
    seconds = time.perf_counter() - started
    return json.loads(wassergan("info", str(run), "--json")), seconds


def beside(
    peer: tuple[str, str], codec: TableCodec, data: Path, out: Path, *, seconds: float, count: int, seed: int
) -> Any:
    """Rows of another generator in a file, and what it did."""
    name, python = peer
    discrete = ",".join(column.name for column in codec.columns if column.kind != "number")
    script = Path(__file__).with_name("table_peers.py")
    arguments = ["--seconds", f"{seconds:.1f}", "--count", str(count), "--seed", str(seed), "--discrete", discrete]
    done = subprocess.run(
        [python, str(script), name, str(data), str(out), *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def vectors(codec: TableCodec, rows: Numbers) -> Numbers:
    """Rows in model space, at most `LARGEST_VECTORS` of them."""
    return codec.encode(torch.from_numpy(known(columns_of(codec), rows[:LARGEST_VECTORS]))).double().numpy()


def dcr_share(made: Numbers, training: Numbers, held: Numbers) -> float:
    """The share of rows closer to a training row than to a held-out row, of as many; ties count half."""
    count = min(len(training), len(held))
    to_training, to_held = (
        NearestNeighbors(n_neighbors=1).fit(rows[:count]).kneighbors(made)[0][:, 0] for rows in (training, held)
    )
    return float((to_training < to_held).mean() + (to_training == to_held).mean() / 2)


def ball_shares(inner: Numbers, outer: Numbers) -> float:
    """1 less twice the mean difference between shares of `outer` in balls of `inner` and the shares of `inner`."""
    centre = inner.mean(axis=0)
    radii, others = (np.linalg.norm(rows - centre, axis=1) for rows in (inner, outer))
    shares = np.linspace(0, 1, 31)[1:]
    within = (others[:, None] <= np.quantile(radii, shares)).mean(axis=0)
    return float(1 - 2 * np.abs(within - shares).mean())


def one_seed(task: Task, seed: int, options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Rows of the results: ours, CTGAN's if asked for, and the two anchors."""
    train_rows, held_rows = task.rows(options.folder, seed)
    train, held, out, run = (folder / name for name in ("train.csv", "held.csv", "made.csv", "run"))
    write(train_rows, train)
    write(held_rows, held)
    length = ["--steps", str(options.steps)] if options.steps else ["--budget", options.budget]
    info, seconds = trained(train, run, length, options.flags, seed)
    codec = open_sampler(run).codec
    assert isinstance(codec, TableCodec)
    real, unseen = read_rows(train, codec), read_rows(held, codec)

    def row(system: str, which: str, evaluated: EvaluationResult, **facts: Any) -> dict[str, Any]:
        found = {
            "sample": system,
            "seed": seed,
            "seconds": 0.0,
            "rounds": 0,
            "threads": 0,
            "rows_per_second": 0.0,
            "dcr_share": 0.0,
            "alpha_precision": 0.0,
            "beta_recall": 0.0,
            **facts,
            **scores(evaluated, which),
        }
        print({name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()})
        return found

    def judge(made: Path, system: str, **facts: Any) -> EvaluationResult:
        rows = read_rows(made, codec)
        found = judged(codec, task.target, rows, real, unseen, seed=seed)
        points = [vectors(codec, np.random.default_rng(seed).permutation(some)) for some in (rows, real, unseen)]
        facts["dcr_share"] = dcr_share(*points)
        facts["alpha_precision"], facts["beta_recall"] = ball_shares(points[2], points[0]), ball_shares(*points[::2])
        results.append(row(system, "value", found, threads=torch.get_num_threads(), **facts))
        return found

    results: list[dict[str, Any]] = []
    count, started = len(train_rows), time.perf_counter()
    wassergan("sample", str(run), "--count", str(count), "--seed", str(seed), "--out", str(out))
    speed = count / (time.perf_counter() - started)
    ours = judge(out, "wassergan", seconds=seconds, rounds=info["steps"], rows_per_second=speed)
    for peer in options.beside:
        facts = beside(peer, codec, train, out, seconds=seconds, count=count, seed=seed)
        kept = {name: facts[name] for name in ("seconds", "rounds", "rows_per_second")}
        judge(out, facts["system"], **kept)
    return [*results, row("real training rows", "floor", ours), row("independent columns", "independent", ours)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=list(TASKS))
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--budget", default="3m", help="training time, as for `train`")
    length.add_argument("--steps", type=int, help="generator steps instead")
    parser.add_argument("--seeds", default="0", help="such as 0,1,2; what the file holds of other seeds is kept")
    parser.add_argument("--flags", default="", help="further flags of `train`, in one string")
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--beside", default="", help="such as argn=ENV/bin/python,ctgan=ENV/bin/python")
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args()
    options.beside = [tuple(peer.split("=", 1)) for peer in options.beside.split(",") if peer]
    task, results = TASKS[options.data], []
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            results += one_seed(task, seed, options, Path(folder))
    if options.no_write:
        return
    length_told = f"{options.steps} steps" if options.steps else options.budget
    name = f"tables_{options.data}_{length_told.replace(' ', '_')}"
    rows = [*earlier_rows(name, results, told_by=["seed"]), *results]
    write_results(
        name,
        f"{options.data.title()} after {length_told}",
        sorted(rows, key=lambda row: row["seed"]),
        summary={
            "length": length_told,
            "flags": options.flags or "none",
            "target": task.target,
            "rounds": "generator steps, or epochs of CTGAN; 0 where another generator does not tell",
            "seconds": "of the whole training",
        },
        command=f"python benchmarks/tables.py {shlex.join(sys.argv[1:])}",
    )


if __name__ == "__main__":
    main()
