import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch

from wassergan.plots import marginals_figure, pairs_figure, vector_figure


def rows(count: int, features: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, features))


def histograms(axes: Axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Heights and edges of each histogram, by label."""
    shown = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    return {str(patch.get_label()): (np.asarray(patch.get_data()[0]), patch.get_data()[1]) for patch in shown}


def areas(axes: Axes) -> dict[str, float]:
    """Area under each histogram, by label."""
    return {label: float(heights @ np.diff(edges)) for label, (heights, edges) in histograms(axes).items()}


@pytest.mark.parametrize("features", [1, 3, 18])
def test_marginals_show_both_laws_with_equal_area_under_names(features: int) -> None:
    names = [f"column {index}" for index in range(features)]
    figure = marginals_figure(rows(500, features), rows(90, features, seed=1), names=names)
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_xlabel() for axes in shown] == names[:16]
    for axes in shown:
        assert areas(axes) == pytest.approx({"generated": 1, "real (held out)": 1})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["real (held out)", "generated"]


def test_without_real_rows_generated_ones_stand_alone() -> None:
    for figure in (marginals_figure(rows(50, 2), None, names="ab"), pairs_figure(rows(50, 2), None, names="ab")):
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["generated"]
    assert [axes.axison for axes in figure.axes] == [True, True, False, True]


def test_an_outlier_does_not_press_the_others_together() -> None:
    samples = rows(10_000, 1)
    samples[0] = 1e6
    low, high = marginals_figure(samples, None, names="a").axes[0].get_xlim()
    assert -6 < low < -2.5 and 2.5 < high < 6


def test_few_whole_numbers_have_a_bar_each() -> None:
    samples = np.repeat([0.0, 1.0, 2.0, 5.0], [10, 20, 30, 40])[:, None]
    axes = marginals_figure(samples, samples, names="a").axes[0]
    heights, edges = histograms(axes)["real (held out)"]
    bars = {round(float(edge) + 0.5, 6): height for edge, height in zip(edges[:-1], heights, strict=True)}
    assert np.diff(edges).tolist() == [1] * len(heights)
    assert {centre: height for centre, height in bars.items() if height} == pytest.approx(
        {0: 0.1, 1: 0.2, 2: 0.3, 5: 0.4}
    )


def test_a_constant_feature_is_drawn() -> None:
    assert len(pairs_figure(np.full((20, 2), 0.3), np.full((20, 2), 0.3), names="ab").axes) == 4


def test_real_pairs_lie_below_the_diagonal_and_generated_ones_above_over_the_same_ranges() -> None:
    samples, real = rows(300, 3), rows(100, 3, seed=1) * [1, 5, 1]
    figure = pairs_figure(samples, real, names=["x", "y", "z"])
    grid = np.array(figure.axes).reshape(3, 3)
    for row, column in [(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]:
        points = np.asarray(grid[row, column].collections[0].get_offsets())
        # As many of each, so that densities can be compared.
        assert (points == (samples if row < column else real)[:100][:, [column, row]]).all()
        mirrored = grid[column, row]
        assert (
            grid[row, column].get_xlim() == mirrored.get_ylim() and grid[row, column].get_ylim() == mirrored.get_xlim()
        )
    assert [axes.get_xlabel() for axes in grid[2]] == [axes.get_ylabel() for axes in grid[:, 0]] == ["x", "y", "z"]
    wide, narrow = np.diff(grid[1, 1].get_xlim()), np.diff(grid[0, 0].get_xlim())
    assert wide > 3 * narrow
    assert len(pairs_figure(rows(30, 9), None, names="abcdefghi").axes) == 36


@pytest.mark.parametrize("value", [0.0, 3.0, -2.5, 1e17, 1e-300])
def test_values_that_are_all_alike_have_a_density(value: float) -> None:
    alike = np.full((30, 3), value)
    figures = (
        vector_figure(alike, None, names="abc"),
        vector_figure(alike, alike, names="abc"),
        marginals_figure(alike, alike, names="abc"),
    )
    for figure in figures:
        for axes in figure.axes[:3]:
            heights = [height for bars, _ in histograms(axes).values() for height in bars]
            assert heights and np.isfinite(heights).all() and max(heights) > 0
