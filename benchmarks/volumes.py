"""Crops of Ketton limestone: porosity, two-point curves and chord lengths of generated volumes beside the rock's own.

    python benchmarks/volumes.py --budget 10m --seeds 0,1,2
    python benchmarks/volumes.py --data rock.npz --crop 32 --budget 120s --no-write

Generated crops are compared with the mean over all crops of the rock, in which its inner voxels have a greater part,
and as floor as many crops at random positions of it. The porosity is the share of the rarer phase, its error absolute.
The error of a two-point curve is relative, the largest over axes and lags up to 16 or half of a side, for each of the
two phases; `two_point_seen` is that of the rarer phase in all pairs of voxels that training sees: a tenth is held out.
`porosity_deviation` is that of the porosity from crop to crop. Results go to docs/results/volumes.json and
.md, beside those of other seeds.
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
from results import earlier_rows, write_results

from wassergan.data import open_source
from wassergan.data.volumes import VolumeCodec, lags_along
from wassergan.evaluation.volumes.statistics import chord_counts, chord_w1, two_point

SHARED = Path(__file__).parents[2] / "shared" / "data" / "rock3d" / "ketton.npz"
COUNT = 2000  # crops of each kind: of 500 real ones a curve is up to 5 % off
Sets = np.ndarray[Any, np.dtype[np.bool_]]
Curves = np.ndarray[Any, np.dtype[np.float64]]


def wassergan(*arguments: Any) -> str:
    command = [sys.executable, "-m", "wassergan", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def crops_of(rock: Sets, crop: tuple[int, ...], count: int, seed: int) -> Sets:
    numbers = np.random.default_rng(seed)
    starts = [numbers.integers(0, side - own + 1, count) for side, own in zip(rock.shape, crop, strict=True)]
    boxes = (
        tuple(slice(at, at + own) for at, own in zip(start, crop, strict=True)) for start in zip(*starts, strict=True)
    )
    return np.stack([rock[box] for box in boxes])


def expected(inside: Sets, crop: tuple[int, ...], lags: int) -> Curves:
    """The mean two-point curves of the crops at all positions, (3, lags + 1); lag 0 is their porosity.

    A pair of voxels counts once for each crop that holds both of them.
    """
    found = np.zeros((3, lags + 1))
    for axis in range(3):
        sides = [*crop[axis : axis + 1], *crop[:axis], *crop[axis + 1 :]]
        lined = np.moveaxis(inside, axis, 0)
        _, *across = (holding(side, own, 0) for side, own in zip(lined.shape, sides, strict=True))
        for lag in range(lags + 1):
            along = holding(lined.shape[0], sides[0], lag)
            both = (lined[lag:] & lined[: len(lined) - lag]).astype(np.float64)
            found[axis, lag] = (
                along @ (both @ across[1] @ across[0]) / (along.sum() * across[0].sum() * across[1].sum())
            )
    return found


def holding(side: int, crop: int, lag: int) -> Curves:
    """Along an axis, how many positions of a crop hold both a voxel and the one at a lag behind it, (side - lag,)."""
    first = np.arange(side - lag)
    counts: Curves = np.minimum(first, side - crop) - np.maximum(0, first + lag - crop + 1) + 1.0
    return counts.clip(min=0)


def figures(made: Sets, rock: Sets, all_crops: Curves) -> dict[str, float]:
    """Porosity and the errors of generated or real crops (n, D, H, W) of the rarer phase."""
    curves = two_point([made, ~made]).mean(0)[:, :, : all_crops.shape[2]]
    errors = np.abs(curves / all_crops - 1)
    sides = np.broadcast_to(rock, (1, *rock.shape))
    return {
        "porosity": float(made.mean()),
        "porosity_error": float(abs(made.mean() - all_crops[0, 0, 0])),
        "porosity_deviation": float(made.mean((1, 2, 3)).std()),
        "two_point_rare": float(np.nanmax(errors[0])),
        "two_point_common": float(np.nanmax(errors[1])),
        "chords_w1": chord_w1(chords(made), chords(crops_of(sides[0], made.shape[1:], COUNT, 99))),
    }


def chords(sets: Sets) -> Curves:
    return chord_counts([sets])


def judged(rock: Any, phase: float, seed: int, length: tuple[str, str], options: argparse.Namespace) -> dict[str, Any]:
    sides = [int(side) for side in options.crop.split("x")]
    crop = tuple(sides * 3 if len(sides) == 1 else sides)
    lags = lags_along(min(crop))
    inside: Sets = rock == phase
    all_crops = np.stack([expected(each, crop, lags) for each in (inside, ~inside)])
    with tempfile.TemporaryDirectory() as folder:
        run, made = Path(folder) / "run", Path(folder) / "made.npy"
        flags = ["--crop", options.crop, "--seed", seed, *shlex.split(options.flags)]
        wassergan("train", options.data, *flags, *length, "--no-previews", "--no-tensorboard", "--out", run)
        facts = json.loads(wassergan("info", run, "--json"))
        wassergan("sample", run, "--count", COUNT, "--seed", seed, "--out", made)
        found = figures(np.load(made) == phase, inside, all_crops)
    floor = figures(crops_of(inside, crop, COUNT, seed), inside, all_crops)
    codec = open_source(rock, crop=(crop[0], crop[1], crop[2]), seed=seed).codec
    assert isinstance(codec, VolumeCodec)
    seen = np.array(codec.curves[0][codec.phases.index(phase)])[:, : lags + 1]
    errors = {f"{name}_floor": value for name, value in floor.items() if name != "porosity"}
    return {
        "data": Path(options.data).stem,
        "crop": options.crop,
        "seed": seed,
        "steps": facts["steps"],
        **found,
        "two_point_seen": float(np.abs(seen / all_crops[0] - 1).max()),
        **errors,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--crop", default="32")
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--steps", help="train so many steps instead")
    parser.add_argument("--seeds", default="0", help="such as 0,1,2")
    parser.add_argument("--flags", default="", help="further flags of `train`, in one string")
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args()
    length = ("--steps", options.steps) if options.steps else ("--budget", options.budget)
    loaded = np.load(options.data)
    rock = loaded[loaded.files[0]] if options.data.suffix == ".npz" else loaded
    values, counts = np.unique(rock, return_counts=True)
    rows = []
    for seed in map(int, options.seeds.split(",")):
        rows.append(judged(rock, values[counts.argmin()], seed, length, options))
        print(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in rows[-1].items()}, flush=True
        )
        if not options.no_write:
            kept = [*earlier_rows("volumes", rows, told_by=["data", "crop", "seed"]), *rows]
            write_results(
                "volumes",
                f"Volumes after {options.steps or options.budget}",
                sorted(kept, key=lambda row: (row["data"], row["crop"], row["seed"])),
                summary={"length": options.steps or options.budget, "crops": COUNT},
                command=f"python benchmarks/volumes.py {shlex.join(sys.argv[1:])}",
            )


if __name__ == "__main__":
    main()
