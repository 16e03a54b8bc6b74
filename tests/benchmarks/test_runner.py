import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from wassergan.benchmarks import Effort, Row, Translation, cones, markdown, read_rows, run
from wassergan.benchmarks.runner import direction
from wassergan.benchmarks.table import chosen, read_published
from wassergan.errors import UserError

TINY = Effort(steps=3, batch_size=64, test_count=500)


class Linear(nn.Module):
    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, points: Tensor) -> Tensor:
        return points @ self.slope


def row(**more: object) -> Row:
    plain = Row(
        pair="funnels-2-4",
        solver="atoms",
        seed=0,
        effort=asdict(TINY),
        w1=2.0,
        w1_error=0.0,
        gap=1.8,
        constant=1.0,
        estimate=1.8,
        standard_error=0.01,
        deviation=-10.0,
        lower=1.7,
        lower_deviation=-15.0,
        valid=True,
        heuristic=None,
        validation=1.8,
        cosine=0.9,
        l2=0.2,
        slope_max=1.0,
        steps=3,
        seconds=1.0,
        parameters=5,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def test_rows_hold_what_they_say_and_the_file_resumes(tmp_path: Path) -> None:
    path, told = tmp_path / "w1.json", []
    first = run(["cones"], ["atoms", "gp"], 1, TINY, path, told=told.append)
    assert [each.solver for each in first] == ["atoms", "gp"] and told == first
    assert read_rows(path) == first
    for each in first:
        assert each.w1 == 1 and each.valid and each.lower <= 1
        assert each.deviation == pytest.approx(100 * (each.estimate - 1))
        assert each.lower_deviation == pytest.approx(100 * (each.lower - 1))
    assert first[0].constant == 1 and first[0].heuristic is None and first[0].estimate == first[0].gap
    assert first[1].constant > 1 and first[1].estimate == first[1].gap != first[1].heuristic
    told.clear()
    again = run(["cones"], ["atoms", "gp"], 1, TINY, path, told=told.append)
    assert again == first and told == []
    more = run(["cones"], ["atoms"], 2, TINY, path, told=told.append)
    assert more[0] == first[0] and told == [more[1]] and more[1].seed == 1
    other = run(["cones"], ["atoms"], 1, replace(TINY, steps=4), path)
    assert other[0].effort["steps"] == 4 and len(read_rows(path)) == 4


def test_equal_seeds_give_equal_rows(tmp_path: Path) -> None:
    rows = [run(["cones"], ["atoms"], 1, TINY, tmp_path / f"{i}.json")[0] for i in range(2)]
    assert replace(rows[0], seconds=0.0) == replace(rows[1], seconds=0.0)


def test_directions_are_compared_with_the_true_ones() -> None:
    pair = Translation(torch.tensor([3.0, 4.0]))
    points = pair.gauge(50, rng=torch.Generator().manual_seed(0))
    # f* has slope (0.6, 0.8); a critic along (1, 0) has cosine 0.6 and distance² 0.16 + 0.64.
    cosine, l2 = direction(Linear(torch.tensor([1.0, 0.0], dtype=torch.float64)), pair, points)
    assert cosine == pytest.approx(0.6) and l2 == pytest.approx(0.8)
    cosine, l2 = direction(Linear(torch.tensor([1.2, 1.6], dtype=torch.float64)), pair, points)
    assert cosine == pytest.approx(1) and l2 == pytest.approx(1)
    assert cones().gauge(5, rng=torch.Generator().manual_seed(0)).shape == (5, 2)


@pytest.mark.parametrize("text", ["not json", "[1]", '[{"pair": "cones"}]'])
def test_a_foreign_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w1.json"
    path.write_text(text)
    with pytest.raises(UserError, match="holds no rows of this benchmark"):
        read_rows(path)


def test_the_choice_is_by_validation_and_needs_all_families() -> None:
    rows = [
        row(solver="atoms", validation=1.0, lower=0.9),
        row(solver="orthogonal", validation=1.1, lower=0.8),
        row(solver="atoms", seed=1),
        row(solver="gp", validation=9.0),
    ]
    (best,) = chosen(rows, ("atoms", "orthogonal"), "chosen")
    assert (best.solver, best.lower, best.seed) == ("chosen", 0.8, 0)


def test_the_table_shows_means_and_spreads_over_seeds() -> None:
    rows = [row(), row(seed=1, deviation=-20.0, lower_deviation=-25.0, valid=False, cosine=0.7)]
    text = markdown(rows)
    # Mean and standard deviation of -10 and -20: -15 ± 7.07.
    assert "| funnels-2-4 | atoms | 2 | 2.0000 | -15.0 ± 7.1 | -20.0 ± 7.1 | 1 of 2 | 0.800 ± 0.141 |" in text
    assert "| atoms | 1 | 15.0 | 20.0 | 20.0 |" in text
    assert "published" not in text


def test_the_published_numbers_stand_beside(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    values = {"gradient_penalty": 0.85, "lipschitz_penalty": 0.8, "orthogonal_fullsort": 0.7, "max_min": 0.99}
    lines = [f"cosine,2,4,{name},{value}" for name, value in values.items()]
    path.write_text("\n".join(["metric,dim,funnels,solver,value", *lines]) + "\n")
    text = markdown([row(), row(solver="gp", cosine=0.5), row(pair="cones")], path)
    assert "| funnels-2-4 | atoms | 0.900 | 0.850 | yes |" in text
    assert "| funnels-2-4 | gp | 0.500 | 0.850 | no |" in text
    assert "At least the best published cosine: 1 of 2 rows." in text
    with pytest.raises(UserError, match="holds no published results"):
        read_published(tmp_path / "absent.csv")


def test_the_published_file_of_the_paper_is_read(shared_data: Path) -> None:
    path = shared_data / "w1_benchmark" / "published.csv"
    if not path.is_file():
        pytest.skip("the published results are not there")
    values = read_published(path)
    assert values[("cosine", 2, 4, "gradient_penalty")] == 0.845
    assert len(values) == 952 - 28 + 28


def test_rows_are_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "w1.json"
    run(["cones"], ["atoms"], 1, TINY, path)
    (content,) = json.loads(path.read_text())
    assert content["pair"] == "cones" and math.isfinite(content["lower"])
