import csv
import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from wassergan.data import TableCodec, codec_from_state, fix_conditions, open_source, schema_of
from wassergan.data.tables import write_table
from wassergan.data.tables.rules.grammar import parse_rules
from wassergan.data.tables.rules.integers import Contradiction, Inequality, plan_of
from wassergan.errors import UserError

Row = dict[str, str]
RNG = np.random.default_rng(0)


def written(path: Path, rows: list[Row]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def drawn(
    path: Path, rules: list[str], tmp_path: Path, *, count: int = 400, seed: int = 0, **options: Any
) -> list[Row]:
    """Rows that are decoded from vectors that no generator would give."""
    columns = options.pop("columns", {})
    source = open_source(path, schema=schema_of({"rules": rules, "columns": columns}), **options)
    codec = codec_from_state(source.codec.state())
    assert isinstance(codec, TableCodec)
    rng = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, codec.width, generator=rng) * torch.rand(count, 1, generator=rng) * 2
    known = None
    if source.context is not None:
        known = source.context.conditions(torch.arange(len(source))).rows(0, count, seed=seed)  # type: ignore[attr-defined]
    write_table(codec, [codec.decode_numpy(vectors, known, seed=seed)], tmp_path / "made.csv")
    real = source.values(torch.arange(len(source)))
    given = None if source.context is None else source.context.rows  # type: ignore[attr-defined]
    train = source.split.train_rows(torch.arange(source.train_count))
    back = codec.decode(codec.encode(real), given)[train]
    scale = (real.nan_to_num() - real.nan_to_num().mean(0)).abs().amax(0) + 1
    off = (back.nan_to_num(nan=-9e9) - real[train].nan_to_num(nan=-9e9)).abs() / scale
    assert off.max() < 0.02, [codec.columns[int(each)].name for each in torch.nonzero(off.amax(0) > 0.02)]
    return rows_of(tmp_path / "made.csv")


def number(row: Row, name: str) -> Decimal:
    return Decimal(row[name])


def day(row: Row, name: str) -> datetime.date:
    return datetime.date.fromisoformat(row[name])


def people(count: int = 300) -> list[Row]:
    """Rows of columns of which several rules hold."""
    made = []
    for _ in range(count):
        low, mid = Decimal(int(RNG.integers(0, 5000))) / 100, Decimal(int(RNG.integers(1, 900))) / 100
        high = low + mid + Decimal(int(RNG.integers(1, 900))) / 100
        a, b, c = (Decimal(int(each)) / 10 for each in RNG.integers(-200, 900, 3))
        start = datetime.date(2020, 1, 1) + datetime.timedelta(int(RNG.integers(0, 900)))
        days = int(RNG.integers(0, 60))
        country = str(RNG.choice(["DE", "FR", "US", "UK"]))
        kind = str(RNG.choice(["eco", "plus", "first"]))
        price = RNG.integers(10, 100) if kind == "eco" else RNG.integers(100, 300) if kind == "plus" else 500
        quantity, each = int(RNG.integers(1, 30)), Decimal(int(RNG.integers(50, 2000))) / 100
        ended = RNG.random() < 0.4
        born = int(RNG.integers(1930, 2010))
        made.append(
            {
                "low": f"{low:.2f}",
                "mid": f"{low + mid:.2f}",
                "high": f"{high:.2f}",
                "a": f"{a:.1f}",
                "b": f"{b:.1f}",
                "c": f"{c:.1f}",
                "total": f"{a + b - c:.1f}",
                "start": start.isoformat(),
                "end": (start + datetime.timedelta(days)).isoformat(),
                "days": str(days),
                "country": country,
                "cur": {"US": "USD", "UK": "GBP"}.get(country, "EUR"),
                "class": kind,
                "price": str(price),
                "state": "closed" if ended else "open",
                "ended": (start + datetime.timedelta(days + 3)).isoformat() if ended else "",
                "quantity": str(quantity),
                "each": f"{each:.2f}",
                "amount": f"{quantity * each:.2f}",
                "ratio": str(np.round(float(each) / quantity, 3)),
                "born": str(born),
                "age": str(2024 - born),
                "gross": str(np.round(float(each) * 1.19, 2)),
            }
        )
    return made


PEOPLE = people()
CHECKS: dict[str, Any] = {
    "low < mid < high": lambda row: number(row, "low") < number(row, "mid") < number(row, "high"),
    "high >= low + 0.02": lambda row: number(row, "high") >= number(row, "low") + Decimal("0.02"),
    "total = a + b - c": lambda row: number(row, "total") == number(row, "a") + number(row, "b") - number(row, "c"),
    "start <= end": lambda row: day(row, "start") <= day(row, "end"),
    "end <= start + 59": lambda row: (day(row, "end") - day(row, "start")).days <= 59,
    "days = end - start": lambda row: (day(row, "end") - day(row, "start")).days == int(row["days"]),
    "end <= ended": lambda row: not row["ended"] or day(row, "end") <= day(row, "ended"),
    "start >= '2020-01-01'": lambda row: row["start"] >= "2020-01-01",
    "country, cur": lambda row: (row["country"], row["cur"]) in {(each["country"], each["cur"]) for each in PEOPLE},
    "cur in ['EUR'] if country in ['DE', 'FR']": lambda row: row["country"] not in "DE FR" or row["cur"] == "EUR",
    "cur != 'EUR' if country == 'US'": lambda row: row["country"] != "US" or row["cur"] != "EUR",
    "price < 100 if class == 'eco'": lambda row: row["class"] != "eco" or int(row["price"]) < 100,
    "price >= 100 if class != 'eco'": lambda row: row["class"] == "eco" or int(row["price"]) >= 100,
    "ended missing iff state == 'open'": lambda row: (row["ended"] == "") == (row["state"] == "open"),
    "amount = quantity * each": lambda row: number(row, "amount") == int(row["quantity"]) * number(row, "each"),
    "ratio = each / quantity": lambda row: (
        abs(float(row["each"]) / int(row["quantity"]) - float(row["ratio"])) <= 0.0005 + 1e-9
    ),
    "age = 2024 - born": lambda row: int(row["age"]) == 2024 - int(row["born"]),
    "gross = 1.19 * each": lambda row: abs(float(row["each"]) * 1.19 - float(row["gross"])) <= 0.005 + 1e-9,
}


def within_bounds(rows: list[Row], rules: list[str]) -> None:
    """Numbers stay in the range and in the form of the data, levels among those that there are."""
    for name in PEOPLE[0]:
        there = [each[name] for each in PEOPLE if each[name]]
        made = [row[name] for row in rows if row[name]]
        if name in ("country", "cur", "class", "state"):
            assert set(made) <= set(there)
            continue
        shapes = {each.partition(".")[2].__len__() for each in there}
        assert {each.partition(".")[2].__len__() for each in made} <= shapes, name
        key: Any = str if "-" in there[0][1:] else float
        assert min(map(key, there)) <= min(map(key, made)) and max(map(key, made)) <= max(map(key, there)), name


@settings(
    max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_row_breaks_any_rules_however_they_are_combined(tmp_path: Path, data: st.DataObject) -> None:
    rules = data.draw(st.lists(st.sampled_from(sorted(CHECKS)), min_size=1, max_size=8, unique=True))
    path = written(tmp_path / "a.csv", PEOPLE)
    made = drawn(path, rules, tmp_path, seed=data.draw(st.integers(0, 99)))
    for rule in rules:
        broken = [row for row in made if not CHECKS[rule](row)]
        assert not broken, (rule, len(broken), broken[0])
    within_bounds(made, rules)


@pytest.mark.parametrize(
    "condition",
    [
        ["high"],
        ["total"],
        ["total", "a"],
        ["days"],
        ["end"],
        ["cur"],
        ["price"],
        ["ended"],
        ["state"],
        ["age"],
        ["amount", "quantity", "each"],
    ],
)
def test_no_row_breaks_rules_under_conditions(condition: list[str], tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", PEOPLE)
    rules = [rule for rule in CHECKS if "ratio" not in rule and "gross" not in rule]
    made = drawn(path, rules, tmp_path, condition=condition)
    for rule in rules:
        broken = [row for row in made if not CHECKS[rule](row)]
        assert not broken, (rule, len(broken), broken[0])


def test_every_rule_of_the_table_holds_in_many_rows(tmp_path: Path) -> None:
    made = drawn(written(tmp_path / "a.csv", PEOPLE), list(CHECKS), tmp_path, count=6000)
    for rule, check in CHECKS.items():
        assert all(map(check, made)), rule


def test_a_condition_that_rules_exclude_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", PEOPLE)
    source = open_source(
        path,
        schema=schema_of({"rules": ["low < high", "country, cur", "price < 100 if class == 'eco'"]}),
        condition=["low", "high", "country", "cur", "price", "class"],
    )
    assert source.context is not None
    weights_along = source.context.conditions(torch.arange(len(source)))
    for wanted in ({"low": "30", "high": "20"}, {"country": "US", "cur": "EUR"}, {"price": "200", "class": "eco"}):
        with pytest.raises(UserError, match="The rules exclude what is asked for: "):
            fix_conditions(weights_along, wanted).under_rules(source.codec.rules)  # type: ignore[arg-type]
    fixed = fix_conditions(weights_along, {"country": "US", "low": "40"}).under_rules(source.codec.rules)  # type: ignore[arg-type]
    rows = fixed.rows(0, 500, seed=0)
    place = {name: number for number, name in enumerate(weights_along.names)}  # type: ignore[attr-defined]
    assert (rows[:, place["low"]] == 40).all() and (rows[:, place["high"]] > 40).all()
    levels = source.context.codec.columns[place["cur"]].names  # type: ignore[attr-defined]
    assert {levels[int(each)] for each in rows[:, place["cur"]]} == {"USD"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("high < low", "does not hold in a.csv: 300 of 300 rows break it, the first in line 2, line 3, line 4"),
        ("low < hihg", "Unknown column in the rule 'low < hihg': 'hihg'. Did you mean 'high'"),
        ("low < country", "calculates with column country: a category"),
        ("cur in ['EURO']", "Unknown level of cur"),
        ("low <", "cannot be read: its end"),
        ("low < high = mid", "an equation within a chain"),
        ("low < 3 if country < 'DE'", "cannot be read: '<'"),
        ("__import__('os')", "cannot be read"),
        ("low", "cannot be read: no comparison"),
        ("a + b = c + total", "an equation that does not say"),
        ("total = a + b", "does not hold in a.csv"),
        ("(" * 50 + "low" + ")" * 50 + " < high", "too many brackets"),
        ("x" * 3000, "more than 2000 characters"),
    ],
)
def test_a_rule_that_is_none_or_does_not_hold_is_refused(rule: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", PEOPLE)
    with pytest.raises(UserError) as error:
        open_source(path, schema=schema_of({"rules": [rule]}))
    assert message.replace(" Did you mean 'high'", "") in str(error.value) or "high" in str(error.value)


def test_columns_that_are_computed_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", PEOPLE)
    with pytest.raises(UserError, match="compute columns in a circle"):
        open_source(path, schema=schema_of({"rules": ["age = 2024 - born", "born = 2024 - age"]}))


def test_decimals_add_up_as_they_are_written(tmp_path: Path) -> None:
    rows = [
        {"x": f"{i / 10:.1f}", "y": f"{j / 10:.1f}", "z": f"{(i + j) / 10:.1f}"} for i in range(30) for j in range(9)
    ]
    made = drawn(written(tmp_path / "a.csv", rows), ["z = x + y"], tmp_path, count=5000)
    assert all(number(row, "x") + number(row, "y") == number(row, "z") for row in made)


def test_missing_values_in_rules(tmp_path: Path) -> None:
    rows = []
    for _ in range(600):
        low, more = RNG.integers(0, 50), RNG.integers(1, 50)
        gone, lost = RNG.random(2) < 0.2
        low_text, high_text = "" if gone else str(low), "" if lost else str(low + more)
        total = "" if gone or lost else str(low + low + more)
        rows.append({"low": low_text, "high": high_text, "total": total})
    made = drawn(written(tmp_path / "a.csv", rows), ["low < high", "total = low + high"], tmp_path, count=4000)
    assert {(row["low"] == "", row["high"] == "") for row in made} == {
        (i, j) for i in (True, False) for j in (True, False)
    }
    for row in made:
        assert (row["total"] == "") == (row["low"] == "" or row["high"] == "")
        if row["total"]:
            assert int(row["low"]) < int(row["high"]) and int(row["total"]) == int(row["low"]) + int(row["high"])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_plan_settles_whole_numbers_just_where_brute_force_finds_some(data: st.DataObject) -> None:
    """All points of a small box that obey are kept as they are; anything else is moved to one of them."""
    count, top = data.draw(st.integers(1, 4)), 5
    factor = st.sampled_from([-1, 0, 0, 1])
    pairs = data.draw(
        st.lists(st.tuples(st.lists(factor, min_size=count, max_size=count), st.integers(-6, 6)), max_size=4)
    )
    rules = [Inequality({place: each for place, each in enumerate(factors) if each}, rest) for factors, rest in pairs]
    # Differences and bounds: whole numbers are then no closer bound than others.
    rules = [
        each for each in rules if len(each.factors) <= 2 and abs(sum(each.factors.values())) <= (len(each.factors) < 2)
    ]
    box = [Inequality({place: 1}, 0) for place in range(count)] + [
        Inequality({place: -1}, top) for place in range(count)
    ]
    every = np.stack(np.meshgrid(*[np.arange(top + 1)] * count, indexing="ij"), -1).reshape(-1, count)
    obeys = np.all([rule.at(every) >= 0 for rule in rules] or [np.ones(len(every), bool)], axis=0)
    try:
        plan = plan_of(range(count), 0, [*box, *rules], [])
    except Contradiction:
        assert not obeys.any()
        return
    settled = every.copy()
    plan.settle(settled)
    assert (settled[obeys] == every[obeys]).all()
    assert obeys.any() and np.all([rule.at(settled) >= 0 for rule in [*box, *rules]], axis=0).all()


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from([*"<=()[]+-*/,", "low", "<=", "in", "if", "iff", "not", "missing", "'x'", "2.5", "`a", "b`"]),
        max_size=12,
    ).map(" ".join)
)
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        parse_rules([text])
    except UserError as error:
        assert "cannot be read" in str(error)


def test_runs_without_rules_are_coded_as_before(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "a.csv", PEOPLE))
    state = source.codec.state()
    del state["rules"]
    again = codec_from_state(state)
    assert isinstance(again, TableCodec) and again.rules is None
    rows = source.values(torch.arange(len(source)))
    assert torch.equal(again.encode(rows), source.codec.encode(rows))


def test_rules_that_hold_are_proposed_and_no_others(tmp_path: Path) -> None:
    from wassergan.data import proposed_rules

    source = open_source(written(tmp_path / "a.csv", PEOPLE))
    rows = source.values(torch.arange(len(source))).numpy()
    found = {each["rule"] for each in proposed_rules(source.codec, rows)}  # type: ignore[arg-type]
    assert {"low < mid", "start <= end", "days = end - start", "country, cur"} <= found
    assert found & {"amount = quantity * each", "quantity = amount / each", "each = amount / quantity"}
    assert "born = 2024 - age" in found or "age = 2024 - born" in found
    open_source(tmp_path / "a.csv", schema=schema_of({"rules": sorted(found)[:3]}))
    assert "ended missing iff state == 'open'" in found
    assert "price, class" not in found and "class, country" not in found
    open_source(tmp_path / "a.csv", schema=schema_of({"rules": ["ended missing iff state == 'open'"]}))
    alone = [
        {"x": str(RNG.integers(0, 99)), "y": str(RNG.integers(200, 299)), "s": str(RNG.choice(["a", "b"]))}
        for _ in range(200)
    ]
    source = open_source(written(tmp_path / "b.csv", alone))
    assert proposed_rules(source.codec, source.values(torch.arange(200)).numpy()) == []  # type: ignore[arg-type]
