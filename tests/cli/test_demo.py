import json

import pytest

from wassergan.cli.main import main

pytestmark = pytest.mark.usefixtures("real_figures")


@pytest.fixture
def quick(monkeypatch):
    """The demo with short trainings; the long ones are tested with the mathematics."""
    from functools import partial

    from wassergan.distances import parallel_lines as lines

    monkeypatch.setattr(lines, "train_on_lines", partial(lines.train_on_lines, steps=2, warm_up=50))


def test_lines_in_text_and_picture(quick, tmp_path, capsys):
    assert main(["demo", "lines", "--out", str(tmp_path / "lines.png")]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["-0.50", "1.0000", "∞", "0.6931", "0.5000", "0.0000", "0.0000", "-1.0000"] in table
    assert ["0.00", "0.0000", "0.0000", "0.0000", "0.0000", "-", "-", "0.0000"] in table
    assert ["1.00", "1.0000", "∞", "0.6931", "1.0000", "0.0000", "0.0000", "1.0000"] in table
    assert (tmp_path / "lines.png").read_bytes().startswith(b"\x89PNG")


def test_lines_in_json(quick, tmp_path, capsys):
    assert main(["demo", "lines", "--json", "--out", str(tmp_path / "lines.svg")]) == 0
    facts = json.loads(capsys.readouterr().out)
    rows = {row["theta"]: row for row in facts["distances"]}
    assert rows[0.25]["w1"] == pytest.approx(0.25)
    assert rows[0.25]["kl"] == "inf"
    assert rows[0.0]["js_slope"] is None
    assert [t["objective"] for t in facts["trainings"]] == ["minimax", "wasserstein"]
    assert "<svg" in (tmp_path / "lines.svg").read_text()


@pytest.mark.parametrize(
    ("out", "message"),
    [("lines.txt", "The figure is a .png, .svg or .pdf file"), ("none/lines.png", "There is no folder for the figure")],
)
def test_a_figure_that_cannot_be_is_refused(out, message, tmp_path, capsys):
    assert main(["demo", "lines", "--out", str(tmp_path / out)]) == 2
    assert message in capsys.readouterr().err


def test_the_figure_shows_what_it_says():
    from wassergan.plots import lines_figure

    rows = [{"theta": t, "total_variation": float(t != 0), "js": 0.6931 * (t != 0), "w1": abs(t)} for t in (-1, 0, 1)]
    trainings = [
        {"objective": name, "theta": [1.0, 0.5], "gradient": [1.0, g]}
        for name, g in (("minimax", 0.0), ("wasserstein", 1.0))
    ]
    distances, steps, gradients = lines_figure(rows, trainings).axes
    assert [line.get_label() for line in distances.lines] == ["TV", "JS", "W1"]
    assert list(distances.lines[2].get_ydata()) == [1, 0, 1]  # type: ignore[arg-type]
    assert list(steps.lines[0].get_ydata()) == [1.0, 0.5]  # type: ignore[arg-type]
    assert [list(line.get_ydata()) for line in gradients.lines] == [[1.0, 0.0], [1.0, 1.0]]  # type: ignore[arg-type]
