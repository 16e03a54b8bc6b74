import re
from collections.abc import Callable
from pathlib import Path

import pytest

from wassergan.errors import UserError
from wassergan.report import verdict, write_report
from wassergan.runfolder import run_summary
from wassergan.runs import write_run_report
from wassergan.training import read_log


def test_the_page_is_whole_and_loads_nothing_from_the_network(finished_run: Path, tmp_path: Path) -> None:
    path = write_run_report(finished_run, tmp_path / "page.html")
    page = path.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 2
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:|#)""", page)
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


def test_the_verdict_follows_the_ratio_to_the_floor() -> None:
    sentences = [verdict(value, 1.0) for value in (0.9, 1.25, 1.3, 2.0, 2.1, 4.0, 4.1, 100.0)]
    assert sentences[0] == sentences[1] != sentences[2] == sentences[3] != sentences[4] == sentences[5] != sentences[6]
    assert sentences[6] == sentences[7] == verdict(0.1, 0.0) and "far" in sentences[6]


def test_a_run_without_a_tick_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no tick to report. Train it for some steps first"):
        write_report({}, [], tmp_path, tmp_path / "page.html")


def test_the_verb_writes_it_and_names_a_missing_run(
    cli: Callable[..., object], refused: Callable[..., str], finished_run: Path, tmp_path: Path
) -> None:
    said = cli("report", finished_run, "--out", tmp_path / "page.html")
    assert said.code == 0 and said.out == f"Wrote {tmp_path / 'page.html'}\n"
    assert "There is no run in" in refused("report", tmp_path / "gone")
