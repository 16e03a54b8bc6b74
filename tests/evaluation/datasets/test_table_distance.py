"""Distances of tables: columns by name, levels by text, a metric that is one, and each column by itself."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from wassergan.data import schema_of
from wassergan.data.tables.common_columns import CommonColumn
from wassergan.errors import UserError
from wassergan.evaluation.datasets import ColumnDistance, GroundMetric, table_column_distances, table_distance

LEVELS = ("red", "blue", "green", "ünder, \"score\"")  # fmt: skip


def saved(folder: Path, name: str, **columns: object) -> str:
    path = folder / name
    pd.DataFrame(columns).to_csv(path, index=False)
    return str(path)


def made(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Numbers, levels and dates, of which some are missing."""
    return pd.DataFrame(
        {
            "size": np.where(rng.random(n) < 0.1, np.nan, rng.normal(50, 10, n).round(2)),
            "colour": np.where(rng.random(n) < 0.1, None, rng.choice(LEVELS, n)),  # type: ignore[call-overload]
            "since": [f"2024-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in rng.integers(0, 300, n)],
            "weight": rng.lognormal(size=n).round(3),
        }
    )


def by_definition(a: pd.DataFrame, b: pd.DataFrame, *, weight: float, missing: float) -> np.ndarray:
    """Distances of all pairs of rows, from the definition: no coordinates."""

    def of_numbers(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        there = x[~np.isnan(x)]
        scale, centre = there.std(), np.sort(there)[len(there) // 2]
        apart = np.abs(x[:, None] - y) / scale
        for gone, other, axis in ((np.isnan(x), y, 0), (np.isnan(y), x, 1)):
            far = np.hypot(missing, (other - centre) / scale)
            at = gone[:, None] & ~np.isnan(y) if axis == 0 else ~np.isnan(x)[:, None] & gone
            apart = np.where(at, far[None, :] if axis == 0 else far[:, None], apart)
        return np.where(np.isnan(x)[:, None] & np.isnan(y), 0.0, apart)

    parts = []
    for name in a:
        if name == "colour":
            one, other = (each[name].fillna("missing").to_numpy() for each in (a, b))
            parts.append(weight * (one[:, None] != other))
        else:
            days = [pd.to_datetime(each[name]) if name == "since" else each[name] for each in (a, b)]
            values = [(each - pd.Timestamp(0)) / pd.Timedelta(days=1) if name == "since" else each for each in days]
            parts.append(of_numbers(*(each.to_numpy(float) for each in values)))
    return np.sqrt(sum(part**2 for part in parts))


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_is_that_of_an_assignment_in_the_metric_as_it_is_defined(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    a, b = made(rng, 30), made(rng, 30)
    costs = by_definition(a, b, weight=2.0, missing=0.5)
    expected = costs[linear_sum_assignment(costs)].mean()
    a.to_csv(tmp_path / "a.csv", index=False)
    b[["weight", "since", "colour", "size"]].to_csv(tmp_path / "b.csv", index=False)
    found = table_distance(tmp_path / "a.csv", tmp_path / "b.csv", category_weight=2.0, missing_weight=0.5)
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert found.lower <= found.value <= found.upper
    a.to_parquet(tmp_path / "a.parquet")
    assert table_distance(a, tmp_path / "b.csv", category_weight=2.0, missing_weight=0.5).value == found.value
    assert table_distance(tmp_path / "a.parquet", b, category_weight=2.0, missing_weight=0.5).value == found.value


def test_all_levels_are_equally_far(tmp_path: Path) -> None:
    red = saved(tmp_path, "red.csv", colour=["red"] * 40)
    others = [saved(tmp_path, f"{each}.csv", colour=["red"] * 30 + [each] * 10) for each in ("blue", "green", "amber")]
    assert [table_distance(red, other).value for other in others] == [0.25] * 3
    cities = [saved(tmp_path, f"{k}.csv", city=list(each) * 20) for k, each in enumerate((("A", "B"), ("B", "C")))]
    assert table_distance(*cities).value == pytest.approx(0.5)


def test_levels_of_files_of_two_kinds_are_matched_by_their_text(tmp_path: Path) -> None:
    here = pd.DataFrame({"city": ["A", "B"] * 20})
    assert table_distance(here, saved(tmp_path, "b.csv", city=["B", "C"] * 20)).value == pytest.approx(0.5)
    assert table_distance(here, saved(tmp_path, "a.csv", city=["B", "A"] * 20)).value == pytest.approx(0)


def test_two_tables_of_one_name_are_told_apart() -> None:
    with pytest.raises(
        UserError, match=r"different columns: x in the DataFrame \(A\) alone and y in the DataFrame \(B\)"
    ):
        table_distance(pd.DataFrame({"x": [1.0]}), pd.DataFrame({"y": [1.0]}))


values = st.floats(-1e6, 1e6).map(lambda value: round(value, 3)) | st.just(np.nan)
rows = st.lists(st.tuples(values, st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan])), min_size=1, max_size=6)


def columns_of(x: list[tuple[float, float]], y: list[tuple[float, float]]) -> list[CommonColumn]:
    one, other = (np.array(each, float).reshape(-1, 2) for each in (x, y))
    return [
        CommonColumn("v", "number", one[:, 0], other[:, 0]),
        CommonColumn("c", "category", one[:, 1], other[:, 1], "", LEVELS),
    ]


@settings(max_examples=150, deadline=None)
@given(rows, rows, st.sampled_from(["std", "iqr", "range", "none"]), st.floats(0.1, 9), st.floats(0.1, 9))
def test_the_ground_metric_is_a_metric(
    x: list[tuple[float, float]], y: list[tuple[float, float]], scale: str, weight: float, missing: float
) -> None:
    columns = columns_of(x, y)
    metric = GroundMetric.of(columns, scale=scale, category_weight=weight, missing_weight=missing)
    one, other = metric.embed(columns)
    points, values = np.concatenate([one, other]), np.array([*x, *y], float)
    apart = np.sqrt(((points[:, None] - points) ** 2).sum(-1))
    assert (apart <= (apart[:, :, None] + apart[None]).min(1) * (1 + 1e-9) + 1e-9).all()
    numbers, levels = values.T
    for i in range(len(values)):
        for j in range(len(values)):
            same = str(levels[i]) == str(levels[j])
            if np.isnan(numbers[i]) and np.isnan(numbers[j]):
                along = 0.0
            elif np.isnan(numbers[i]) or np.isnan(numbers[j]):
                there = numbers[i] if np.isnan(numbers[j]) else numbers[j]
                along = np.hypot(missing, (there - metric.columns[0].centre) / metric.columns[0].scale)
            else:
                along = abs(numbers[i] - numbers[j]) / metric.columns[0].scale
            assert apart[i, j] == pytest.approx(np.hypot(along, 0 if same else weight), rel=1e-9, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_rows_and_columns_and_names_of_levels_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = (made(rng, n) for n in rng.integers(2, 25, 3))
    for each in (a, b, c):
        each.loc[0, ["size", "colour"]] = [50.0, "red"]  # single columns may not be empty throughout
    value = table_distance(a, b).value
    shuffled = b.sample(frac=1, random_state=seed % 99)[list(rng.permutation(list(b)))]
    assert table_distance(a, shuffled).value == pytest.approx(value, rel=1e-9)
    names = dict(zip(LEVELS, rng.permutation([f"level {k}" for k in range(len(LEVELS))]), strict=True))
    renamed = [each.assign(colour=each["colour"].map(names)) for each in (a, b)]
    assert table_distance(*renamed).value == pytest.approx(value, rel=1e-9)
    own = {"scale": "none", "columns": ["size", "colour", "since", "weight"]}
    there, back = table_distance(a, b, **own).value, table_distance(b, a, **own).value  # type: ignore[arg-type]
    if not any(each["size"].isna().any() for each in (a, b, c)):  # missing numbers lie beside the median of the first
        assert there == pytest.approx(back, rel=1e-9)
        assert there <= (table_distance(a, c, **own).value + table_distance(c, b, **own).value) * (1 + 1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_each_column_by_itself_is_what_scipy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = made(rng, 60), made(rng, 45)
    found = {each.name: each for each in table_column_distances(a, b, category_weight=3.0)}
    for name in ("size", "weight"):
        x, y = (each[name].dropna() for each in (a, b))
        own = wasserstein_distance(x, y)
        assert found[name].w1 == pytest.approx(own)
        gone = abs(a[name].isna().mean() - b[name].isna().mean())
        assert found[name].scaled == pytest.approx(own / x.std(ddof=0) + gone)
    shares = [each["colour"].fillna("gone").value_counts(normalize=True) for each in (a, b)]
    variation = shares[0].sub(shares[1], fill_value=0).abs().sum() / 2
    assert (found["colour"].w1, found["colour"].scaled) == pytest.approx((variation, 3 * variation))
    days = [(pd.to_datetime(each["since"]) - pd.Timestamp(0)) / pd.Timedelta(days=1) for each in (a, b)]
    assert (found["since"].unit, found["since"].w1) == ("days", pytest.approx(wasserstein_distance(*days)))  # type: ignore[comparison-overlap]
    assert [each.scaled for each in found.values()] == sorted((each.scaled for each in found.values()), reverse=True)


def test_a_column_without_values_in_one_table_has_no_distance_of_values() -> None:
    a, b = pd.DataFrame({"v": [1.0, 3.0], "w": [1.0, 2.0]}), pd.DataFrame({"v": [np.nan, np.nan], "w": [1.0, 2.0]})
    expected = ColumnDistance("v", "number", None, "", 1.0, 1.0, 0.0, 1.0)
    assert table_column_distances(a, b)[0] == expected
    # The median of the first, 3, is the centre: 0 and 2 deviations from it, 1 beside.
    assert table_distance(a, b, columns=["v"]).value == pytest.approx((1 + np.hypot(1, 2)) / 2)


def test_columns_that_only_one_table_has_are_named(tmp_path: Path) -> None:
    a = saved(tmp_path, "a.csv", x=[1.5, 2.5], y=[1, 2], only=["p", "q"])
    b = saved(tmp_path, "b.csv", y=[1, 2], x=[1.5, 2.5], more=["p", "q"])
    with pytest.raises(
        UserError, match=r"a.csv and b.csv have different columns: only in a.csv alone and more in b.csv"
    ):
        table_distance(a, b)
    assert table_distance(a, b, columns=["y", "x"]).value == pytest.approx(0, abs=1e-12)
    with pytest.raises(UserError, match="Unknown column of b.csv: 'only'"):
        table_distance(a, b, columns=["only"])


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([1.5, 2.5] * 20, ["a", "b"] * 20, "a category such as 'a' against a number such as '1.5'"),
        (["2024-01-05", "2024-02-07"] * 20, ["a", "b"] * 20, "a category such as 'a' against a date"),
        ([1.5, 2.5] * 20, ["2024-01-05", "2024-02-07"] * 20, "a date such as '2024-01-05' against a number"),
        (["10 kg", "20 kg"] * 20, ["10 g", "20 g"] * 20, "has other units in b.csv than in a.csv: g against kg"),
    ],
)
def test_columns_of_another_kind_are_refused(x: list[object], y: list[object], words: str, tmp_path: Path) -> None:
    files = [saved(tmp_path, name, v=each) for name, each in (("a.csv", x), ("b.csv", y))]
    with pytest.raises(UserError, match="^Column v .*" + words):
        table_distance(*files)


def test_the_schema_says_the_kind_of_both(tmp_path: Path) -> None:
    files = [saved(tmp_path, f"{k}.csv", v=[1, 2, 3, k] * 5) for k in (4, 9)]
    as_category = table_distance(*files, schema=schema_of({"columns": {"v": "category"}}))
    assert as_category.value == pytest.approx(0.25)
    assert as_category.metric.columns[0].kind == "category"


def test_both_files_are_read_by_one_decision(tmp_path: Path) -> None:
    """What one file leaves open the other decides: 01/02 is the first of February where 13/02 is a date."""
    days = [f"{day:02d}/02/2024" for day in range(1, 29)]
    a, b = (saved(tmp_path, name, d=each) for name, each in (("a.csv", days), ("b.csv", days[:12])))
    assert table_column_distances(a, b)[0].w1 == pytest.approx(wasserstein_distance(range(28), range(12)))
    codes = [
        saved(tmp_path, f"{k}.csv", zip=each * 20) for k, each in enumerate((["01234", "10115"], ["10115", "20115"]))
    ]
    assert table_column_distances(*codes)[0] == ColumnDistance("zip", "category", 0.5, "share", 0.5, 1.0, 0.0, 0.0)
    other = saved(tmp_path, "c.csv", d=[day.replace("/", ".") for day in days])
    assert table_distance(a, other).value == pytest.approx(0, abs=1e-12)


def test_identifiers_are_left_out_and_said_unless_they_are_named() -> None:
    a, b = (pd.DataFrame({"id": np.arange(k, k + 50), "v": np.sin(np.arange(50.0))}) for k in (0, 7))
    said: list[str] = []
    assert table_distance(a, b, log=said.append).value == pytest.approx(0, abs=1e-12)
    assert any("Left out column id" in sentence for sentence in said)
    assert table_distance(a, b, columns=["id"], scale="none").value == pytest.approx(7)
    with pytest.raises(UserError, match="No column of .* can be compared"):
        table_distance(a[["id"]], b[["id"]])


@pytest.mark.parametrize("scale", ["std", "iqr", "range", "none"])
def test_constant_columns_and_single_rows_are_data(scale: str) -> None:
    one, two = pd.DataFrame({"v": [3.0], "c": ["a"]}), pd.DataFrame({"v": [3.0], "c": ["b"]})
    assert table_distance(one, one, scale=scale).value == 0
    assert table_distance(one, two, scale=scale).value == pytest.approx(1)
    many = pd.DataFrame({"v": [3.0] * 30, "c": ["a"] * 30})
    shifted = many.assign(v=5.0)
    # The standard deviation of 3 and 5, thirty times each, is 1.
    assert table_distance(many, shifted, scale=scale).value == pytest.approx(2)


def test_scales_are_those_of_the_first_table() -> None:
    x, y = np.arange(11.0) ** 2, np.arange(11.0) ** 2 + 6
    for scale, unit in (("std", x.std()), ("iqr", 57.5 - 6.5 + 1.5), ("range", 100), ("none", 1)):
        unit = np.subtract(*np.percentile(x, [75, 25])) if scale == "iqr" else unit
        found = table_distance(pd.DataFrame({"v": x}), pd.DataFrame({"v": y}), scale=scale)
        assert found.value == pytest.approx(6 / unit)
    with pytest.raises(UserError, match="Unknown scale: 'stdd'. Did you mean 'std'"):
        table_distance(pd.DataFrame({"v": x}), pd.DataFrame({"v": y}), scale="stdd")
    for weight in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(UserError, match="A weight must be a finite number above 0"):
            table_distance(pd.DataFrame({"v": x}), pd.DataFrame({"v": y}), category_weight=weight)


def test_numbers_of_any_size_are_compared() -> None:
    for largest in (1e-300, 1e150, 1e300):
        a, b = pd.DataFrame({"v": [0.0, largest, largest / 3]}), pd.DataFrame({"v": [0.0, largest / 3, largest / 3]})
        expected = wasserstein_distance([0, 1, 1 / 3], [0, 1 / 3, 1 / 3]) / np.std([0, 1, 1 / 3])
        assert table_distance(a, b).value == pytest.approx(expected)
        assert table_column_distances(a, b)[0].scaled == pytest.approx(expected)
    with pytest.raises(UserError, match="too many rows and levels to be compared as a whole"):
        wide = CommonColumn("c", "category", np.arange(5e4), np.arange(5e4))
        GroundMetric.of([wide]).embed([wide])


SPELLINGS = {
    "python": ("False", "True"),
    "r": ("FALSE", "TRUE"),
    "lower": ("false", "true"),
    "words": ("no", "Yes"),
    "letters": ("N", "Y"),
    "short": ("f", "t"),
    "switch": ("off", "on"),
    "digits": ("0", "1"),
    "floats": ("0.0", "1.0"),
}


@pytest.mark.parametrize("one", SPELLINGS)
@pytest.mark.parametrize("other", SPELLINGS)
def test_truth_values_are_the_same_however_they_are_written(one: str, other: str, tmp_path: Path) -> None:
    flags = np.arange(40) % 3 == 0
    a, b = (
        saved(tmp_path, f"{k}.csv", ok=[SPELLINGS[each][int(flag)] for flag in flags])
        for k, each in enumerate((one, other))
    )
    for source in (a, pd.DataFrame({"ok": flags})):
        told: list[str] = []
        same = table_distance(source, b, log=told.append)
        assert (same.lower, same.upper) == (0, 0)
        (column,) = table_column_distances(source, b)
        assert column.scaled == 0
    turned = saved(tmp_path, "turned.csv", ok=[SPELLINGS[other][int(not flag)] for flag in flags])
    if {one, other} - {"digits", "floats"}:
        assert table_distance(a, turned).value == pytest.approx(12 / 40)  # 14 of 40 are true, then 26


def test_levels_that_only_look_like_truth_values_are_left_alone(tmp_path: Path) -> None:
    # Nobody says what a lone letter is, nor what 0 is beside blue.
    letters = [saved(tmp_path, f"{k}.csv", grade=[each] * 20) for k, each in enumerate("ty")]
    assert table_distance(*letters).value == pytest.approx(1)
    mixed = saved(tmp_path, "mixed.csv", grade=["yes", "no", "perhaps"] * 10)
    told: list[str] = []
    assert table_distance(
        saved(tmp_path, "c.csv", grade=["True", "False"] * 10), mixed, log=told.append
    ).value == pytest.approx(1)
    assert any("no level of c.csv, such as" in each for each in told)


def test_levels_without_one_in_common_are_told(tmp_path: Path) -> None:
    a = saved(tmp_path, "a.csv", city=["Aachen", "Bonn"] * 10)
    b = saved(tmp_path, "b.csv", city=["AACHEN", "BONN"] * 10)
    told: list[str] = []
    assert table_distance(a, b, log=told.append).value == pytest.approx(1)
    assert told == ["Column city: no level of a.csv, such as 'Aachen', is one of b.csv, such as 'AACHEN'."]
    told.clear()
    table_distance(a, a, log=told.append)
    assert told == []


@pytest.mark.parametrize("scale", ["std", "iqr", "range", "none"])
def test_the_same_rows_are_at_distance_0_whatever_they_come_in(scale: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = made(rng, 60)
    table["flag"] = rng.random(60) < 0.5
    table["since"] = pd.to_datetime(table["since"])
    turned = table.sample(frac=1, random_state=0)[table.columns[::-1]]
    table.to_csv(tmp_path / "a.csv", index=False)
    turned.to_csv(tmp_path / "b.csv", index=False, sep=";", decimal=",", date_format="%d.%m.%Y", encoding="utf-16")
    turned.to_parquet(tmp_path / "b.parquet")
    doubled = pd.concat([turned, table])
    for other in (tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "b.parquet", turned, doubled):
        found = table_distance(tmp_path / "a.csv", other, scale=scale)
        assert (found.lower, found.value, found.upper) == (0, 0, 0)
