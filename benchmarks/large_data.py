"""Training on data larger than memory: time to the first step, peak memory and speed, beside a small array.

    python benchmarks/large_data.py [--rows 20000000] [--seconds 20] [--folder FOLDER]

Makes a `.npy` and a Parquet file of the same random rows (2 GiB each), and drops them from the page cache. Each is
then trained on in a process of its own, as `wassergan train` would, after a small array of the same width. Time to
the first step counts from the start of the process, imports included; peak memory is that of the process above the
one on the small array. Writes docs/results/large_data.json and .md, and deletes the files.
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
KINDS = ("small array", "npy", "parquet")


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
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made; needs 5 GiB")
    options = parser.parse_args()
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for kind in KINDS:
            path, rows = folder / f"a.{'parquet' if kind == 'parquet' else 'npy'}", options.rows
            if kind == "small array":
                rows = 10_000
            (write_parquet if kind == "parquet" else write_npy)(path, rows)
            drop_from_cache(path)
            facts = {"data": kind, "rows": rows, "MiB": path.stat().st_size / 2**20}
            facts |= measured(path, options.seconds, folder / f"run-{kind}")
            facts["MiB above small array"] = facts["peak MiB"] - (table[0]["peak MiB"] if table else facts["peak MiB"])
            table.append(facts)
            print(facts, flush=True)
            path.unlink()
    from results import write_results

    write_results(
        "large_data",
        "Training on data larger than memory",
        table,
        summary={"columns": COLUMNS, "page cache": "dropped", "load average": round(os.getloadavg()[0], 1)},
        command=f"python benchmarks/large_data.py --rows {options.rows} --seconds {options.seconds:g}",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
