from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from wassergan.plots import PairColumn, save_figure, table_pairs_figure

NAN = float("nan")
COLUMNS = [PairColumn("x$y"), PairColumn("z"), PairColumn("job$", ("a$", "b", "c")), PairColumn("sex", ("f", "m"))]


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, float)


REAL = rows((0, 0, 0, 0), (1, 1, 0, 0), (2, 2, 1, 1), (3, 3, NAN, 1))
MADE = rows((0, 0, 0, 0), (1, NAN, 0, 1), (NAN, 2, 1, 1), (3, 3, 1, 1))


def panels(figure: Figure) -> list:  # type: ignore[type-arg]
    return [axes for part in figure.subfigs for axes in part.axes if axes.get_label() != "<colorbar>"]


def test_two_categories_are_shares_and_differences_in_points() -> None:
    left, right = panels(table_pairs_figure(COLUMNS, [(2, 3)], MADE, REAL))
    assert (left.get_title(), right.get_title()) == ("real, % of rows", "generated less real, points")
    # Levels in the order of their frequency among real rows: a, b, c, others; sexes f, m. Drawn with jobs across.
    shares = left.images[0].get_array().T
    np.testing.assert_allclose(shares, [[50, 0], [0, 25], [0, 0], [0, 25]])
    np.testing.assert_allclose(right.images[0].get_array().T, [[-25, 25], [0, 25], [0, 0], [0, -25]])
    names = [label.get_text() for label in left.get_xticklabels()]
    assert names == [r"a\$", "b", "c", "others"] and right.images[0].get_clim() == (-25, 25)


def test_a_number_by_levels_has_its_quartiles_on_one_scale() -> None:
    left, right = panels(table_pairs_figure(COLUMNS, [(3, 0)], MADE, REAL))
    assert [label.get_text() for label in left.get_yticklabels()] == ["f", "m"]
    assert left.get_xlim() == right.get_xlim()
    medians = [line.get_xdata()[0] for line in left.lines if len(set(line.get_xdata())) == 1]
    assert {0.5, 2.5} <= {round(float(each), 3) for each in medians}


def test_two_numbers_are_maps_of_shares_on_one_scale_without_what_is_missing(numbers: np.random.Generator) -> None:
    real = numbers.uniform(size=(4000, 4))
    made = real.copy()
    made[:2000, 0] = NAN
    left, right = panels(table_pairs_figure(COLUMNS, [(0, 1)], made, real))
    shares = [np.asarray(axes.collections[0].get_array()) ** 2 for axes in (left, right)]
    # Cells hold the roots of shares; a half of a per cent is cut off at each end of either axis.
    assert [each.sum() for each in shares] == pytest.approx([0.98, 0.98], abs=0.01)
    assert left.collections[0].get_clim() == right.collections[0].get_clim()
    assert left.collections[0].get_clim()[1] ** 2 == pytest.approx(max(each.max() for each in shares))


def test_dates_are_written_at_the_ends_of_their_axes() -> None:
    when = PairColumn("when", (), lambda values: [f"day {value:.0f}" for value in values])
    columns = [PairColumn("x"), when, PairColumn("sex", ("f", "m"))]
    table = np.column_stack([np.linspace(0, 1, 401), np.linspace(1000, 2000, 401), np.arange(401) % 2])
    for pair, side in (((1, 0), "x"), ((0, 1), "y"), ((2, 1), "x")):
        for axes in panels(table_pairs_figure(columns, [pair], table, table)):
            said = [label.get_text() for label in getattr(axes, f"get_{side}ticklabels")()]
            assert len(said) == 2 and said[0] < "day 1100" and said[1] > "day 1900"
            other = axes.get_yticklabels() if side == "x" else axes.get_xticklabels()
            assert not any("day" in label.get_text() for label in other)


def test_long_names_are_told_apart_in_a_title() -> None:
    columns = [PairColumn("c" * 200 + "1"), PairColumn("c" * 200 + " 2")]
    (cell,) = table_pairs_figure(columns, [(0, 1)], MADE[:, :2], REAL[:, :2]).subfigs
    first, second = cell.get_suptitle().split(" and ")
    assert len(first) <= 34 >= len(second) and first.endswith("c1") and second.endswith("c 2")


def test_every_kind_is_written_with_and_without_real_rows(tmp_path: Path) -> None:
    pairs = [(0, 1), (2, 0), (2, 3)]
    for name, real in (("both", REAL), ("alone", None)):
        save_figure(table_pairs_figure(COLUMNS, pairs, MADE, real), tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
