"""ERA5 temperatures over the United Kingdom from means over 4 x 4 cells: downscaling judged on held-out hours.

    python benchmarks/fields_given.py --budget 10m --seeds 0,1,2
    python benchmarks/fields_given.py --budget 110s --no-write

Of 744 hours (March 2019, 32 x 48 cells) a tenth is held out by seed; they are neighbours in time of hours that were
trained on. For each held-out hour 20 fields are drawn given its 8 x 12 means. CRPS is fair and in kelvin. Beside it
stand the absolute error of bilinear interpolation, and the CRPS with draws in the truth's place (what calibrated draws
would get) and under the conditions of other hours. `within` is the
share of the ranks of the truth in their band of 95 %.
Results go to docs/results/fields_given.json and .md, beside those of other seeds.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import earlier_rows, write_results

from wassergan.data import open_source
from wassergan.evaluation.given import Ensembles, GivenResult, judge_ensembles
from wassergan.evaluation.given.fields import interpolated
from wassergan.evaluation.given.verdict import faults_of

SHARED = Path(__file__).parents[2] / "shared" / "data" / "era5_t2m_uk" / "era5_t2m_uk_201903.npz"
FACTOR, DRAWS = 4, 20
Fields = np.ndarray[Any, np.dtype[np.float64]]


def wassergan(*arguments: Any) -> str:
    command = [sys.executable, "-m", "wassergan", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def pairs(path: Path) -> tuple[Fields, Fields]:
    """Fields, cropped to a multiple of the factor, and their means over cells; (n, H, W) each."""
    fine = np.load(path)["t2m"]
    height, width = (side // FACTOR * FACTOR for side in fine.shape[1:])
    fine = fine[:, :height, :width]
    cells = fine.reshape(len(fine), height // FACTOR, FACTOR, width // FACTOR, FACTOR)
    return fine, cells.mean((2, 4)).astype("float32")


def judged(folder: Path, run: Path, held: Any, seen: Any, seed: int) -> GivenResult:
    """The draws of a run under held-out means."""
    fine, coarse = (np.load(folder / f"{name}.npy").astype(np.float64)[:, None] for name in ("fine", "coarse"))
    np.save(folder / "asked.npy", coarse[held, 0].astype("float32"))
    asked = ("--condition-array", folder / "asked.npy", "--draws", DRAWS, "--seed", seed)
    wassergan("sample", run, *asked, "--out", folder / "drawn.npy")
    drawn = np.load(folder / "drawn.npy").astype(np.float64)[:, :, None]
    on_grid = interpolated(coarse, fine.shape[1:])
    assert on_grid is not None
    return judge_ensembles(
        Ensembles(drawn, fine[held]),
        coarse[held],
        training=fine[seen],
        training_conditions=coarse[seen],
        interpolation=(on_grid[held], on_grid[seen]),
        unit="K",
        seed=seed,
    )


def measured(seed: int, length: tuple[str, str], options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fine, coarse = pairs(options.data)
        source = open_source(fine, condition_array=coarse, seed=seed)
        held = source.split.heldout.numpy()
        seen = source.split.train_rows(torch.arange(source.train_count)).numpy()
        for each, values in (("fine", fine), ("coarse", coarse)):
            np.save(folder / f"{each}.npy", values)
        flags = ["--condition-array", folder / "coarse.npy", "--seed", seed, *shlex.split(options.flags)]
        run = folder / "run"
        wassergan("train", folder / "fine.npy", *flags, *length, "--no-previews", "--out", run)
        facts = json.loads(wassergan("info", run, "--json"))
        result = judged(folder, run, held, seen, seed)
    wrong, doubtful = faults_of(result)
    return {
        "seed": seed,
        "steps": facts["steps"],
        "crps": result.crps,
        "calibrated_crps": result.calibrated_crps,
        "bilinear_error": result.interpolation_error,
        "crps_over_bilinear": result.over_interpolation,
        "shuffled_ratio": result.shuffled_ratio,
        "within": result.ranks.within,
        "rank_spread": result.ranks.spread,
        "spread_over_error": result.spread_over_error,
        "reliability": result.reliability,
        "spectrum_db": result.spectrum,
        "spectrum_floor": result.spectrum_floor,
        "joint_w1": result.joint,
        "joint_floor": result.joint_floor,
        "faults": " ".join([*wrong, *(f"({each})" for each in doubtful)]) or "none",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--steps", help="train so many steps instead")
    parser.add_argument("--seeds", default="0", help="such as 0,1,2")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--flags", default="", help="further flags of `train`, in one string")
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args()
    length = ("--steps", options.steps) if options.steps else ("--budget", options.budget)
    rows: list[dict[str, Any]] = []
    for seed in map(int, options.seeds.split(",")):
        rows.append(measured(seed, length, options))
        print(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in rows[-1].items()}, flush=True
        )
        if not options.no_write:
            write_results(
                "fields_given",
                f"ERA5 temperatures given their means over 4 x 4 cells, after {options.steps or options.budget}",
                sorted([*earlier_rows("fields_given", rows, told_by=["seed"]), *rows], key=lambda row: row["seed"]),
                summary={"length": options.steps or options.budget, "draws": DRAWS},
                command=f"python benchmarks/fields_given.py {shlex.join(sys.argv[1:])}",
            )


if __name__ == "__main__":
    main()
