import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_quick_mode_gives_valid_bounds_a_table_and_resumes(cli: Callable[..., Any], tmp_path: Path) -> None:
    flags = ("--pairs", "quick", "--steps", "40", "--test-count", "8192", "--out", tmp_path / "w1.json", "--json")
    said = cli("benchmark", "w1", *flags)
    assert said.code == 0
    rows = json.loads(said.out)
    assert len(rows) == 9 and {row["pair"] for row in rows} == {"funnels-2-4", "funnels-16-16", "cones"}
    for row in rows:
        assert row["valid"] and row["constant"] <= 1.0001
        assert row["slope_max"] <= row["constant"] * (1 + 1e-9)
        assert 0 < row["lower"] <= row["w1"]
    assert said.err.count(" W1 ") == 9 and "NOT VALID" not in said.err
    table = (tmp_path / "w1.md").read_text()
    assert table.startswith("| pair | solver |") and "chosen: atoms, orthogonal" in table
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
