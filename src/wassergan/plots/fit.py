"""What a fit has learnt, in one figure: samples, and the course of the training."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from wassergan.plots.common import GENERATED, REAL
from wassergan.storage.tick_distance import LABELS, UNITS, logged_distance


class ShownFigure(Figure):
    """A figure that notebooks show inline, whether pyplot was imported or not."""

    def _repr_png_(self) -> bytes:
        with io.BytesIO() as content:
            self.savefig(content, format="png", dpi=110)
            return content.getvalue()


def fit_figure(picture: Image.Image, log: Sequence[Mapping[str, Any]], *, title: str) -> ShownFigure:
    """Samples on the left; on the right the distance from held-out samples with its floor, and the critic's gap.

    Args:
        picture: of samples.
        log: records of ticks.
        title: over the samples.
    """
    figure = ShownFigure(figsize=(11, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.2, 1))
    samples = figure.add_subplot(grid[:, 0])
    pixels = picture.convert("RGB")
    samples.imshow(pixels, interpolation="nearest" if max(pixels.size) < 400 else None)
    samples.set_axis_off()
    samples.set_title(title)
    distance, gap = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    _distance(distance, log)
    _gap(gap, log)
    for axes in (distance, gap):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("generator steps")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize="small")
    return figure


def _distance(axes: Axes, log: Sequence[Mapping[str, Any]]) -> None:
    name = logged_distance(log)
    steps, values = _points(log, name)
    axes.plot(steps, values, color=GENERATED, marker=".", label="generated against held-out")
    floors = [record[f"{name}_floor"] for record in log if record.get(f"{name}_floor") is not None]
    if floors:
        axes.axhline(floors[-1], color=REAL, linestyle="--", label="floor: training against held-out")
    if values and min(values) > 0 and max(values) > 5 * min(values):
        axes.set_yscale("log")
    axes.set(title=f"{LABELS[name]} ({UNITS[name]})")


def _gap(axes: Axes, log: Sequence[Mapping[str, Any]]) -> None:
    for name, label, colour in (("critic_gap", "training", REAL), ("critic_gap_heldout", "held-out", GENERATED)):
        axes.plot(*_points(log, name), color=colour, marker=".", label=label)
    axes.axhline(0, color="0.7", linewidth=0.8)
    axes.set(title="Critic gap (score units, no distance)")


def _points(log: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    found = [(record["step"], record[name]) for record in log if record.get(name) is not None]
    return [step for step, _ in found], [value for _, value in found]
