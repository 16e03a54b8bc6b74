"""Compare presets at equal training time, through the command line: train, evaluate, compare.

    python benchmarks/presets.py digits --budget 60s --seeds 3 --runs /tmp/digits
    python benchmarks/presets.py fashion --budget 120s --seeds 3 --runs /tmp/fashion

Every run is a folder under --runs; runs that are finished and evaluated are not made again, so the script can be
stopped and started. Each is judged by `wassergan evaluate` with its own protocol, and the curves of seed 0 are laid
over each other by `wassergan compare`. Fashion-MNIST's IDX files are looked for in ../shared/data, or in --folder.
Writes docs/results/DATA.json, DATA.md and DATA.png.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from results import FOLDER, write_results

FASHION = Path(__file__).parents[2] / "shared" / "data" / "fashion_mnist"
PRESETS = ("wgan", "wgan-gp", "sn-wgan", "default")


def wassergan(*arguments: str) -> str:
    """Run the command line and return what it printed."""
    command = [sys.executable, "-m", "wassergan", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def measured(run: Path, train: list[str], evaluate: list[str]) -> dict[str, Any]:
    """The metrics of a run and how far it came, made unless it lies there."""
    if not (run / "metrics.json").exists():
        if not run.exists():
            wassergan("train", *train, "--out", str(run))
        wassergan("evaluate", str(run), *evaluate)
    judged = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    info = json.loads(wassergan("info", str(run), "--json"))
    values = {metric["name"]: metric["value"] for metric in judged["metrics"]}
    floors = {metric["name"]: metric["floor"] for metric in judged["metrics"]}
    return {
        "steps": info["steps"],
        "seconds": info["seconds"],
        "values": values,
        "floors": floors,
        "flags": judged["verdict"]["flags"],
        "protocol": judged["protocol"],
    }


def spread(values: list[Any]) -> str:
    """Mean ± standard deviation over seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{mean(known):.4g}" + (f" ± {stdev(known):.1g}" if len(known) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["digits", "fashion"])
    parser.add_argument("--budget", default="60s")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--folder", type=Path, default=FASHION, help="with Fashion-MNIST's IDX files")
    parser.add_argument("--evaluate", default="", help="further flags of `evaluate`, in one string")
    options = parser.parse_args()
    data = "digits" if options.data == "digits" else str(options.folder / "train-images-idx3-ubyte.gz")
    options.runs.mkdir(parents=True, exist_ok=True)
    presets = options.presets.split(",")
    found: dict[str, list[dict[str, Any]]] = {preset: [] for preset in presets}
    for seed in range(options.seeds):
        for preset in presets:
            train = [data, "--preset", preset, "--budget", options.budget, "--seed", str(seed)]
            run = options.runs / f"{preset}-{seed}"
            found[preset].append(measured(run, train, options.evaluate.split()))
            print(preset, seed, json.dumps(found[preset][-1]["values"]), file=sys.stderr, flush=True)
    first = found[presets[0]][0]
    every = [each["floors"] for runs in found.values() for each in runs]
    rows = [
        {
            "metric": name,
            **{preset: spread([each["values"].get(name) for each in found[preset]]) for preset in presets},
            "floor": spread([floors.get(name) for floors in every]),
        }
        for name in first["values"]
    ]
    rows.append(
        {"metric": "generator steps", **{p: spread([r["steps"] for r in found[p]]) for p in presets}, "floor": "-"}
    )
    flags = {preset: ", ".join(" ".join(each["flags"]) or "-" for each in found[preset]) for preset in presets}
    rows.append({"metric": "flags, by seed", **flags, "floor": "-"})
    wassergan(
        "compare", *(str(options.runs / f"{preset}-0") for preset in presets), "--out", f"{FOLDER / options.data}.png"
    )
    protocol = {name: value for name, value in first["protocol"].items() if name not in ("seconds", "step", "seed")}
    write_results(
        options.data,
        f"Presets on {options.data} after {options.budget} of training each, {options.seeds} seeds",
        rows,
        summary={"protocol": json.dumps(protocol, ensure_ascii=False)},
        command=f"python benchmarks/presets.py {shlex.join(sys.argv[1:])}".replace(str(options.runs), "FOLDER"),
    )


if __name__ == "__main__":
    main()
