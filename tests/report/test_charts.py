from pathlib import Path

import wassergan.report
from wassergan.report.charts import charts_of

TICKS = [
    {"step": 0, "seconds": 0.0, "sliced_w1": 1.0, "sliced_w1_floor": 0.5,
     "gradient_norm_mean": 0.1, "gradient_norm_max": 0.2},
    {"step": 50, "seconds": 1.5, "sliced_w1": 0.6, "sliced_w1_floor": 0.5,
     "gradient_norm_mean": 0.9, "gradient_norm_max": 1.1,
     "critic_gap": 0.7, "critic_gap_heldout": 0.4, "w1_lower": 2.0, "w1_upper": 2.5, "w1_floor": 1.9},
    {"step": 100, "seconds": 3.0, "sliced_w1": 0.55, "sliced_w1_floor": 0.5,
     "gradient_norm_mean": 0.8, "gradient_norm_max": 1.0,
     "critic_gap": 0.6, "critic_gap_heldout": 0.3},
]  # fmt: skip


def test_each_line_has_the_ticks_that_logged_it() -> None:
    charts = {chart.name: chart for chart in charts_of(TICKS)}
    assert list(charts) == ["sliced", "interval", "gap", "slope"]
    assert charts["sliced"].series[0].steps == [0, 50, 100] and charts["sliced"].series[0].seconds == [0.0, 1.5, 3.0]
    assert [series.values for series in charts["gap"].series] == [[0.7, 0.6], [0.4, 0.3]]
    assert charts["gap"].series[1].steps == [50, 100]
    assert [series.values for series in charts["interval"].series] == [[2.0], [2.5], [1.9]]


def test_a_likelihood_has_a_chart_of_the_ticks_that_followed_it() -> None:
    log = [TICKS[0], TICKS[1] | {"negative_log_likelihood": 18.5}, TICKS[2] | {"negative_log_likelihood": 17.25}]
    (chart,) = (each for each in charts_of(log) if each.name == "likelihood")
    assert [(series.steps, series.values) for series in chart.series] == [([50, 100], [18.5, 17.25])]
    log[2] |= {"negative_log_likelihood_heldout": 18.0}
    (chart,) = (each for each in charts_of(log) if each.name == "likelihood")
    told = [(series.label, series.steps, series.values) for series in chart.series]
    assert told == [("training samples", [50, 100], [18.5, 17.25]), ("held-out samples", [100], [18.0])]


def test_a_critic_that_rested_has_no_curves() -> None:
    alone = [{name: each for name, each in tick.items() if name != "critic_gap"} for tick in TICKS]
    rested = [TICKS[0], *({**tick, "negative_log_likelihood": 18.5} for tick in alone[1:])]
    charts = {chart.name: chart for chart in charts_of(rested)}
    assert "gap" not in charts and "slope" not in charts  # the first tick, before any step, is no curve either
    then = {chart.name: chart for chart in charts_of([*rested, {**TICKS[2], "negative_log_likelihood": 18.0}])}
    assert then["gap"].series[0].steps == [100] and then["slope"].series[0].steps == [0, 100]


def test_a_chart_without_values_is_left_out() -> None:
    assert [chart.name for chart in charts_of(TICKS[:1])] == ["sliced", "slope"]
    assert charts_of([]) == []


def test_the_floor_is_dashed_and_the_interval_filled() -> None:
    sliced, interval, *_ = charts_of(TICKS)
    assert [series.dash for series in sliced.series] == [False, True]
    assert [series.filled for series in interval.series] == [False, True, False]


def test_the_scale_is_logarithmic_where_values_span_it() -> None:
    far = [TICKS[0] | {"sliced_w1": 5.6}, *TICKS[1:]]
    assert charts_of(far)[0].logarithmic and not charts_of(TICKS)[0].logarithmic
    at_zero = [TICKS[0] | {"sliced_w1": 0.0}, *far[1:]]
    assert not charts_of(at_zero)[0].logarithmic


def test_the_summary_tells_where_each_line_begins_and_ends() -> None:
    assert charts_of(TICKS)[0].summary == (
        "Sliced W1 of the averaged generator, in model units. generated against held-out: from 1 at step 0 to 0.55 at "
        "step 100; floor: training against held-out: from 0.5 at step 0 to 0.5 at step 100."
    )


def test_single_scales_have_tones_of_their_own_that_the_style_sheet_knows_in_both_themes() -> None:
    sides = {f"patch_sliced_w1_{side}": 0.3 for side in (128, 64, 32, 16, 8)}
    log = [
        {"step": step, "seconds": step, "patch_sliced_w1": 0.3, "patch_sliced_w1_floor": 0.1} | sides for step in (0, 9)
    ]
    tones = [series.tone for series in charts_of(log)[0].series]
    assert tones[0] == "generated" and tones[-1] == "real" and len(set(tones)) == len(tones) == 7
    sheet = (Path(wassergan.report.__file__).parent / "page.css").read_text()
    for tone in tones:
        colours = [part.split(";")[0].strip() for part in sheet.split(f"--{tone}:")[1:]]
        assert len(colours) == 3 and colours[1] == colours[2] != colours[0] and f".tone-{tone} " in sheet


def test_the_note_says_what_more_time_would_bring() -> None:
    log = [
        {"step": n, "seconds": n, "elapsed_seconds": 1.1**n, "sliced_w1": 0.1 + 1.1**-n, "sliced_w1_floor": 0.1}
        for n in range(40)
    ]
    assert "comes. The distance still falls: twice the time" in charts_of(log)[0].note
    assert charts_of(TICKS)[0].note.endswith("comes.")
