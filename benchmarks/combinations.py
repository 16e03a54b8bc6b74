"""Draw combinations of data and settings, and take each through every verb: what `train` writes, all others read.

Run it with how many, and the first seed: `python benchmarks/combinations.py 300 0`. A combination may be refused, by a
`UserError` before the first step; anything else that goes wrong is a bug, and is printed with its seed. The suite runs
some of them (`tests/test_combinations.py`).
"""

import math
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from wassergan import (
    CompleteSettings,
    EvaluateSettings,
    TrainSettings,
    UserError,
    evaluate_run,
    export_run,
    open_export,
    open_sampler,
    resume_run,
    run_summary,
    train_run,
)
from wassergan.modality.writing import write_samples
from wassergan.runs.compare import compare_runs
from wassergan.runs.complete import complete_table
from wassergan.runs.recorder import write_run_report
from wassergan.runs.visualize import visualize_run

LARGEST = 5000
EVERY, OF_SERIES = 7, 3  # one seed in seven is of series, so that others stand for what they stood for
NETWORKS_OF = {
    "picture": ["conv", "conv", "resnet", "resnet"],
    "field": ["conv", "conv", "resnet", "resnet"],
    "series": ["conv", "conv", "recurrent", "recurrent"],
}
DTYPES = ("uint8", "int16", "int32", "int64", "uint16", "float16", "float32", "float64", "bool")


@dataclass(frozen=True)
class Combination:
    """Some data and the settings to train on them."""

    data: dict[str, Any]
    settings: dict[str, Any]


def combination(seed: int) -> Combination:
    """One of them, by seed."""
    draw = random.Random(seed)  # no secret
    kind = draw.choice(["vector", "vector", "picture", "picture", "field", "table"])
    if seed % EVERY == OF_SERIES:
        kind = "series"
    data = {"kind": kind, "seed": seed, **_shape(draw, kind)}
    batch = draw.choice([2, 4, 5, 8, 12])
    settings: dict[str, Any] = {
        "steps": 2,
        "batch_size": batch,
        "critic_steps": draw.choice([1, 1, 2, 3]),
        "preset": draw.choice(["default", "default", "wgan", "wgan-gp", "sn-wgan"]),
        "network": draw.choice([None, None, "mlp", "residual", *NETWORKS_OF.get(kind, [])]),
        "constraint": draw.choice([None, None, "clip", "gp", "lp", "sn", "orthogonal"]),
        "objective": draw.choice([None, None, "wasserstein", "minimax", "nonsaturating", "hinge"]),
        "generator_widths": _widths(draw),
        "critic_widths": _widths(draw),
        "maps": draw.choice([1, 2, 3, 4, 7, 8]),
        "activation": draw.choice([None, None, "leaky_relu", "silu", "maxmin"]),
        "critic_activation": draw.choice([None, None, None, "leaky_relu", "silu", "maxmin"]),
        "generator_norm": draw.choice([None, None, None, "none", "layer", "batch"]),
        "critic_norm": draw.choice([None, None, None, None, "none", "layer", "batch"]),
        "pack": draw.choice([None, None, None, 1, 2, 3, batch]),
        "latent_dim": draw.choice([None, 1, 2, 5, 40]),
        "penalty_every": draw.choice([None, 1, 2, 3]),
        "optimizer": draw.choice([None, None, "adam", "rmsprop"]),
        "precision": draw.choice(["float32", "float32", "bf16", "auto"]),
        "schedule": draw.choice([None, None, "constant", "inverse_sqrt", "linear"]),
        "average_half_life": draw.choice([None, None, 0.0, 100.0]),
        "scale": draw.choice(["auto", "auto", "feature", "array"]) if kind in ("vector", "field", "series") else "auto",
        "heldout": draw.choice([None, None, 0.2, 0.5]),
        "seed": draw.choice([0, 1, 2**62]),
        "w1_every": draw.choice([None, None, None, 1]),
        "previews": draw.random() < 0.2,
        "tensorboard": False,
    }
    if draw.random() < 0.05:
        settings["constraint"] = "none"
    if kind == "table" and random.Random(f"completion {seed}").random() < 0.5:
        settings["completion"] = True
    if kind == "table" and settings["generator_widths"] is None:
        settings["generator_widths"] = (12,)  # margins are matched at each opening: half a minute with the largest
    return Combination(data, {name: value for name, value in settings.items() if value is not None})


def _widths(draw: random.Random) -> tuple[int, ...] | None:
    if draw.random() < 0.4:
        return None
    return tuple(draw.choice([1, 2, 3, 8, 17, 40, 64]) for _ in range(draw.choice([1, 1, 2, 3])))


def _shape(draw: random.Random, kind: str) -> dict[str, Any]:
    numbers = round(LARGEST ** draw.random())
    condition = draw.random() < 0.25
    if kind == "vector":
        return {
            "shape": () if draw.random() < 0.1 else (numbers,),
            "dtype": draw.choice(DTYPES),
            "condition": condition,
        }
    if kind == "table":
        columns = draw.randint(1, 6)
        return {"columns": columns, "condition": condition and columns > 1, "file": draw.choice(["csv", "parquet"])}
    if kind == "series":
        channels = draw.choice([1, 2, 3, 7])
        steps = max(1, min(120, numbers // channels))
        dtype = draw.choice(DTYPES)
        return {"shape": (steps, channels), "layout": "NTC", "dtype": dtype, "condition": condition}
    channels = draw.choice([1, 1, 3, 3, 2, 4])
    height = max(1, round((numbers / channels) ** (0.3 + 0.4 * draw.random())))
    width = max(1, numbers // channels // height)
    layout = draw.choice(["NHWC", "NCHW"]) if channels > 1 else draw.choice(["NHW", "NHWC", "NCHW"])
    shape = {"NHW": (height, width), "NHWC": (height, width, channels), "NCHW": (channels, height, width)}[layout]
    dtype = "uint8" if kind == "picture" else draw.choice(["float32", "float64", "float16", "int16", "uint16"])
    return {"shape": shape, "layout": layout, "dtype": dtype, "condition": condition}


def numbers_of(data: dict[str, Any]) -> int:
    """In a sample."""
    return math.prod(data["shape"])


def write_data(made: Combination, folder: Path) -> TrainSettings:
    """Write the data into a folder; the settings that name them."""
    data, extra = made.data, {}
    numbers = np.random.default_rng(data["seed"])
    batch = made.settings["batch_size"]
    count = int(2 * batch / (1 - made.settings.get("heldout", 0.1))) + 2 + int(numbers.integers(0, 30))
    path = folder / f"data.{data['file'] if data['kind'] == 'table' else 'npy'}"
    if data["kind"] == "table":
        extra = _write_table(data, numbers, count, path)
    else:
        np.save(path, _values(data, numbers, count))
        if data["condition"]:
            np.save(folder / "labels.npy", numbers.integers(0, 3, count))
            extra = {"labels": str(folder / "labels.npy")}
        if "layout" in data:
            extra["layout"] = data["layout"]
    return TrainSettings(data=str(path), **made.settings, **extra)


def _values(data: dict[str, Any], numbers: np.random.Generator, count: int) -> np.ndarray:
    shape, dtype = (count, *data["shape"]), np.dtype(data["dtype"])
    if dtype.kind == "f":
        return numbers.normal(3, 2, shape).astype(dtype)
    return numbers.integers(0, 2 if dtype.kind == "b" else 200, shape).astype(dtype)


def _write_table(data: dict[str, Any], numbers: np.random.Generator, count: int, path: Path) -> dict[str, Any]:
    import pandas

    makers = [
        lambda: numbers.normal(0, 1, count).round(3),
        lambda: numbers.integers(0, 1000, count),
        lambda: numbers.choice(["red", "green", "blue, or so"], count),
        lambda: numbers.choice([True, False], count),
        lambda: pandas.Timestamp("2020-01-01") + pandas.to_timedelta(numbers.integers(0, 900, count), unit="D"),
        lambda: np.where(numbers.random(count) < 0.3, np.nan, numbers.normal(0, 1, count).round(2)),
    ]
    chosen = numbers.permutation(len(makers))[: data["columns"]]
    frame = pandas.DataFrame({f"column {number}": makers[number]() for number in chosen})
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return {"condition": (frame.columns[0],)} if data["condition"] else {}


def trial(
    made: Combination, folder: Path, *, formats: tuple[str, ...] = ("safetensors",), all_verbs: bool = True
) -> str:
    """Through all verbs: `trained`, or why it was refused before the first step; anything else is raised.

    Args:
        made: the combination.
        folder: for all files.
        formats: of exports.
        all_verbs: also look, compare, and resume with other settings.
    """
    settings, run = write_data(made, folder), folder / "run"
    try:
        train_run(settings, run)
    except UserError as error:
        assert not list(run.glob("checkpoints/*")), f"refused after the first step: {error}"
        return f"refused: {error}"
    _samples(made, run, folder)
    first = run_summary(run)
    resume_run(run, {"steps": 3})
    assert run_summary(run)["steps"] == first["steps"] + 1
    _judged(run)
    _exported(run, folder, formats)
    if all_verbs:
        resume_run(run, {"steps": 4, "batch_size": made.settings.get("pack", 1), "generator_lr": 1e-4})
        visualize_run(run, folder / "visualize", count=16)
        write_run_report(run)
        compare_runs([run, run])
    return "trained"


def _samples(made: Combination, run: Path, folder: Path) -> None:
    sampler = open_sampler(run, device="cpu")
    suffix = made.data.get("file", "npy")
    write_samples(sampler, folder / f"drawn.{suffix}", count=9, seed=3)
    write_samples(sampler, folder / "drawn.png", count=4, seed=3)
    if made.settings.get("completion"):
        _completed(run, folder, suffix)
    if suffix == "npy":
        drawn = np.load(folder / "drawn.npy")
        assert drawn.shape == (9, *made.data["shape"]) and drawn.dtype == made.data["dtype"], drawn.dtype
        assert np.isfinite(drawn.astype(float)).all()


def _completed(run: Path, folder: Path, suffix: str) -> None:
    """Every second cell of the data hidden and filled again: the others stay, and none is missing."""
    import pandas

    read, write = (pandas.read_csv, "to_csv") if suffix == "csv" else (pandas.read_parquet, "to_parquet")
    gaps = read(folder / f"data.{suffix}")
    hidden = np.random.default_rng(0).random(gaps.shape) < 0.5
    getattr(gaps.mask(hidden), write)(folder / f"gaps.{suffix}", index=False)
    out = folder / f"filled.{suffix}"
    complete_table(CompleteSettings(run=str(run), table=str(folder / f"gaps.{suffix}"), out=str(out)))
    gaps, filled = read(folder / f"gaps.{suffix}"), read(out)
    assert list(filled) == list(gaps) and not filled.isna().any(axis=None)
    assert (filled.where(gaps.notna(), 0) == gaps.where(gaps.notna(), 0)).all(axis=None)


def _judged(run: Path) -> None:
    try:
        evaluate_run(EvaluateSettings(run=str(run), count=12))
    except UserError as error:  # of so few held-out samples some metrics cannot be computed
        assert "samples" in str(error) or "rows" in str(error), error


def _exported(run: Path, folder: Path, formats: tuple[str, ...]) -> None:
    for each in formats:
        try:
            export_run(run, folder / f"generator.{each}")
        except UserError as error:
            assert "conditions" in str(error), error
            return
    if "safetensors" in formats:
        again, own = open_export(folder / "generator.safetensors"), open_sampler(run, device="cpu")
        np.testing.assert_array_equal(again.draw(7, seed=1), own.draw(7, seed=1))


@contextmanager
def small_figures() -> Iterator[None]:
    """Figures are drawn elsewhere; here it is enough that they are asked for, and curves are those of any run."""

    def savefig(self: Figure, path: Path, **options: Any) -> None:
        Image.new("RGB", (1, 1)).save(path)

    with (
        mock.patch.object(Figure, "savefig", savefig),
        mock.patch("wassergan.plots.curves_figure", lambda log: Figure()),
    ):
        yield


def main(count: int, first: int) -> int:
    """Try so many seeds; returns how many went wrong."""
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    outcomes: Counter[str] = Counter()
    wrong, started = [], time.perf_counter()
    with small_figures():
        for seed in range(first, first + count):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    formats = ("safetensors", "onnx", "pt2") if seed % 10 == 0 else ("safetensors",)
                    outcome = trial(combination(seed), Path(folder), formats=formats)
                except Exception:
                    outcome = "wrong"
                    wrong.append(seed)
                    print(f"seed {seed}: {combination(seed)}\n{traceback.format_exc()}", flush=True)
            outcomes[outcome.split(":")[0]] += 1
            if outcome.startswith("refused"):
                print(f"seed {seed} {outcome}", flush=True)
    print(f"{dict(outcomes)} of {count} in {time.perf_counter() - started:.0f} s; wrong: {wrong}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
