import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import StepPatch

from wassergan.plots import table_figure

NAMES = {"age": (), "job": ("clerk", "a level of a very long name", "co$t"), "score": ()}
NAN = np.nan
REAL = np.array([[20, 0, 1], [30, 0, 2], [40, 1, 3], [50, 2, NAN]], float)
MADE = np.array([[20, 0, 1], [20, NAN, 1], [50, 1, 3], [50, 1, 3]], float)


def test_bars_are_shares_of_levels_and_of_missing_values() -> None:
    axes = table_figure(NAMES, MADE, REAL).axes[1]
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "clerk", "a level o…ong name", r"co\$t", "(missing)",
    ]  # fmt: skip
    made, real = ([bar.get_width() for bar in bars] for bars in axes.containers)
    assert made == [0.25, 0.5, 0, 0.25]
    assert real == [0.5, 0.25, 0.25, 0]


def test_histograms_are_shares_of_all_rows_and_tell_what_is_missing() -> None:
    figure = table_figure(NAMES, MADE, REAL)
    for place, (made, real) in ((0, (1, 1)), (2, (1, 0.75))):
        axes = figure.axes[place]
        heights = [float(patch.get_data().values.sum()) for patch in axes.patches if isinstance(patch, StepPatch)]  # type: ignore[attr-defined]
        assert heights == pytest.approx([made, real])
    assert [line.get_label() for line in figure.axes[2].lines] == ["25.0% missing"]


def test_no_name_leaves_the_figure_or_lies_on_another_panel() -> None:
    names = {f"column {number}": ("an extremely long level", "b") for number in range(6)}
    figure = table_figure(names, np.zeros((5, 6)), np.ones((5, 6)))
    renderer = FigureCanvasAgg(figure).get_renderer()
    panels = [axes.get_window_extent(renderer) for axes in figure.axes if axes.axison]
    for axes in figure.axes:
        for text in axes.get_yticklabels() if axes.axison else []:
            box = text.get_window_extent(renderer)
            assert box.x0 >= 0 and box.y0 >= 0
            assert not any(box.overlaps(panel) for panel in panels)


LONG = ("c" * 200, "average monthly income of the household", "列" * 60, "a\tb" * 30, "$E=mc^2$" * 20, "<script>" * 9)


@pytest.mark.filterwarnings("ignore:Glyph .* missing from")
def test_titles_lie_on_no_other_and_in_the_figure() -> None:
    for levels in ((), ("an extremely long level", "b")):
        figure = table_figure({**dict.fromkeys(LONG, levels), "short": levels}, np.zeros((5, 7)), np.ones((5, 7)))
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [axes.title.get_window_extent(renderer) for axes in figure.axes if axes.axison]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
        texts = [axes.get_title() for axes in figure.axes]
        assert texts[1].startswith("average m") and texts[1].endswith("household") and texts[6] == "short"
        assert "\t" not in "".join(texts)


def test_a_column_without_values_says_so() -> None:
    figure = table_figure({"gone": (), "x": ()}, np.array([[NAN, 1.0], [NAN, 2.0]]))
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["no values"], []]


def test_only_numbers_leave_no_room_for_names() -> None:
    numbers = table_figure({"a": (), "b": ()}, MADE[:, [0, 2]])
    mixed = table_figure({"a": (), "b": ("one", "two" * 9)}, MADE[:, [0, 1]])
    assert numbers.axes[0].get_position().width > mixed.axes[0].get_position().width


def test_dates_are_written_under_their_axis() -> None:
    samples = np.column_stack([np.linspace(1000.0, 2000.0, 400), np.linspace(0.0, 1.0, 400)])
    figure = table_figure(
        {"when": (), "x": ()}, samples, dates={"when": lambda values: [f"day {v:.0f}" for v in values]}
    )
    dates, numbers = ([label.get_text() for label in axes.get_xticklabels()] for axes in figure.axes)
    low, high = np.quantile(samples[:, 0], [0.005, 0.995])
    assert dates == [f"day {low:.0f}", f"day {high:.0f}"]
    assert not any("day" in text for text in numbers)
    empty = table_figure({"when": ()}, np.full((3, 1), np.nan), dates={"when": lambda values: ["never", "ever"]})
    assert "never" not in [label.get_text() for label in empty.axes[0].get_xticklabels()]
