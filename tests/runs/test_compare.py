import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wassergan.cli.main import main
from wassergan.errors import UserError
from wassergan.runs.compare import compare_runs

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def two(tmp_path: Path, finished_run: Path, points_file: Path, tiny: tuple[str, ...]) -> list[Path]:
    """Two runs on the same points that differ in their constraint."""
    shutil.copytree(finished_run, tmp_path / "a")
    flags = ["--out", str(tmp_path / "b"), "--steps", "5", "--constraint", "gp", *tiny]
    assert main(["train", str(points_file), *flags]) == 0
    return [tmp_path / "a", tmp_path / "b"]


def evaluation(run: Path, values: dict[str, tuple[float, float, str]], *, step: int = 5, **protocol: Any) -> None:
    facts = {"features": "pixels", "generated": 20, "step": step, "checkpoint": "latest", "seed": 0} | protocol
    rows = [
        {"name": name, "label": name.title(), "value": value, "error": None, "floor": floor, "better": better}
        for name, (value, floor, better) in values.items()
    ]
    content = {"protocol": facts, "metrics": rows, "verdict": {"sentence": "", "flags": ["far"]}}
    (run / "metrics.json").write_text(json.dumps(content))


def test_without_evaluations_the_last_ticks_are_compared(two: list[Path]) -> None:
    result = compare_runs(two)
    assert result["source"] == "summary" and result["warnings"] == []
    (row,) = result["rows"]
    logged = [json.loads((run / "log.jsonl").read_text().splitlines()[-1])["sliced_w1"] for run in two]
    assert row["values"] == logged and row["best"] == logged.index(min(logged))
    assert result["settings"]["constraint"] == ["lp", "gp"]
    assert "batch_size" not in result["settings"] and "data" not in result["settings"]


def test_the_best_is_the_lowest_the_highest_or_the_nearest_to_the_floor(two: list[Path]) -> None:
    first = {"a": (1.0, 0.5, "lower"), "b": (0.3, 0.9, "higher"), "c": (1.4, 1.0, "near_floor"), "d": (1, 1, "lower")}
    second = {"a": (2.0, 0.5, "lower"), "b": (0.4, 0.9, "higher"), "c": (0.7, 1.0, "near_floor"), "d": (1, 1, "lower")}
    evaluation(two[0], first)
    evaluation(two[1], second | {"only-here": (1.0, 1.0, "lower")})
    result = compare_runs(two)
    assert result["source"] == "metrics" and result["warnings"] == []
    assert {row["name"]: row["best"] for row in result["rows"]} == {"a": 0, "b": 1, "c": 1, "d": None}


def test_other_protocols_are_no_comparison(two: list[Path]) -> None:
    evaluation(two[0], {"a": (1.0, 0.5, "lower")})
    evaluation(two[1], {"a": (2.0, 0.5, "lower")}, generated=30, features="random-conv")
    result = compare_runs(two)
    assert result["warnings"] == [
        "The protocols differ in features (pixels, random-conv): such numbers are not comparable.",
        "The protocols differ in generated (20, 30): such numbers are not comparable.",
    ]
    assert result["rows"][0]["best"] is None


def test_what_is_missing_or_out_of_date_is_said(two: list[Path], picture_run: Path) -> None:
    evaluation(two[0], {"a": (1.0, 0.5, "lower")}, step=3)
    result = compare_runs(two)
    assert result["source"] == "summary"
    assert result["warnings"] == [
        f"Not evaluated, so only the last ticks are compared: {two[1]}.",
        f"{two[0]} was evaluated at step 3 and has gone on to step 5.",
    ]
    others = compare_runs([two[1], picture_run])
    assert others["warnings"] == ["The runs were trained on different data: such numbers are not comparable."]
    assert others["rows"][0]["best"] is None


@pytest.mark.parametrize("text", ["{", "[]", '{"protocol": {}}', '{"protocol": {"step": 1}, "metrics": []}'])
def test_damaged_evaluations_are_refused(two: list[Path], text: str) -> None:
    (two[0] / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=r"metrics.json is damaged: .* Write it anew: wassergan evaluate"):
        compare_runs(two)


def test_a_table_and_curves(cli: Callable[..., Any], two: list[Path], tmp_path: Path) -> None:
    evaluation(two[0], {"frechet": (1.0, 0.5, "lower")})
    evaluation(two[1], {"frechet": (2.0, 0.5, "lower")})
    said = cli("compare", *two, "--out", tmp_path / "both")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == f"[1] {two[0]}" and "* 1" in next(line for line in lines if line.startswith("Frechet"))
    assert any(line.split() == ["constraint", "lp", "gp"] for line in lines)
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "comparison.json",
        "comparison.txt",
        "curves.png",
    ]
    said = cli("compare", *two, "--out", tmp_path / "c.png", "--json")
    assert json.loads(said.out)["source"] == "metrics" and (tmp_path / "c.png").exists()


def test_warnings_go_to_standard_error(cli: Callable[..., Any], two: list[Path]) -> None:
    evaluation(two[0], {"frechet": (1.0, 0.5, "lower")})
    assert "Warning: Not evaluated" in cli("compare", *two).err


def test_wrong_requests(refused: Callable[..., str], two: list[Path], tmp_path: Path) -> None:
    assert refused("compare", two[0]).startswith("A comparison needs at least two runs: 1.")
    assert refused("compare", two[0], tmp_path / "gone").startswith("There is no run in")
    assert refused("compare", *two, "--out", "a.gif").startswith("Curves are drawn into a .png or a folder: 'a.gif'")
    assert "Missing argument" in refused("compare")
