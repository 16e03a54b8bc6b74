"""A run over its steps, and the textbook example over θ."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wassergan.plots.common import GENERATED, REAL, SCALES
from wassergan.storage.tick_distance import LABELS, UNITS, logged_distance, scale_names

_LINES_LABELS = {"minimax": "objective of 2014", "wasserstein": "Wasserstein objective"}
_LINES_COLOURS = {"minimax": "tab:blue", "wasserstein": "tab:orange"}


def curves_figure(log: Sequence[Mapping[str, Any]]) -> Figure:
    """Gaps, gradient norm, distance with its floor and, if logged, W1 bounds, by generator step."""
    bounded = [record for record in log if "w1_lower" in record]
    panels = 4 if bounded else 3
    figure = Figure(figsize=(13 / 3 * panels, 3.8), layout="constrained")
    gap, norm, sliced, *interval = figure.subplots(1, panels)
    _line(gap, log, "critic_gap", "training samples", color=REAL)
    _line(gap, log, "critic_gap_heldout", "held-out samples", color=GENERATED)
    gap.axhline(0, color="0.7", linewidth=0.8)
    gap.set(title="Critic gap  E f(real) - E f(fake)", ylabel="score units (no distance)")
    _line(norm, log, "gradient_norm_mean", "mean", color=REAL)
    _line(norm, log, "gradient_norm_max", "largest seen", color=GENERATED)
    norm.set(title="Critic's gradient norm between samples", ylabel="score per unit of input", ylim=(0, None))
    name, scales = logged_distance(log), scale_names(log)
    _line(sliced, log, name, "mean over scales" if scales else "generated against held-out", color=GENERATED)
    for index, (scale, side) in enumerate(scales.items()):
        _line(sliced, log, scale, f"scale {side}", color=SCALES[index % len(SCALES)], alpha=0.8)
    floor = [record[f"{name}_floor"] for record in log if f"{name}_floor" in record]
    if floor:
        sliced.axhline(floor[-1], color=REAL, linestyle="--", label="floor: training against held-out")
    values = [record[each] for record in log for each in (name, *scales) if record.get(each, 0) > 0]
    if values and max(values) > 5 * min(values):
        sliced.set_yscale("log")
    sliced.set(title=f"{LABELS[name]} of the averaged generator", ylabel=UNITS[name])
    for axes in interval:
        steps, lower, upper = ([record[name] for record in bounded] for name in ("step", "w1_lower", "w1_upper"))
        axes.fill_between(steps, lower, upper, color=GENERATED, alpha=0.4, label="generated against held-out")
        axes.plot(steps, upper, color=GENERATED, linewidth=1, marker=".")
        axes.axhline(bounded[-1]["w1_floor"], color=REAL, linestyle="--", label="floor: training against held-out")
        axes.set(title="W1 of the samples, certain bounds", ylabel="model units")
    for axes in (gap, norm, sliced, *interval):
        axes.set_xlabel("generator steps")
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    return figure


def overlaid_figure(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Distance and held-out critic gap of several runs, against generator steps and against training time.

    Args:
        logs: the ticks of each run, by the run's name.
    """
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    panels = figure.subplots(1, 3)
    by_step, by_time, gaps = panels
    for index, (name, log) in enumerate(logs.items()):
        colour = f"C{index % 10}"
        distance = logged_distance(log)
        _line(by_step, log, distance, name, color=colour)
        _line(by_time, log, distance, name, color=colour, over="elapsed_seconds")
        _line(gaps, log, "critic_gap_heldout", name, color=colour)
        floor = [record[f"{distance}_floor"] for record in log if f"{distance}_floor" in record]
        for axes in (by_step, by_time) if floor else ():
            axes.axhline(floor[-1], color=colour, linestyle="--", linewidth=0.8)
    names = dict.fromkeys(logged_distance(log) for log in logs.values())
    title, unit = (" or ".join(words[name] for name in names) for words in (LABELS, UNITS))
    for axes in (by_step, by_time):
        axes.set(title=f"{title} (floors dashed)", ylabel=unit, yscale="log")
    gaps.set(title="Critic gap on held-out samples", ylabel="score units (no distance)")
    for axes, label in zip(panels, ("generator steps", "seconds of training", "generator steps"), strict=True):
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    by_step.legend(frameon=False)
    return figure


def _line(
    axes: Axes,
    log: Sequence[Mapping[str, Any]],
    name: str,
    label: str,
    *,
    color: str,
    over: str = "step",
    alpha: float = 1.0,
) -> None:
    points = [(record[over], record[name]) for record in log if name in record and over in record]
    if points:
        axes.plot(
            *zip(*points, strict=True), label=label, color=color, alpha=alpha, marker="." if len(points) < 3 else None
        )


def lines_figure(distances: Sequence[Mapping[str, float]], trainings: Sequence[Mapping[str, Any]]) -> Figure:
    """Distances over θ; θ over the steps of a generator that starts away from its target; the gradient that it gets.

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
