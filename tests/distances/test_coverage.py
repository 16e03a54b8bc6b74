"""A small edition of benchmarks/coverage.py: bounds on distributions hold as often as they say, cell by cell."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
RUNS = 100


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("coverage_of_bounds", SCRIPT)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)
    return module


FAMILIES = ("flag 1 %", "coin", "lognormal(0, 2)", "Pareto(1.5)", "t(2)", "0.5 % at 1000", "counts", "normal 4")
CELLS = [
    (kind, name, shift, n, m)
    for kind in ("scores", "sorted")
    for name in FAMILIES
    for shift in (0, 1)
    for n, m in ((8, 8), (40, 400), (400, 40), (100, 100))
    if kind == "scores" or shift == 0
]


def test_bounds_lie_above_the_truth_no_more_often_than_stated(coverage):
    families = coverage.lines() | coverage.spaces()
    failed, welch_failed, close = [], 0, []
    for place, (kind, name, shift, n, m) in enumerate(CELLS):
        pair = families[name][shift]
        rng = np.random.default_rng(place)
        for confidence, record in coverage.score_cells(name, pair, n, m, RUNS, rng, kind == "sorted"):
            if coverage.excess(record["above"], RUNS, confidence) < 1e-3 / (4 * len(CELLS)):
                failed.append((kind, name, shift, n, m, confidence, record))
            welch_failed += coverage.excess(record["welch_above"], RUNS, confidence) < 1e-3 / (4 * len(CELLS))
    for confidence, record in coverage.score_cells("coin", families["coin"][2], 400, 400, RUNS, rng, False):
        close.append((confidence, record["share"]))
    assert not failed
    assert welch_failed > 5  # the simulation sees a bound that fails
    assert all(share > 0.7 for _, share in close)  # and the bounds say something


@pytest.mark.parametrize("name", ["flag 5 %", "coin", "lognormal(0, 1)", "Pareto(1.5)", "counts", "0.5 % at 1000"])
def test_the_truths_are_those_of_large_samples(coverage, name):
    rng = np.random.default_rng(0)
    for pair in coverage.lines()[name]:
        x, y = (np.sort(side(rng, 400_000)) for side in (pair.real, pair.fake))
        rough = 0.25 if name == "Pareto(1.5)" else 0.1
        sampled = np.abs(x - y).mean()
        assert sampled == pytest.approx(pair.w1, rel=rough, abs=0.1)
        assert (pair.sign * (x - y)).mean() == pytest.approx(pair.w1, rel=rough, abs=0.1)


def test_cells_are_kept_and_the_page_counts_them(coverage, tmp_path):
    path, page = tmp_path / "coverage.json", tmp_path / "coverage.md"
    asked = ["--runs", "8", "--only", "coin|2|8|8", "--json", str(path), "--page", str(page)]
    coverage.main(asked)
    first = path.read_text()
    assert set(json.loads(first)) == {"scores|coin|2|8|8|8", "interval|coin|2|8|8|2"}
    coverage.main(asked)
    assert path.read_text() == first
    text = page.read_text()
    assert "The claim holds: of 5 cells with 34 bounds in all" in text
    known = json.loads(first)
    known["scores|coin|2|8|8|8"]["0.999"]["above"] = 8
    assert "The claim FAILS" in coverage.page(known)
