import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wassergan import UserError, WassersteinGAN
from wassergan.estimator.evaluation import FitEvaluation
from wassergan.plots import ShownFigure

pytestmark = pytest.mark.usefixtures("real_figures")

MARKUP = "<script>alert(1)</script>"


def people(count: int, seed: int, levels: str = "abc") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(size=count).round(3), MARKUP: rng.choice(list(levels), count)})


@pytest.fixture(scope="module")
def gan() -> WassersteinGAN:
    return WassersteinGAN(steps=6, batch_size=16, random_state=0).fit(people(160, 0))


@pytest.fixture(scope="module")
def vectors() -> WassersteinGAN:
    rows = np.random.default_rng(0).normal(size=(120, 2)).astype("float32")
    return WassersteinGAN(steps=4, batch_size=16, random_state=0).fit(rows)


@pytest.fixture(scope="module")
def own(gan: WassersteinGAN) -> FitEvaluation:
    return gan.evaluate(people(160, 0))


def test_own_rows_are_compared_with_those_that_were_held_out(gan: WassersteinGAN, own: FitEvaluation) -> None:
    protocol = own.result["protocol"]
    assert own.on_own_rows and (protocol["training"], protocol["heldout"]) == (144, 16)
    assert "144 training rows" in own.protocol and "Exact copies" in repr(own)


def test_the_score_and_the_evaluation_see_the_same_rows(vectors: WassersteinGAN) -> None:
    """Rows far away are far in both, in units of the fit's deviation."""
    far = np.random.default_rng(1).normal(size=(60, 2)).astype("float32") + 10
    found = vectors.evaluate(far)
    assert not found.on_own_rows and "far" in found.flags and found.level == "failed"
    expected = 10 * np.sqrt(2) * 2 / np.pi  # sliced W1 of a shift in the plane, in units of a deviation of 1
    assert found["sliced_w1"] == pytest.approx(expected, rel=0.25)
    assert -vectors.score(far) == pytest.approx(found["sliced_w1"], rel=0.1)


def test_other_rows_are_cut_into_halves_and_may_have_new_levels(gan: WassersteinGAN) -> None:
    found = gan.evaluate(people(80, 1, "abd"))
    protocol = found.result["protocol"]
    assert not found.on_own_rows and (protocol["training"], protocol["heldout"]) == (40, 40)
    assert "of the rows" in found.protocol and "`against`" not in found.verdict


def test_markup_in_names_is_shown_and_not_run(gan: WassersteinGAN, own: FitEvaluation) -> None:
    with sklearn.config_context(display="diagram"):
        shown = gan._repr_mimebundle_()["text/html"]
    # scikit-learn's own script is there; the name is not markup.
    assert "alert(1)" in shown and MARKUP not in shown
    html = own._repr_html_()
    assert html.count("<tr>") == len(own.metrics) + 1 and "<script" not in html
    assert own.verdict.split()[0] in html


def test_names_of_metrics_are_told_where_one_is_missing(own: FitEvaluation) -> None:
    assert own["sliced_w1"] >= 0
    with pytest.raises(KeyError, match="sliced_w1"):
        _ = own["nothing"]


def test_conventions_of_scikit_learn_hold(gan: WassersteinGAN) -> None:
    with sklearn.config_context(display="text"):
        assert not hasattr(gan, "_repr_html_") and "text/html" not in gan._repr_mimebundle_()
    with sklearn.config_context(display="diagram"):
        assert "learnt" not in WassersteinGAN()._repr_html_()
        assert "learnt" in gan._repr_html_() and "6, " in gan._repr_html_()
        assert "WassersteinGAN" in make_pipeline(StandardScaler(), gan)._repr_html_()
    assert repr(WassersteinGAN()) == "WassersteinGAN()"


def test_the_figure_is_shown_inline(gan: WassersteinGAN, vectors: WassersteinGAN) -> None:
    figure = gan.plot(people(20, 2))
    assert isinstance(figure, ShownFigure) and figure._repr_png_().startswith(b"\x89PNG")
    assert len(figure.axes) == 3 and "after 6 steps" in figure.axes[0].get_title()
    steps = figure.axes[1].lines[0].get_xdata()
    assert np.asarray(steps).tolist() == [record["step"] for record in gan.history_]
    assert "7 samples" in vectors.plot(count=7).axes[0].get_title()


def test_the_page_is_written_and_shown_in_a_frame_of_its_own(gan: WassersteinGAN, tmp_path: Path) -> None:
    found = gan.report(tmp_path / "page.html")
    assert found.path == tmp_path / "page.html" and found.path.read_text(encoding="utf-8") == found.html
    shown = found._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts"' in shown and shown.count("<") == 2
    assert "MB" in repr(found) and len(repr(found)) < 300
    assert gan.report().path is None


@pytest.mark.slow
def test_the_page_of_an_evaluation_has_its_metrics(gan: WassersteinGAN) -> None:
    page = gan.report(X=people(160, 0)).html
    assert "Kolmogorov distance of a number" in page and MARKUP not in page


def test_labels_are_wanted_where_there_were_some() -> None:
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(120, 2)), rng.integers(0, 2, 120)
    rows[:3, 0] = np.nan
    labelled = WassersteinGAN(steps=3, batch_size=16, random_state=0).fit(rows, labels)
    assert labelled.evaluate(rows, labels).on_own_rows
    assert not labelled.evaluate(rows[::-1], labels[::-1]).on_own_rows
    with pytest.raises(UserError, match="fitted with labels"):
        labelled.evaluate(rows)
    with pytest.raises(UserError, match="fitted with labels"):
        labelled.plot(rows)


def test_what_cannot_be_shown(gan: WassersteinGAN, vectors: WassersteinGAN, tmp_path: Path) -> None:
    new: Any = WassersteinGAN()
    for call in (new.plot, new.report, lambda: new.evaluate([[1.0, 2.0]])):
        with pytest.raises(NotFittedError):
            call()
    with pytest.raises((UserError, ValueError)):
        vectors.evaluate(np.zeros((40, 3), "float32"))
    with pytest.raises(UserError):
        vectors.evaluate(np.zeros((4, 2), "float32"))
    with pytest.raises(UserError, match="Judging needs 20 rows: 19. Evaluate it with more rows"):
        vectors.evaluate(np.random.default_rng(0).normal(size=(19, 2)).astype("float32"))
    with pytest.raises(UserError, match="no regular file"):
        (tmp_path / "folder.html").mkdir()
        gan.report(tmp_path / "folder.html")
    with pytest.raises(UserError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gan.evaluate(people(80, 1), count=0)
    with pytest.raises((UserError, ValueError)):
        gan.evaluate(people(80, 1).drop(columns="x"))


def test_an_estimator_that_was_not_fitted_says_so_in_a_line_of_a_notebook() -> None:
    with pytest.raises(NotFittedError) as caught:
        WassersteinGAN().sample(3)
    sentence = "This WassersteinGAN is not fitted yet. Call fit(X), or load a saved one: WassersteinGAN.load(path)."
    assert str(caught.value) == sentence and isinstance(caught.value, ValueError)
    assert caught.value._render_traceback_() == [f"NotFittedError: {sentence}"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("values", [["01.09.2017", "15.06.2019"], [1.0, 2.0]])
def test_a_single_column_is_no_table_and_the_hint_makes_it_one(library: str, values: list[Any]) -> None:
    column = pytest.importorskip(library).Series(values * 20)  # of no name, which polars keeps and from_arrow does not
    with pytest.raises(UserError) as caught:
        WassersteinGAN(steps=1).fit(column)
    assert str(caught.value) == (
        "X must be rows, not a single column: a Series of 40 values. Give a DataFrame: X.to_frame()."
    )
    frame = column.to_frame()
    assert list(WassersteinGAN(steps=1).fit(frame).sample(2).columns) == list(frame.columns)


@pytest.mark.parametrize("name", ["people.csv", Path("people.csv")])
def test_the_name_of_a_file_is_no_data_and_the_hint_says_what_is(name: str | Path) -> None:
    with pytest.raises(UserError, match=r"X must be rows, not the name of a file: .*Read the file first"):
        WassersteinGAN().fit(name)
