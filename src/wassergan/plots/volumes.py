"""Volumes: slices, views from all around, and curves along the three axes."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wassergan.plots.common import COLOUR_MAP, GENERATED, REAL

VIEWS = 6  # of a turntable
TILT = 20  # degrees from which it is looked down on
LARGEST_SIDE = 64  # of a volume that is turned; larger ones are thinned out
AXES = ("depth", "height", "width")

Volumes = NDArray[np.float64]
Ends = tuple[float, float]


def slices_figure(generated: Volumes, real: Volumes | None, *, ends: Ends) -> Figure:
    """The middle slices of some volumes (n, D, H, W) along each axis: one row for each kind, three slices a volume.

    Args:
        generated: in the data's own units; NaN where a value is missing.
        real: the same, or None to leave them out.
        ends: values of the first and the last colour.
    """
    rows = [("generated", generated)] if real is None else [("real", real), ("generated", generated)]
    columns = 3 * max(len(each) for _, each in rows)
    figure = Figure(figsize=(1.25 * columns + 0.5, 1.5 * len(rows) + 0.4), layout="constrained")
    for (label, volumes), line in zip(rows, figure.subplots(len(rows), columns, squeeze=False), strict=True):
        for axes in line:
            axes.set_axis_off()
        for index, volume in enumerate(volumes):
            for axis in range(3):
                axes = line[3 * index + axis]
                middle = np.take(volume, volume.shape[axis] // 2, axis)
                axes.imshow(middle, cmap=COLOUR_MAP, vmin=ends[0], vmax=ends[1], interpolation="nearest")
                axes.set_title(f"{label}, across {AXES[axis]}" if index == 0 else AXES[axis], fontsize=6)
    return figure


def turntable_figure(generated: Volumes, real: Volumes | None, *, level: float) -> Figure:
    """Views of one volume (D, H, W) while it turns: the surface where values fall below a level, lit from the front.

    Args:
        generated: in the data's own units.
        real: a real one above it, or None.
        level: values below it are see-through; where nearly all are above, those above are.
    """
    rows = [("generated", generated)] if real is None else [("real", real), ("generated", generated)]
    figure = Figure(figsize=(1.5 * VIEWS, 1.6 * len(rows) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows), VIEWS, squeeze=False)
    first = rows[0][1]
    is_rare = bool(np.nanmean(first > level) <= 0.5)
    for (label, volume), line in zip(rows, grid, strict=True):
        shown = np.nan_to_num(volume, nan=level)
        for axes, view in zip(line, turned(shown > level if is_rare else shown <= level), strict=True):
            axes.imshow(view, cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
        line[0].set_title(label, fontsize=8)
    return figure


def turned(solid: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Pictures of a solid (D, H, W) from all around: brightness of its surface, 1 where there is none."""
    from scipy import ndimage  # takes a while to import

    step = max(1, -(-max(solid.shape) // LARGEST_SIDE))
    dense = solid[::step, ::step, ::step].astype(np.float32)
    side = max(dense.shape)
    room = int(np.ceil(side * 3**0.5)) + 2
    widths = [((room - own) // 2, room - own - (room - own) // 2) for own in dense.shape]
    box = np.pad(dense, widths)
    tilted = []
    for view in range(VIEWS):
        around = ndimage.rotate(box, 360 * view / VIEWS, axes=(1, 2), reshape=False, order=1)
        tilted.append(_lit(ndimage.rotate(around, TILT, axes=(0, 1), reshape=False, order=1)))
    return tilted


def _lit(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """The first surface that is met along the second axis, brighter where it faces the viewer, darker where far."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(box, 0.7)
    inside = smooth > 0.5
    depth = np.where(inside.any(1), inside.argmax(1), 0)
    rows, columns = np.indices(depth.shape)
    slopes = [each[rows, depth, columns] for each in np.gradient(smooth)]
    length = np.sqrt(sum(each**2 for each in slopes)) + 1e-6
    facing = np.clip(slopes[1] / length, 0, 1)
    light = 0.15 + 0.65 * facing + 0.2 * (1 - depth / box.shape[1])
    return np.where(inside.any(1), np.clip(light, 0, 1), 1.0)


def axes_figure(generated: Volumes, real: Volumes | None, *, across: str, up: str, first: int = 0) -> Figure:
    """Curves along the three axes, a panel for each.

    Args:
        generated: (3, K); NaN where a curve has ended.
        real: (3, K), or None.
        across: label of the horizontal axis.
        up: label of the vertical one.
        first: where the curves begin.
    """
    figure = Figure(figsize=(9.0, 2.8), layout="constrained")
    for index, axes in enumerate(figure.subplots(1, 3, squeeze=False, sharey=True)[0]):
        for values, colour, label in ((real, REAL, "real (held out)"), (generated, GENERATED, "generated")):
            if values is not None:
                places = np.arange(first, first + values.shape[1])
                axes.plot(places, values[index], color=colour, linewidth=1.5, label=label)
        axes.set_title(f"along {AXES[index]}", fontsize=9)
        axes.set_xlabel(across, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        if index == 0:
            axes.set_ylabel(up, fontsize=9)
            axes.legend(fontsize=8, frameon=False)
    return figure
