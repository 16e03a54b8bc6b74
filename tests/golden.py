"""Whether the library computes the same bits as an earlier revision of it, from `train` to `export`.

    python tests/golden.py REVISION              # the working tree against a commit, all runs
    python tests/golden.py REVISION digits       # one of them
    python tests/golden.py REVISION --steps 40   # shorter

It is no part of the test suite: four trainings on either side take some minutes. Everything is done through the
command line with one thread, in processes of their own, from the sources of either side alone. Compared are all
tensors and values of the last checkpoint, the log, the metrics, drawn samples and the exported generator; what is
measured by the clock is left out. A key or a setting that has another name since then stands in `RENAMED`.
"""

import argparse
import csv
import io
import json
import math
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
RENAMED = {  # keys of checkpoints, logs and metrics: old name to new
    "critic_rate": "critic_lr",
    "generator_rate": "generator_lr",
    "rate_scale": "lr_scale",
    "slope_mean": "gradient_norm_mean",
    "slope_max": "gradient_norm_max",
}
# Names that one side alone may have: what was added on purpose since the house was rebuilt, and what it replaces.
ADDED = re.compile(
    r"checkpoint\.fingerprint\.\w+_checksum|checkpoint\.best\.(distance|metric|sliced_w1)|checkpoint\.settings\.\w+"
    r"|log\.\d+\.(patch_)?sliced_w1\w*|metrics\..+"
)
CLOCKED = {
    *("seconds", "elapsed_seconds", "timed", "steps_per_second", "samples_per_second", "mark", "data", "run", "out"),
    *("started", "time", "made", "version", "wall_seconds", "fit_seconds", "draw_seconds"),
}


def digits(folder: Path) -> list[str]:
    return ["digits"]


def table(folder: Path) -> list[str]:
    rng = np.random.default_rng(3)
    path = folder / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "income", "town", "day", "member", "note"])
        for _ in range(600):
            age = int(rng.integers(18, 90))
            income = round(float(rng.lognormal(7 + age / 60, 0.4)), 2)
            town = str(rng.choice(["Aachen", "Bonn", "Köln"], p=[0.2, 0.3, 0.5]))
            day = f"2024-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}"
            writer.writerow(
                [age, income, town, day, "yes" if age > 40 else "no", "" if rng.random() < 0.1 else age % 7]
            )
    return [str(path)]


def pictures(folder: Path) -> list[str]:
    rng = np.random.default_rng(4)
    place = folder / "pictures"
    place.mkdir()
    rows, columns = np.mgrid[:16, :16]
    for index in range(200):
        centre, colour = rng.uniform(4, 12, 2), rng.uniform(0, 255, 3)
        disc = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < rng.uniform(4, 20)
        Image.fromarray((disc[..., None] * colour).astype(np.uint8)).save(place / f"{index:03d}.png")
    # The recipe that pictures have by default has changed on purpose: a named preset says it all.
    return [str(place), "--network", "conv", "--preset", "wgan-gp"]


def two_processes(folder: Path) -> list[str]:
    return ["digits", "--batch-size", "32"]


RUNS: dict[str, Callable[[Path], list[str]]] = {
    "digits": digits,
    "table": table,
    "pictures": pictures,
    "two-processes": two_processes,
}


def sources(revision: str, folder: Path) -> Path:
    """The library as it was, unpacked."""
    packed = subprocess.run(["git", "archive", revision, "src"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def command(source: Path, *argv: str, processes: int = 1) -> None:
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [*launcher, "wassergan", *argv], env=environment, capture_output=True, text=True, cwd=source.parent
    )
    if done.returncode:
        raise SystemExit(f"{source}: {' '.join(argv)} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def run(source: Path, name: str, folder: Path, steps: int) -> dict[str, Any]:
    """Train, resume, sample, evaluate, export; everything that came of it, as flat names and values."""
    folder.mkdir(parents=True)
    data, run_folder = RUNS[name](folder), str(folder / "run")
    many = 2 if name == "two-processes" else 1
    common = ["--seed", "0", "--tick-steps", "50", "--device", "cpu", "--precision", "float32", "--no-tensorboard"]
    command(source, "train", *data, *common, "--steps", str(steps), "--out", run_folder, processes=many)
    command(source, "resume", run_folder, "--steps", str(steps + steps // 4), processes=many)
    drawn = folder / ("samples.csv" if name == "table" else "samples.npy")
    command(source, "sample", run_folder, "--count", "100", "--seed", "1", "--out", str(drawn))
    command(source, "evaluate", run_folder)
    exported = folder / "exported.pt2"
    command(source, "export", run_folder, "--out", str(exported))
    place = Path(run_folder)
    found: dict[str, Any] = {"samples": drawn.read_bytes()}
    content = torch.load(place / "checkpoints" / "latest.pt", weights_only=True)
    found |= dict(flat(content, "checkpoint"))
    for index, line in enumerate((place / "log.jsonl").read_text(encoding="utf-8").splitlines()):
        found |= dict(flat(json.loads(line), f"log.{index}"))
    found |= dict(flat(json.loads((place / "metrics.json").read_text(encoding="utf-8")), "metrics"))
    program = torch.export.load(exported)
    found |= dict(flat(dict(program.state_dict), "exported"))
    return found


def flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Leaves by dotted names, without those that the clock has a part in."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in CLOCKED:
                yield from flat(each, f"{name}.{RENAMED.get(str(key), str(key))}")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            # A list of metrics grows in its middle: what has a name is compared by it.
            own = each.get("name", index) if isinstance(each, dict) else index
            yield from flat(each, f"{name}.{own}")
    else:
        yield name, value


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        if not isinstance(right, torch.Tensor) or left.dtype != right.dtype or left.shape != right.shape:
            return False
        return left.contiguous().numpy().tobytes() == right.contiguous().numpy().tobytes()
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and bool(left == right)


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs, a line each; names of `ADDED` may be missing on one side, but not have two values."""
    missing = [("gone", name) for name in old if name not in new] + [("new", name) for name in new if name not in old]
    lines = [f"{what}: {name}" for what, name in missing if not ADDED.fullmatch(name)]
    shown = ((name, old[name], new[name]) for name in old if name in new and not same(old[name], new[name]))
    return lines + [f"{name}: {str(left)[:80]} became {str(right)[:80]}" for name, left, right in shown]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("revision")
    parser.add_argument("runs", nargs="*", metavar="RUN", help=", ".join(RUNS))
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    unlike = 0
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        sides = {"old": sources(arguments.revision, place / "old"), "new": ROOT / "src"}
        for name in arguments.runs or RUNS:
            found = {
                side: run(source, name, place / "runs" / name / side, arguments.steps) for side, source in sides.items()
            }
            differences = compare(found["old"], found["new"])
            unlike += bool(differences)
            both = len(found["old"].keys() & found["new"].keys())
            print(f"{name}: {both} values on both sides, {len(differences)} differ", flush=True)
            for line in differences[:40]:
                print(f"    {line}")
    return min(unlike, 1)


if __name__ == "__main__":
    sys.exit(main())
