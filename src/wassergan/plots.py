"""Every figure; the one place that imports matplotlib."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from wassergan.files import replacing

SMALLEST_CELL = 56  # pixels; smaller samples are enlarged by whole factors: pictures smoothly, fields cell by cell
COLOUR_MAP = "viridis"
GENERATED, REAL = "tab:orange", "tab:blue"
GRID_GAP = 2
MOST_PANELS, MOST_BARS = 24, 8  # columns of a table, and levels of a category, that are drawn
_LINES_LABELS = {"minimax": "objective of 2014", "wasserstein": "Wasserstein objective"}
_LINES_COLOURS = {"minimax": "tab:blue", "wasserstein": "tab:orange"}


def picture_grid(
    samples: NDArray[np.float64], *, low: float, high: float, columns: int | None = None, colours: bool
) -> Image.Image:
    """Samples side by side, `low` to black (or the map's start) and `high` to white (its end), for every grid alike.

    Args:
        samples: (n, H, W) or (n, H, W, C) in the data's own units.
        low: fixed lower end, in the same units.
        high: fixed upper end.
        columns: per row; a square grid unless given.
        colours: draw single-channel samples in false colours (fields) instead of grey (pictures).
    """
    scaled = np.clip((samples - low) / (high - low), 0, 1)
    if scaled.ndim == 4 and scaled.shape[3] not in (3, 4):
        scaled = scaled[..., 0]
    if scaled.ndim == 4:
        pixels = np.rint(255 * scaled[..., :3]).astype(np.uint8)
    elif colours:
        pixels = np.asarray(colormaps[COLOUR_MAP](scaled, bytes=True), np.uint8)[..., :3]
    else:
        pixels = np.repeat(np.rint(255 * scaled).astype(np.uint8)[..., None], 3, axis=3)
    factor = max(1, math.ceil(SMALLEST_CELL / max(pixels.shape[1:3])))
    pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2) if colours else _enlarged(pixels, factor)
    count, height, width, _ = pixels.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + GRID_GAP) + GRID_GAP, columns * (width + GRID_GAP) + GRID_GAP, 3), 255, np.uint8)
    for index, picture in enumerate(pixels):
        top = GRID_GAP + (index // columns) * (height + GRID_GAP)
        left = GRID_GAP + (index % columns) * (width + GRID_GAP)
        sheet[top : top + height, left : left + width] = picture
    return Image.fromarray(sheet)


def _enlarged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """(n, H, W, 3) pictures enlarged by bicubic interpolation: an 8×8 digit is hard to read as 64 squares."""
    if factor == 1:
        return pixels
    size = (pixels.shape[2] * factor, pixels.shape[1] * factor)
    return np.stack([np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC)) for each in pixels])


def vector_figure(samples: NDArray[np.float64], real: NDArray[np.float64] | None = None) -> Figure:
    """Two features: a scatter plot; otherwise one histogram per feature (the first 16), real beside generated.

    Args:
        samples: (n, D) in the data's own units.
        real: (m, D), or None to draw the samples alone.
    """
    features = samples.shape[1]
    if features == 2:
        figure = Figure(figsize=(5, 5), layout="constrained")
        axes = figure.subplots()
        if real is not None:
            axes.scatter(real[:, 0], real[:, 1], s=4, alpha=0.4, color=REAL, label="real", linewidths=0)
        axes.scatter(samples[:, 0], samples[:, 1], s=4, alpha=0.4, color=GENERATED, label="generated", linewidths=0)
        axes.set(xlabel="feature 0", ylabel="feature 1", aspect="equal")
        axes.legend(markerscale=3)
        return figure
    shown = min(features, 16)
    columns = min(4, shown)
    rows = math.ceil(shown / columns)
    figure = Figure(figsize=(3 * columns, 2.2 * rows), layout="constrained")
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if index >= shown:
            axes.set_axis_off()
            continue
        values = samples[:, index] if real is None else np.concatenate([samples[:, index], real[:, index]])
        bins = np.linspace(values.min(), values.max(), 41)
        if real is not None:
            axes.hist(real[:, index], bins, density=True, color=REAL, alpha=0.5, label="real")
        axes.hist(samples[:, index], bins, density=True, color=GENERATED, alpha=0.5, label="generated")
        axes.set(xlabel=f"feature {index}", yticks=[])
    figure.axes[0].legend()
    return figure


def table_figure(
    names: Mapping[str, Sequence[str]], samples: NDArray[np.float64], real: NDArray[np.float64] | None = None
) -> Figure:
    """One panel per column (the first 24): histograms of numbers, shares of levels and of missing values.

    Args:
        names: of each column, and of its levels if it has some.
        samples: (n, columns), levels as their numbers, NaN where missing.
        real: (m, columns), or None to draw the samples alone.
    """
    shown = list(names.items())[:MOST_PANELS]
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(3.4 * columns, 2.3 * rows), layout="constrained")
    drawn = [("generated", GENERATED, samples)] + ([] if real is None else [("real", REAL, real)])
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if place >= len(shown):
            axes.set_axis_off()
            continue
        name, levels = shown[place]
        values = [(label, colour, table[:, place]) for label, colour, table in drawn]
        if levels:
            _shares(axes, levels, values)
        else:
            _histograms(axes, values)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    figure.axes[0].legend(fontsize=8)
    return figure


def _histograms(axes: Axes, columns: Sequence[tuple[str, str, NDArray[np.float64]]]) -> None:
    there = np.concatenate([values[~np.isnan(values)] for _, _, values in columns])
    # The tails of a heavy law would squeeze all others into one bar.
    low, high = np.quantile(there, [0.005, 0.995]) if len(there) else (0.0, 1.0)
    bins = np.linspace(low, high if high > low else low + 1, 31).tolist()
    for label, colour, values in columns:
        kept = values[~np.isnan(values)]
        axes.hist(kept, bins, weights=np.full(len(kept), 1 / len(values)), color=colour, alpha=0.5, label=label)
        if len(kept) < len(values):
            axes.plot([], [], " ", label=f"{1 - len(kept) / len(values):.1%} missing")
    axes.set_yticks([])


def _shares(axes: Axes, levels: Sequence[str], columns: Sequence[tuple[str, str, NDArray[np.float64]]]) -> None:
    last = columns[-1][2]
    often = np.argsort(-np.bincount(last[~np.isnan(last)].astype(int), minlength=len(levels)), kind="stable")
    chosen = often[:MOST_BARS]
    height = 0.8 / len(columns)
    for number, (label, colour, values) in enumerate(columns):
        shares = [*(float((values == level).mean()) for level in chosen), float(np.isnan(values).mean())]
        axes.barh(np.arange(len(shares)) + number * height, shares, height, color=colour, label=label)
    axes.set_yticks(np.arange(len(chosen) + 1), [*(levels[level][:18] for level in chosen), "(missing)"])
    axes.invert_yaxis()


def curves_figure(log: Sequence[Mapping[str, Any]]) -> Figure:
    """Gap with held-out gap, slope, sliced W1 with its floor and, if logged, bounds on W1, against generator steps."""
    bounded = [record for record in log if "w1_lower" in record]
    panels = 4 if bounded else 3
    figure = Figure(figsize=(13 / 3 * panels, 3.8), layout="constrained")
    gap, slope, sliced, *interval = figure.subplots(1, panels)
    _line(gap, log, "critic_gap", "training samples", color=REAL)
    _line(gap, log, "critic_gap_heldout", "held-out samples", color=GENERATED)
    gap.axhline(0, color="0.7", linewidth=0.8)
    gap.set(title="Critic gap  E f(real) - E f(fake)", ylabel="score units (no distance)")
    _line(slope, log, "slope_mean", "mean", color=REAL)
    _line(slope, log, "slope_max", "largest seen", color=GENERATED)
    slope.set(title="Critic slope between samples", ylabel="score per unit of input", ylim=(0, None))
    _line(sliced, log, "sliced_w1", "generated against held-out", color=GENERATED)
    floor = [record["sliced_w1_floor"] for record in log if "sliced_w1_floor" in record]
    if floor:
        sliced.axhline(floor[-1], color=REAL, linestyle="--", label="floor: training against held-out")
    values = [record["sliced_w1"] for record in log if record.get("sliced_w1", 0) > 0]
    if values and max(values) > 5 * min(values):
        sliced.set_yscale("log")
    sliced.set(title="Sliced W1 of the averaged generator", ylabel="model units")
    for axes in interval:
        steps, lower, upper = ([record[name] for record in bounded] for name in ("step", "w1_lower", "w1_upper"))
        axes.fill_between(steps, lower, upper, color=GENERATED, alpha=0.4, label="generated against held-out")
        axes.plot(steps, upper, color=GENERATED, linewidth=1, marker=".")
        axes.axhline(bounded[-1]["w1_floor"], color=REAL, linestyle="--", label="floor: training against held-out")
        axes.set(title="W1 of the samples, certain bounds", ylabel="model units")
    for axes in (gap, slope, sliced, *interval):
        axes.set_xlabel("generator steps")
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    return figure


def _line(axes: Axes, log: Sequence[Mapping[str, Any]], name: str, label: str, *, color: str) -> None:
    points = [(record["step"], record[name]) for record in log if name in record]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, color=color, marker="." if len(points) < 3 else None)


def lines_figure(distances: Sequence[Mapping[str, float]], trainings: Sequence[Mapping[str, Any]]) -> Figure:
    """Distances over θ; θ over the steps of a generator that starts away from its goal; the gradient it gets.

    Args:
        distances: at increasing θ: `theta`, `total_variation`, `js`, `w1`. KL is a note: it is infinite.
        trainings: one per objective: `objective`, and `theta` and `gradient` by step.
    """
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    over_theta, over_steps, gradients = figure.subplots(1, 3)
    for name, label in (("total_variation", "TV"), ("js", "JS"), ("w1", "W1")):
        # Only W1 is continuous: the others jump at 0, so they are drawn in points.
        style = "-" if name == "w1" else "."
        values = [row[name] for row in distances]
        over_theta.plot([row["theta"] for row in distances], values, style, label=label)
    over_theta.set(title="Distance between the lines", xlabel="θ", ylabel="distance")
    over_theta.text(0.02, 0.02, "KL = ∞ for θ ≠ 0", transform=over_theta.transAxes, fontsize=9)
    over_theta.legend(loc="lower right")
    for training in trainings:
        label, colour = _LINES_LABELS[training["objective"]], _LINES_COLOURS[training["objective"]]
        over_steps.plot(training["theta"], label=label, color=colour)
        gradients.plot(training["gradient"], label=label, color=colour)
    over_steps.axhline(0, color="0.7", linewidth=0.8)
    over_steps.set(title="Training the generator z ↦ (θ, z)", xlabel="generator step", ylabel="θ")
    over_steps.legend()
    gradients.set(title="Gradient that reaches θ", xlabel="generator step", ylabel="derivative of the loss in θ")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the suffix."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture atomically, in the format of the suffix."""
    with replacing(path) as temporary:
        picture.save(temporary)
