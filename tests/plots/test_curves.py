from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wassergan.plots import curves_figure, picture_grid, save_figure, save_picture, vector_figure

LOG = [
    {
        "step": 0,
        "critic_gap_heldout": 0.1,
        "gradient_norm_mean": 1.0,
        "gradient_norm_max": 2.0,
        "sliced_w1": 0.5,
        "sliced_w1_floor": 0.1,
    },
    {
        "step": 50,
        "critic_gap": 0.3,
        "critic_gap_heldout": 0.2,
        "gradient_norm_mean": 1.0,
        "gradient_norm_max": 2.0,
        "sliced_w1": 0.05,
        "sliced_w1_floor": 0.1,
    },
]


# Generator and sampling: grids normalised by their own min and max.
def test_a_sample_looks_the_same_in_every_grid() -> None:
    dim, bright = np.full((1, 60, 60), 10.0), np.full((1, 60, 60), 200.0)
    alone = np.asarray(picture_grid(dim, low=0, high=255, colours=False))
    beside = np.asarray(picture_grid(np.concatenate([dim, bright]), low=0, high=255, colours=False))
    assert (alone[2:62, 2:62] == 10).all() and (beside[2:62, 2:62] == 10).all() and (beside[2:62, 64:124] == 200).all()


def test_the_range_is_fixed_from_black_to_white_and_values_beyond_are_cut() -> None:
    values = np.array([-2.0, -1.0, 0.0, 1.0, 5.0])[:, None, None] * np.ones((5, 60, 60))
    sheet = np.asarray(picture_grid(values, low=-1, high=1, columns=5, colours=False))
    assert [int(sheet[10, 10 + 62 * i, 0]) for i in range(5)] == [0, 0, 128, 255, 255]


def test_small_fields_are_enlarged_cell_by_cell() -> None:
    values = np.arange(16.0).reshape(1, 4, 4)
    sheet = np.asarray(picture_grid(values, low=0, high=15, colours=True))[2:-2, 2:-2]
    cells = sheet.reshape(4, 14, 4, 14, 3)
    assert (cells == cells[:, :1, :, :1]).all() and len(np.unique(cells[:, 0, :, 0].reshape(16, 3), axis=0)) == 16


def test_small_pictures_are_enlarged_smoothly() -> None:
    ramp = np.tile(np.arange(8.0) * 28, (1, 8, 1))  # 28 levels per pixel, so 28/7 = 4 per enlarged pixel
    row = np.asarray(picture_grid(ramp, low=0, high=255, colours=False))[30, 2:-2, 0].astype(int)
    assert len(row) == 56
    # Cubic interpolation reproduces a straight line, away from the borders that its four points need.
    assert (np.abs(np.diff(row[14:-14]) - 4) <= 1).all()


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_are_shown_and_further_channels_left_out(channels: int) -> None:
    values = np.zeros((1, 60, 60, channels))
    values[..., 0] = 255
    pixel = np.asarray(picture_grid(values, low=0, high=255, colours=False))[10, 10].tolist()
    assert pixel == ([255, 255, 255] if channels == 2 else [255, 0, 0])


def test_fields_are_drawn_in_false_colours() -> None:
    sheet = np.asarray(picture_grid(np.array([[[0.0]], [[1.0]]]) * np.ones((2, 60, 60)), low=0, high=1, colours=True))
    assert sheet[10, 10].tolist() == [68, 1, 84] and sheet[10, 80].tolist() == [253, 231, 36]  # the ends of viridis


def test_pictures_fill_rows_of_a_square() -> None:
    sheet = picture_grid(np.zeros((5, 60, 60)), low=0, high=1, colours=False)
    assert sheet.size == (3 * 62 + 2, 2 * 62 + 2)
    assert (np.asarray(sheet)[64:, 126:] == 255).all()  # the empty place


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("features", [1, 2, 5, 17])
def test_vectors_become_a_scatter_or_histograms(features: int, real: bool) -> None:
    samples = np.random.default_rng(0).normal(size=(30, features))
    figure = vector_figure(samples, samples + 1 if real else None)
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == (1 if features == 2 else min(features, 16))
    labels = shown[0].get_legend_handles_labels()[1]
    assert sorted(set(labels)) == (["generated", "real"] if real else ["generated"])


def test_curves_show_gap_with_held_out_slope_and_sliced_w1_with_its_floor() -> None:
    figure = curves_figure(LOG)
    gap, slope, sliced = figure.axes
    assert [line.get_label() for line in gap.lines[:2]] == ["training samples", "held-out samples"]
    assert gap.lines[0].get_xydata().tolist() == [[50, 0.3]]
    assert gap.lines[1].get_xydata().tolist() == [[0, 0.1], [50, 0.2]]
    assert [line.get_label() for line in slope.lines] == ["mean", "largest seen"]
    assert "floor" in sliced.lines[1].get_label() and set(sliced.lines[1].get_ydata()) == {0.1}  # type: ignore[arg-type]
    assert sliced.get_yscale() == "log"
    assert "distance" not in gap.get_title() and "no distance" in gap.get_ylabel()


def test_bounds_on_w1_are_drawn_where_they_were_logged() -> None:
    log = [{"step": step} for step in range(5)]
    log[1] |= {"w1_lower": 2.0, "w1_upper": 2.5, "w1_floor": 0.5}  # type: ignore[dict-item]
    log[3] |= {"w1_lower": 1.0, "w1_upper": 1.2, "w1_floor": 0.5}  # type: ignore[dict-item]
    axes = curves_figure(log).axes[3]
    assert axes.lines[0].get_xydata().tolist() == [[1, 2.5], [3, 1.2]]
    corners = {tuple(corner) for corner in axes.collections[0].get_paths()[0].vertices.tolist()}
    assert {(1, 2.0), (1, 2.5), (3, 1.0), (3, 1.2)} <= corners
    assert set(axes.lines[1].get_ydata()) == {0.5}  # type: ignore[arg-type]


def test_an_empty_log_is_an_empty_figure() -> None:
    assert len(curves_figure([]).axes) == 3


def test_files_are_whole_pictures(tmp_path: Path) -> None:
    save_figure(curves_figure(LOG), tmp_path / "a.png")
    save_picture(picture_grid(np.zeros((1, 8, 8)), low=0, high=1, colours=False), tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / name) as picture:
            picture.load()
    assert len(list(tmp_path.iterdir())) == 2


def test_curves_of_several_runs_lie_over_each_other() -> None:
    from wassergan.plots import overlaid_figure

    ticks = [
        {"step": step, "elapsed_seconds": step / 10, "sliced_w1": 1 / step, "sliced_w1_floor": 0.1}
        for step in (1, 2, 3, 4)
    ]
    figure = overlaid_figure({"a": ticks, "b": ticks[:2], "empty": []})
    by_step, by_time, _gaps = figure.axes
    assert [list(line.get_xdata()) for line in by_step.lines if len(line.get_xdata()) > 2] == [[1, 2, 3, 4]]  # type: ignore[arg-type]
    assert [list(line.get_xdata()) for line in by_time.lines if len(line.get_xdata()) > 2] == [[0.1, 0.2, 0.3, 0.4]]  # type: ignore[arg-type]
    legend = by_step.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == ["a", "b"]
