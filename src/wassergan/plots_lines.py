"""The figure of the two parallel lines."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

LABELS = {"minimax": "objective of 2014", "wasserstein": "Wasserstein objective"}
COLOURS = {"minimax": "tab:blue", "wasserstein": "tab:orange"}


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
        label, colour = LABELS[training["objective"]], COLOURS[training["objective"]]
        over_steps.plot(training["theta"], label=label, color=colour)
        gradients.plot(training["gradient"], label=label, color=colour)
    over_steps.axhline(0, color="0.7", linewidth=0.8)
    over_steps.set(title="Training the generator z ↦ (θ, z)", xlabel="generator step", ylabel="θ")
    over_steps.legend()
    gradients.set(title="Gradient that reaches θ", xlabel="generator step", ylabel="derivative of the loss in θ")
    return figure
