"""Training on data larger than memory: time to the first step, peak memory and speed, beside a small array.

    python benchmarks/large_data.py [--kinds KIND ...] [--rows 20000000] [--table-rows 10000000] [--seconds 20]
        [--folder FOLDER]

Makes a `.npy` and a Parquet file of the same random rows (2 GiB each), and a Parquet file of 30 mixed columns (1.1
GiB), and drops them from the page cache. Each is then trained on in a process of its own, as `wassergan train` would,
after a small array of the same width, and a table of as many rows as are held in memory. Time to the first step counts
from the start of the process, imports included; peak memory is that of the process above the one on the small array.
Writes docs/results/large_data.json and .md, and deletes the files; rows of kinds that are not asked for stay.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = 27
PART = 10**6  # rows that are made at a time
MIXED = 30  # columns of the table
SMALL, SMALL_TABLE = 10_000, 100_000  # rows
GROUP = 100_000  # rows of a row group of the table
KINDS = ("small array", "npy", "parquet", "table in memory", "table")


def parts(rows: int) -> Iterator[np.ndarray]:
    numbers = np.random.default_rng(0)
    mixing = numbers.normal(size=(COLUMNS, COLUMNS)).astype(np.float32) / COLUMNS**0.5
    base = numbers.normal(size=(min(rows, PART), COLUMNS)).astype(np.float32) @ mixing
    for start in range(0, rows, PART):
        yield base[: rows - start] + np.float32(start / rows)  # rows at the end differ from those at the start


def write_npy(path: Path, rows: int) -> None:
    array = np.lib.format.open_memmap(path, "w+", np.float32, (rows, COLUMNS))
    for number, part in enumerate(parts(rows)):
        array[number * PART : number * PART + len(part)] = part
    array.flush()


def write_parquet(path: Path, rows: int) -> None:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(f"c{i}", pyarrow.float32()) for i in range(COLUMNS)])
    with parquet.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for part in parts(rows):
            writer.write_table(pyarrow.table([np.ascontiguousarray(each) for each in part.T], schema=schema))


def mixed(numbers: np.random.Generator, rows: int) -> Any:
    """Quantities, counts, prices, levels, a flag, moments; two columns miss values."""
    import pyarrow

    columns: dict[str, Any] = {f"number{each}": numbers.normal(each, 1 + each, rows) for each in range(8)}
    columns |= {f"count{each}": numbers.poisson(5 + 20 * each, rows) for each in range(4)}
    columns |= {f"price{each}": np.round(numbers.lognormal(2, 1, rows), 2) for each in range(3)}
    for each in range(10):
        levels = np.array([f"level {level} of {each}" for level in range(3 + 5 * each)])
        columns[f"level{each}"] = levels[np.minimum(numbers.geometric(0.3, rows) - 1, len(levels) - 1)]
    columns["flag"] = numbers.random(rows) < 0.001
    columns["moment"] = np.datetime64("2024-01-01T00:00:00", "s") + numbers.integers(0, 365 * 86400, rows)
    columns["gap"] = pyarrow.array(numbers.normal(size=rows), mask=numbers.random(rows) < 0.1)
    answers = np.array(["yes", "no", "maybe"])[numbers.integers(0, 3, rows)]
    columns["answer"] = pyarrow.array(answers, mask=numbers.random(rows) < 0.05)
    columns["age"] = numbers.integers(18, 90, rows)
    assert len(columns) == MIXED
    return pyarrow.table(columns)


def write_table(path: Path, rows: int) -> None:
    from pyarrow import parquet

    numbers, writer = np.random.default_rng(0), None
    for start in range(0, rows, PART // 2):
        part = mixed(numbers, min(PART // 2, rows - start))
        writer = writer or parquet.ParquetWriter(path, part.schema)
        writer.write_table(part, row_group_size=GROUP)
    assert writer is not None
    writer.close()


def drop_from_cache(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measured(path: Path, seconds: float, folder: Path) -> dict[str, Any]:
    argv = [sys.executable, __file__, "--child", str(path), str(folder), str(seconds), str(time.time())]
    return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def child(data: str, folder: str, seconds: str, started: str) -> None:
    from wassergan import Callback, TrainSettings, train_run
    from wassergan.training import Trainer

    class FirstStep(Callback):
        seconds = cpu_seconds = 0.0

        def on_step_end(self, trainer: Trainer) -> None:
            if not self.seconds:
                self.seconds, self.cpu_seconds = time.time() - float(started), time.process_time()

    first = FirstStep()
    summary = train_run(TrainSettings(data=data, budget=float(seconds)), Path(folder), callback=first)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    facts = {
        "seconds to first step": first.seconds,
        "of them, CPU seconds": first.cpu_seconds,
        "peak MiB": int(peak.split()[1]) / 1024,
        "samples/s": summary["samples_per_second"],
        "steps": summary["steps"],
    }
    print(json.dumps(facts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--table-rows", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made; needs 5 GiB")
    options = parser.parse_args()
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for kind in (each for each in KINDS if each in options.kinds):
            write, rows = {
                "small array": (write_npy, SMALL),
                "npy": (write_npy, options.rows),
                "parquet": (write_parquet, options.rows),
                "table in memory": (write_table, SMALL_TABLE),
                "table": (write_table, options.table_rows),
            }[kind]
            path = folder / f"a.{'npy' if write is write_npy else 'parquet'}"
            write(path, rows)
            drop_from_cache(path)
            facts = {"data": kind, "rows": rows, "MiB": path.stat().st_size / 2**20}
            facts |= measured(path, options.seconds, folder / f"run-{kind}")
            table.append(facts)
            print(facts, flush=True)
            path.unlink()
    write_outcome(table, options)


def write_outcome(measured_now: list[dict[str, Any]], options: argparse.Namespace) -> None:
    from results import earlier_rows, made_here, write_results

    for facts in measured_now:
        facts["date"] = made_here()["date"]
    kept = earlier_rows("large_data", measured_now, told_by=("data",))
    table = sorted([*measured_now, *kept], key=lambda facts: KINDS.index(facts["data"]))
    small = next((facts["peak MiB"] for facts in table if facts["data"] == "small array"), None)
    for facts in table:
        facts["MiB above small array"] = "" if small is None else facts["peak MiB"] - small
    write_results(
        "large_data",
        "Training on data larger than memory",
        table,
        summary={
            "columns": f"{COLUMNS}, {MIXED} of tables",
            "page cache": "dropped",
            "load average": round(os.getloadavg()[0], 1),
        },
        command=f"python benchmarks/large_data.py --rows {options.rows} --table-rows {options.table_rows} "
        f"--seconds {options.seconds:g}",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
