import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import wassergan
from wassergan.errors import UserError
from wassergan.report import write_report
from wassergan.report.assets import asset
from wassergan.report.page import PLOTTING_SCRIPT
from wassergan.runs.recorder import write_run_report
from wassergan.session.run_content import run_summary
from wassergan.storage.run_log import read_log


def test_the_page_is_whole_and_loads_nothing_from_the_network(finished_run: Path, tmp_path: Path) -> None:
    path = write_run_report(finished_run, tmp_path / "page.html")
    page = path.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 2
    ours = page.replace(asset(PLOTTING_SCRIPT), "")  # a browser opens all of it with the network cut, in its own test
    assert len(ours) < len(page) and not re.search(r"""(src|href)\s*=\s*["'](?!data:|#)""", ours)
    assert "default-src 'none'" in page
    summary = run_summary(finished_run)
    assert f"{summary['sliced_w1']:.4g}" in page and f"{summary['sliced_w1_floor']:.4g}" in page
    assert "not the final one" in page and "no distance" in page


def test_bounds_on_w1_stand_on_the_page_if_they_were_logged(finished_run: Path, tmp_path: Path) -> None:
    summary, log = run_summary(finished_run), read_log(finished_run / "log.jsonl")
    bounds = {"w1_lower": 1.2345, "w1_upper": 1.4567, "w1_floor": 0.8912}
    write_report(summary, log, finished_run, tmp_path / "without.html")
    write_report(summary, [*log, log[-1] | bounds, log[-1]], finished_run, tmp_path / "with.html")
    without, page = ((tmp_path / name).read_text(encoding="utf-8") for name in ("without.html", "with.html"))
    assert all(f"{value:.4g}" in page for value in bounds.values())
    assert "upper bound" in page and "upper bound" not in without


def test_a_critic_that_rested_is_not_on_the_page_and_the_likelihood_is(finished_run: Path, tmp_path: Path) -> None:
    summary, log = run_summary(finished_run), read_log(finished_run / "log.jsonl")
    alone = [{name: each for name, each in tick.items() if name != "critic_gap"} for tick in log]
    told = [alone[0], *(tick | {"negative_log_likelihood": 17.25} for tick in alone[1:])]
    told[-1] |= {"negative_log_likelihood_heldout": 18.125}
    write_report(summary, told, finished_run, tmp_path / "rested.html")
    write_report(summary, log, finished_run, tmp_path / "trained.html")
    rested, trained = ((tmp_path / name).read_text(encoding="utf-8") for name in ("rested.html", "trained.html"))
    assert "Critic gap" in trained and "gradient norm" in trained and "likelihood, " not in trained
    ours = rested.replace(asset(PLOTTING_SCRIPT), "")
    assert "Critic gap" not in ours and "gradient norm" not in ours
    assert "Negative log-likelihood, training samples" in ours and "17.25" in ours
    assert "Negative log-likelihood, held-out samples" in ours and "18.12" in ours


def test_before_an_evaluation_the_page_praises_nothing(finished_run: Path, tmp_path: Path) -> None:
    summary, log = run_summary(finished_run), read_log(finished_run / "log.jsonl")
    for name, value, level in (("near", 1.0, "undecided"), ("middling", 3.9, "undecided"), ("far", 4.1, "failed")):
        path = tmp_path / f"{name}.html"
        write_report(summary | {"sliced_w1": value, "sliced_w1_floor": 1.0}, log, finished_run, path)
        page = path.read_text(encoding="utf-8")
        assert f'class="verdict {level}" id="verdict"' in page, name
        assert ("Not judged yet: sliced W1 is" in page) == (level == "undecided")


def test_a_run_without_a_tick_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no tick to report. Train it for some steps first"):
        write_report({}, [], tmp_path, tmp_path / "page.html")


def test_the_verb_writes_it_and_names_a_missing_run(
    cli: Callable[..., Any], refused: Callable[..., str], finished_run: Path, tmp_path: Path
) -> None:
    said = cli("report", finished_run, "--out", tmp_path / "page.html")
    assert said.code == 0 and said.out == f"Wrote {tmp_path / 'page.html'}\n"
    assert "There is no run in" in refused("report", tmp_path / "gone")


def read(run: Path, path: Path) -> str:
    """The page of a run without Plotly's own text."""
    return write_run_report(run, path).read_text(encoding="utf-8").replace(asset(PLOTTING_SCRIPT), "")


def test_a_run_that_was_not_evaluated_says_how_to(finished_run: Path, tmp_path: Path) -> None:
    page = read(finished_run, tmp_path / "page.html")
    assert f"<code>wassergan evaluate {finished_run}</code>" in page and '<h2 id="copies-title">' not in page


def test_metrics_stand_beside_their_floors_and_under_their_protocol(judged_run: Path, tmp_path: Path) -> None:
    page = read(judged_run, tmp_path / "page.html")
    rows = {
        re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", row)).strip() for row in re.findall(r"<tr><th.*?</tr>", page, re.S)
    }
    assert {
        "Fréchet distance 1.25 0.75 lower is better pixels",
        "Kernel distance 0.0123 ± 0.0004 0.0011 ± 0.0002 lower is better",
        "Classifier AUC 0.61 - near the floor is best no floor here",
    } <= rows
    assert "360 generated samples (step 9, average weights, seed 0); 1437 training and 360 held-out samples" in page
    assert 'class="verdict failed" id="verdict">The generator repeats its training data.</p>' in page
    assert "A quarter of the samples are near copies." in page and "25.0 %" in page and "1.0 %" in page
    assert "no guarantee of privacy" in page and ">1234</td>" in page


def test_metrics_of_another_step_say_so(judged_run: Path, tmp_path: Path, write_metrics: Callable[..., None]) -> None:
    steps = run_summary(judged_run)["steps"]
    judged = json.loads((judged_run / "metrics.json").read_text(encoding="utf-8"))["protocol"]
    write_metrics(judged_run, protocol=judged | {"step": steps})
    assert 'id="stale"' not in read(judged_run, tmp_path / "page.html")
    write_metrics(judged_run, protocol=judged | {"step": steps + 1})
    assert f"Measured at step {steps + 1}; the run is at step {steps}." in read(judged_run, tmp_path / "page.html")


@pytest.mark.parametrize("level", ["good", "doubtful", "failed", "undecided"])
def test_the_colour_of_the_verdict_is_its_level(
    judged_run: Path, tmp_path: Path, write_metrics: Callable[..., None], level: str
) -> None:
    write_metrics(judged_run, verdict={"sentence": "All is told.", "flags": [], "level": level})
    assert f'class="verdict {level}" id="verdict">All is told.</p>' in read(judged_run, tmp_path / "page.html")


def test_an_older_evaluation_without_a_level_is_no_praise(
    judged_run: Path, tmp_path: Path, write_metrics: Callable[..., None]
) -> None:
    write_metrics(judged_run, verdict={"sentence": "All is well.", "flags": []})
    assert 'class="verdict undecided" id="verdict">All is well.</p>' in read(judged_run, tmp_path / "page.html")


def test_names_from_the_data_are_shown_and_not_run(
    judged_run: Path, tmp_path: Path, write_metrics: Callable[..., None]
) -> None:
    hostile = "</script><script>alert(1)</script>"
    write_metrics(judged_run, verdict={"sentence": hostile, "flags": []})
    summary, log = run_summary(judged_run), read_log(judged_run / "log.jsonl")
    write_report(summary | {"data": hostile, "run": hostile}, log, judged_run, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4


def test_a_table_s_page_has_both_anchors_its_columns_and_plain_words_on_privacy(
    judged_run: Path, tmp_path: Path, write_table_metrics: Callable[[Path, str], None]
) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    write_table_metrics(judged_run, hostile)
    page = read(judged_run, tmp_path / "page.html")
    assert hostile not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") >= 6
    assert '<th scope="col">Real</th><th scope="col">Independent</th>' in page and "Floor</th>" not in page
    assert page.count('<td class="number">0.99<span') == 3
    assert '<td class="number">0.25</td><td class="number">0.125</td><td class="number">50.00 %</td>' in page
    assert page.count('<figure class="panel">') == 1  # the other pair's picture is gone
    assert "association 0.75 among held-out rows, 0.50 among generated ones" in page
    assert "3.00 % of generated rows, 4.00 % of held-out ones" in page
    assert '<p id="privacy">It is no guarantee.</p>' in page and "SDMetrics: SDMetrics is missing." in page


def test_damaged_metrics_are_named(judged_run: Path, tmp_path: Path) -> None:
    (judged_run / "metrics.json").write_text('{"metrics": [', encoding="utf-8")
    with pytest.raises(UserError, match=r"metrics.json is no JSON: .*. Remove it, and write it anew"):
        write_run_report(judged_run, tmp_path / "page.html")


def test_a_long_run_shows_grids_from_first_to_last_within_the_room(judged_run: Path, tmp_path: Path) -> None:
    for step in range(1000, 1200):
        Image.new("RGB", (8, 8)).save(judged_run / "samples" / f"step-{step:09d}.png")
    page = read(judged_run, tmp_path / "page.html")
    grids = json.loads(re.search(r'id="grids">(.*?)</script>', page, re.S)[1])
    assert len(grids) == 48 and [grids[0]["step"], grids[-1]["step"]] == [0, 1199]
    assert [grid["step"] for grid in grids] == sorted(grid["step"] for grid in grids)
    for path in (judged_run / "samples").glob("*.png"):
        with path.open("ab") as file:
            file.write(bytes(2**18))  # a quarter of a mebibyte each: 8 have room
    grids = json.loads(re.search(r'id="grids">(.*?)</script>', read(judged_run, tmp_path / "page.html"), re.S)[1])
    assert len(grids) == 7 and [grids[0]["step"], grids[-1]["step"]] == [0, 1199]


def test_the_plotting_script_is_small_and_the_last_grid_is_there_once(judged_run: Path, tmp_path: Path) -> None:
    assert len(asset(PLOTTING_SCRIPT).encode()) <= 1_200_000
    page = read(judged_run, tmp_path / "page.html")
    pictures = re.findall(r"data:image/png;base64,([\w+/=]+)", page)
    assert len(pictures) == len(set(pictures)) == 4  # three grids and the near copies


def test_settings_and_environment_stand_on_the_page(finished_run: Path, tmp_path: Path) -> None:
    page = read(finished_run, tmp_path / "page.html")
    facts = json.loads((finished_run / "environment.json").read_text(encoding="utf-8"))
    assert facts["torch"] == torch.__version__ and facts["wassergan"] == wassergan.__version__
    rows = re.findall(r'<th scope="row">(.*?)</th><td class="free">(.*?)</td>', page)
    assert ("torch", facts["torch"]) in rows and ("batch_size", "8") in rows


@pytest.mark.parametrize(
    ("data", "name"),
    [("digits", "digits"), ("/home/me/secret/people.csv", "people.csv"), ("photos/", "photos"), ("/", "/")],
)
def test_a_page_is_headed_by_the_name_of_the_data_and_not_by_its_place(
    finished_run: Path, tmp_path: Path, data: str, name: str
) -> None:
    summary, log = run_summary(finished_run), read_log(finished_run / "log.jsonl")
    write_report(summary | {"data": data}, log, finished_run, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<title>{name} - " in page and f">{name}</h1>" in page
