"""All fuzz targets in turns, until each was run often enough; how often, and what broke, is counted.

    pip install atheris                                     # in the environment of wassergan
    python benchmarks/fuzzing.py [READER ...] [--runs 1000000] [--turn 60] [--folder FOLDER]

Every turn gives one reader of fuzz/readers.py so many seconds of libFuzzer, coverage-guided, from the seeds of the
repository and from what earlier turns found (kept in FOLDER/READER, so a campaign can be ended and goes on). A turn
that ends in a crash, a hang of 20 s or 4 GiB of memory keeps its input as FOLDER/READER-crash-*, and counts. After
every turn docs/results/fuzzing.json and .md are written anew: the counts of all turns in FOLDER, earlier ones too.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from results import write_results

READERS = Path(__file__).parents[1] / "fuzz" / "readers.py"
NAMES = re.findall(r"^@target\ndef (\w+)", READERS.read_text(encoding="utf-8"), re.MULTILINE)


def turn(name: str, folder: Path, seconds: int, runs: int) -> dict[str, Any]:
    """One turn of a reader: executions, coverage that libFuzzer counts, and whether it ended in a crash."""
    kept = folder / name
    kept.mkdir(parents=True, exist_ok=True)
    flags = [f"-max_total_time={seconds}", f"-runs={runs}", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]
    command = [sys.executable, str(READERS), name, *flags, f"-artifact_prefix={folder}/{name}-", str(kept)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    counted = re.findall(r"stat::number_of_executed_units:\s*(\d+)", done.stdout)
    covered = re.findall(r"cov: (\d+)", done.stdout)
    if done.returncode or not counted:
        (folder / f"{name}-{len(list(folder.glob(f'{name}-*.txt')))}.txt").write_text(done.stdout, encoding="utf-8")
    return {
        "runs": int(counted[-1]) if counted else int((re.findall(r"^#(\d+)", done.stdout, re.MULTILINE) or ["0"])[-1]),
        "edges": int(covered[-1]) if covered else 0,
        "crashes": int(done.returncode != 0),
    }


def turns(names: list[str], totals: dict[str, dict[str, Any]], runs: int) -> Iterator[str]:
    """The reader that was run least, again and again, until all were run often enough."""
    while left := [name for name in names if totals[name]["runs"] < runs]:
        yield min(left, key=lambda name: (totals[name]["seconds"], name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", choices=[[], *NAMES], default=[])
    parser.add_argument("--runs", type=int, default=1_000_000, help="of each reader")
    parser.add_argument("--turn", type=int, default=60, help="seconds of one turn")
    parser.add_argument("--folder", type=Path, default=Path("fuzzing"), help="where inputs and counts are kept")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    counts = options.folder / "counts.json"
    totals: dict[str, dict[str, Any]] = {name: {"runs": 0, "seconds": 0, "edges": 0, "crashes": 0} for name in NAMES}
    totals |= json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else {}
    for name in turns(options.readers or NAMES, totals, options.runs):
        total = totals[name]
        found = turn(name, options.folder.resolve(), options.turn, options.runs - total["runs"])
        total["runs"] += found["runs"]
        total["seconds"] += options.turn
        total["edges"] = max(total["edges"], found["edges"])
        total["crashes"] += found["crashes"]
        counts.write_text(json.dumps(totals, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {total['runs']} runs, {total['edges']} edges, {total['crashes']} crashes", flush=True)
        write_results(
            "fuzzing",
            "Coverage-guided executions of every reader",
            [{"reader": each, **values} for each, values in totals.items()],
            summary={"asked for": options.runs, "edges": "as libFuzzer counts them", "seconds": "of turns"},
            command=f"python benchmarks/fuzzing.py --runs {options.runs} --turn {options.turn}",
        )


if __name__ == "__main__":
    main()
