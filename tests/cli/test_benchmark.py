import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wassergan.cli.main import main


@pytest.mark.slow
def test_quick_mode_gives_valid_bounds_a_table_and_resumes(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "wassergan.distances.critic_estimator.POOL", 2**12
    )  # the search for clusters takes most of the time
    flags = ("--pairs", "quick", "--steps", "8", "--test-count", "4096", "--out", tmp_path / "w1.json", "--json")
    said = cli("benchmark", "w1", *flags)
    assert said.code == 0
    rows = json.loads(said.out)
    assert len(rows) == 9 and {row["pair"] for row in rows} == {"funnels-2-4", "funnels-16-16", "cones"}
    for row in rows:
        assert row["valid"] and row["constant"] <= 1.0001
        assert row["gradient_norm_max"] <= row["constant"] * (1 + 1e-9)
        assert 0 < row["lower"] <= row["w1"]
    assert said.err.count(" W1 ") == 9 and "NOT VALID" not in said.err
    report = (tmp_path / "w1.md").read_text()
    assert "| funnels-2-4 | estimator, fixed atoms | 1 |" in report and "| cones | estimator, all | 1 |" in report
    assert "--pairs quick --solvers atoms,learned-atoms,orthogonal --seeds 1 --steps 8 --test-count 4096" in report
    assert cli("benchmark", "table", tmp_path / "w1.json").out == report
    assert cli("benchmark", "table", tmp_path / "w1.json", "--out", tmp_path / "again.md").out == ""
    assert (tmp_path / "again.md").read_text() == report
    again = cli("benchmark", "w1", *flags)
    assert json.loads(again.out) == rows and " W1 " not in again.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--pairs", "cone"), "Unknown pair: 'cone'. Did you mean 'cones'?"),
        (("--solvers", "atom"), "Unknown family of critics: 'atom'. Did you mean 'atoms'?"),
        (("--steps", "0"), "Expected a whole number above 0: '0'."),
        (("--budget", "soon"), "A budget is a positive duration: 'soon'"),
        (("--out", "nowhere/w1.json"), "There is no folder for the results: 'nowhere'."),
    ],
)
def test_wrong_input_is_refused(
    refused: Callable[..., str], tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    out = () if "--out" in flags else ("--out", tmp_path / "w1.json")
    assert message in refused("benchmark", "w1", *flags, *out)


def test_a_report_needs_runs_and_a_folder(refused: Callable[..., str], tmp_path: Path) -> None:
    runs = tmp_path / "w1.json"
    assert "There are no runs to report" in refused("benchmark", "table", runs)
    row = ("--pairs", "cones", "--solvers", "atoms", "--steps", "2", "--test-count", "100", "--out", runs)
    main([str(each) for each in ("benchmark", "w1", *row)])
    assert "There is no folder for the report: 'nowhere'" in refused(
        "benchmark", "table", runs, "--out", "nowhere/w1.md"
    )
    missing = tmp_path / "absent.csv"
    assert "holds no published results" in refused("benchmark", "table", runs, "--published", missing)
