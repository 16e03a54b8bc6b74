"""Random rules on random tables: no row breaks one, and every training row comes back."""

import csv
import datetime
import random
from collections.abc import Callable
from decimal import ROUND_HALF_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from wassergan.data import TableCodec, codec_from_state, open_source, schema_of
from wassergan.data.tables import write_table
from wassergan.errors import UserError

Row = dict[str, str]
Block = tuple[dict[str, list[str]], dict[str, Callable[[Row], bool]]]
ROWS = 120
HALF = Fraction(1, 2) * (1 + Fraction(1, 10**6))


def decimal(number: int, decimals: int) -> str:
    return f"{Decimal(number).scaleb(-decimals):.{decimals}f}"


def some_missing(draw: random.Random, texts: list[str], share: float) -> list[str]:
    return ["" if draw.random() < share else text for text in texts]


def unless_missing(names: str, check: Callable[..., bool]) -> Callable[[Row], bool]:
    """A check of texts that holds where one of them is missing."""

    def checked(row: Row) -> bool:
        texts = [row[name] for name in names.split()]
        return "" in texts or check(*texts)

    return checked


def ordered(draw: random.Random, p: str) -> Block:
    decimals, sign = draw.choice([0, 1, 2]), draw.choice(["<", "<="])
    low = [draw.randint(-900, 900) for _ in range(ROWS)]
    high = [each + draw.choice([sign == "<", draw.randint(1, 4000)]) for each in low]
    columns = {
        f"{p}a": some_missing(draw, [decimal(each, decimals) for each in low], 0.1),
        f"{p}b": some_missing(draw, [decimal(each, decimals) for each in high], 0.1),
    }
    holds: Any = (lambda a, b: Decimal(a) < Decimal(b)) if sign == "<" else (lambda a, b: Decimal(a) <= Decimal(b))
    return columns, {f"{p}a {sign} {p}b": unless_missing(f"{p}a {p}b", holds)}


def dated(draw: random.Random, p: str) -> Block:
    form = draw.choice(["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S"])
    step = datetime.timedelta(minutes=draw.choice([1, 15])) if "%H" in form else datetime.timedelta(1)
    starts = [datetime.datetime(2019, 1, 1) + step * draw.randint(0, 2000) for _ in range(ROWS)]
    ends = [start + step * draw.choice([1, 2, draw.randint(1, 400)]) for start in starts]
    columns = {
        f"{p}b": some_missing(draw, [each.strftime(form) for each in ends], 0.1),
        f"{p}a": [each.strftime(form) for each in starts],
    }

    def read(text: str) -> datetime.datetime:
        return datetime.datetime.strptime(text, form)

    checks = {f"{p}a < {p}b": unless_missing(f"{p}a {p}b", lambda a, b: read(a) < read(b))}
    if "%H" not in form:
        gaps = [(read(b) - read(a)).days if b else "" for a, b in zip(columns[f"{p}a"], columns[f"{p}b"], strict=True)]
        columns[f"{p}d"] = list(map(str, gaps))
        checks[f"{p}d = {p}b - {p}a"] = unless_missing(
            f"{p}a {p}b {p}d", lambda a, b, d: int(d) == (read(b) - read(a)).days
        )
    return columns, checks


def summed(draw: random.Random, p: str) -> Block:
    signs, decimals = [1, draw.choice([1, -1]), draw.choice([1, -1])], [draw.choice([0, 1, 2]) for _ in range(3)]
    parts = [
        some_missing(draw, [decimal(draw.randint(-999, 5000), each) for _ in range(ROWS)], 0.05) for each in decimals
    ]

    def total(*texts: str) -> Decimal:
        return sum((sign * Decimal(text) for sign, text in zip(signs, texts, strict=True)), Decimal(0))

    columns = {f"{p}{name}": part for name, part in zip("xyz", parts, strict=True)}
    columns[f"{p}t"] = ["" if "" in each else f"{total(*each):.{max(decimals)}f}" for each in zip(*parts, strict=True)]
    words = {1: "+", -1: "-"}
    rule = f"{p}t = {p}x {words[signs[1]]} {p}y {words[signs[2]]} {p}z"
    return columns, {rule: unless_missing(f"{p}t {p}x {p}y {p}z", lambda t, *texts: total(*texts) == Decimal(t))}


def computed(draw: random.Random, p: str) -> Block:
    decimals, sign = draw.choice([0, 1, 2, 3]), draw.choice("*/")
    rounding = draw.choice([ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_HALF_DOWN])
    a = some_missing(draw, [decimal(draw.randint(1, 50_000), 2) for _ in range(ROWS)], 0.1)
    b = [str(draw.randint(1, 40)) for _ in range(ROWS)]

    def exact(a: str, b: str) -> Fraction:
        return Fraction(a) * Fraction(b) if sign == "*" else Fraction(a) / Fraction(b)

    def rounded(value: Fraction) -> str:
        step = Decimal(1).scaleb(-decimals)
        return str((Decimal(value.numerator) / Decimal(value.denominator)).quantize(step, rounding))

    columns = {f"{p}a": a, f"{p}b": b}
    columns[f"{p}q"] = [rounded(exact(*each)) if each[0] else "" for each in zip(a, b, strict=True)]
    near = unless_missing(
        f"{p}a {p}b {p}q",
        lambda a, b, q: abs(exact(a, b) - Fraction(q)) <= HALF / 10**decimals + abs(Fraction(q)) / 10**9,
    )
    return columns, {f"{p}q = {p}a {sign} {p}b": near}


def together(draw: random.Random, p: str) -> Block:
    kinds = [(draw.choice("ABCDE"), draw.choice(["u", "v", ""]), draw.choice("123")) for _ in range(9)]
    rows = [draw.choice(kinds) for _ in range(ROWS)]
    columns = {f"{p}{name}": list(each) for name, each in zip("xyz", zip(*rows, strict=True), strict=True)}
    return columns, {f"{p}x, {p}y, {p}z": lambda row: tuple(row[f"{p}{name}"] for name in "xyz") in kinds}


def bounded(draw: random.Random, p: str) -> Block:
    levels = [draw.choice(["eco", "biz", "first"]) for _ in range(ROWS)]
    ends = {"eco": (10, 100), "biz": (90, 400), "first": (350, 500)}
    columns = {f"{p}l": levels, f"{p}v": some_missing(draw, [str(draw.randint(*ends[each])) for each in levels], 0.1)}
    return columns, {
        f"{p}v <= 100 if {p}l == 'eco'": lambda row: row[f"{p}l"] != "eco" or int(row[f"{p}v"] or 0) <= 100,
        f"{p}v >= 90 if {p}l != 'eco'": lambda row: row[f"{p}l"] == "eco" or int(row[f"{p}v"] or 999) >= 90,
    }


def lacking(draw: random.Random, p: str) -> Block:
    states = [draw.choice(["open", "closed", "new"]) for _ in range(ROWS)]
    ended = ["" if each == "open" else decimal(draw.randint(0, 999), 1) for each in states]
    paid = ["" if each == "" else str(int(Decimal(each)) + draw.randint(1, 9)) for each in ended]
    columns = {f"{p}s": states, f"{p}e": ended, f"{p}f": paid}
    return columns, {
        f"{p}e missing iff {p}s == 'open'": lambda row: (row[f"{p}e"] == "") == (row[f"{p}s"] == "open"),
        f"{p}f missing iff {p}e missing": lambda row: (row[f"{p}e"] == "") == (row[f"{p}f"] == ""),
        f"{p}e <= {p}f": unless_missing(f"{p}e {p}f", lambda e, f: Decimal(e) <= Decimal(f)),
    }


def mixed(draw: random.Random, p: str) -> Block:
    levels = [draw.choice("mn") for _ in range(ROWS)]
    a = [draw.randint(0, 50) for _ in range(ROWS)]
    b = [each + draw.randint(0, 9) for each in a]
    total = [x + y + (draw.choice([0, 5]) if level == "n" else 0) for x, y, level in zip(a, b, levels, strict=True)]
    columns = {
        f"{p}l": levels,
        **{f"{p}{name}": list(map(str, each)) for name, each in zip("abt", (a, b, total), strict=True)},
    }
    return columns, {
        f"{p}a <= {p}b": lambda row: int(row[f"{p}a"]) <= int(row[f"{p}b"]),
        f"{p}t = {p}a + {p}b if {p}l == 'm'": lambda row: (
            row[f"{p}l"] != "m" or int(row[f"{p}t"]) == int(row[f"{p}a"]) + int(row[f"{p}b"])
        ),
        f"{p}t >= {p}b": lambda row: int(row[f"{p}t"]) >= int(row[f"{p}b"]),
    }


BLOCKS = (ordered, dated, summed, computed, together, bounded, lacking, mixed)


@settings(
    max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=3), st.integers(0, 2))
def test_no_row_breaks_a_rule_and_every_training_row_comes_back(
    tmp_path: Path, seed: int, blocks: list[Callable[..., Block]], conditions: int
) -> None:
    draw = random.Random(seed)
    columns: dict[str, list[str]] = {}
    checks: dict[str, Callable[[Row], bool]] = {}
    for number, block in enumerate(blocks):
        made, kept = block(draw, f"c{number}")
        columns, checks = columns | made, checks | kept
    names = draw.sample(list(columns), len(columns))
    write_rows(tmp_path / "a.csv", {name: columns[name] for name in names})
    can_be_given = [name for name in names if not any(rule.startswith(f"{name} = ") for rule in checks)]
    condition = draw.sample(can_be_given, min(conditions, len(can_be_given) - 2))
    source = open_source(
        tmp_path / "a.csv", schema=schema_of({"rules": draw.sample(list(checks), len(checks))}), condition=condition
    )
    codec = codec_from_state(source.codec.state())
    assert isinstance(codec, TableCodec)
    rng = torch.Generator().manual_seed(seed)
    vectors = torch.randn(600, codec.width, generator=rng) * draw.choice([0.5, 2, 50])
    context: Any = source.context
    given_rows = None if context is None else context.conditions(torch.arange(ROWS)).rows(0, 600, seed=seed)
    write_table(codec, [codec.decode_numpy(vectors, given_rows, seed=seed)], tmp_path / "made.csv")
    with (tmp_path / "made.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for rule, holds in checks.items():
        assert not [row for row in rows if not holds(row)], rule
    train = source.split.train_rows(torch.arange(source.train_count))
    real = source.values(train)
    back = codec.decode(codec.encode(real), None if context is None else context.rows[train.numpy()])
    spread = real.nan_to_num().abs().amax(0)
    assert torch.equal(real.isnan(), back.isnan())
    assert ((real - back).nan_to_num().abs() <= 1e-6 * spread).all()


def write_rows(path: Path, columns: dict[str, list[str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


@pytest.mark.parametrize("rounding", [ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_HALF_DOWN, "scaled", "binary"])
def test_halves_are_rounded_as_the_data_round_them(rounding: str, tmp_path: Path) -> None:
    numbers = [(a, b) for a in range(1, 400, 7) for b in (2, 4, 5, 8)]

    def rounded(a: int, b: int) -> str:
        if rounding == "scaled":
            return f"{np.round(a / 100 / b, 2):.2f}"
        if rounding == "binary":
            return f"{a / 100 / b:.2f}"
        return str((Decimal(a) / 100 / b).quantize(Decimal("0.01"), rounding))

    columns = {
        "a": [decimal(a, 2) for a, _ in numbers],
        "b": [str(b) for _, b in numbers],
        "q": [rounded(a, b) for a, b in numbers],
    }
    write_rows(tmp_path / "a.csv", columns)
    source = open_source(tmp_path / "a.csv", schema=schema_of({"rules": ["q = a / b"]}))
    assert source.round_trip is not None and not source.round_trip.changed
    rows = source.values(source.split.train_rows(torch.arange(source.train_count)))
    assert torch.equal(source.codec.decode(source.codec.encode(rows))[:, 2], rows[:, 2])


def test_halves_that_are_rounded_in_several_ways_are_said(tmp_path: Path) -> None:
    rows = [(a, b) for a in range(1, 40) for b in (2, 2, 4, 5)]
    up = [number % 3 == 0 for number in range(len(rows))]
    columns = {"a": [str(a) for a, _ in rows], "b": [str(b) for _, b in rows]}
    columns["q"] = [str((2 * a + b - (not each)) // (2 * b)) for (a, b), each in zip(rows, up, strict=True)]
    write_rows(tmp_path / "a.csv", columns)
    source = open_source(tmp_path / "a.csv", schema=schema_of({"rules": ["q = a / b"]}))
    assert source.round_trip is not None and "rows round halves in several ways" in source.round_trip.words()


def test_a_product_is_rounded_to_its_last_digit_even_where_its_values_share_a_step(tmp_path: Path) -> None:
    rows = [(number * 37 % 41 + 1, 2 * (number * 7919 % 1009)) for number in range(300)]
    columns = {"a": [str(a) for a, _ in rows], "b": [str(b) for _, b in rows], "q": [str(a * b) for a, b in rows]}
    write_rows(tmp_path / "a.csv", columns)
    schema = schema_of({"rules": ["q = a * b"], "columns": {"b": {"kind": "number", "step": "none"}, "q": "number"}})
    codec: Any = open_source(tmp_path / "a.csv", schema=schema).codec
    made = codec.decode(torch.randn(2000, codec.width, generator=torch.Generator().manual_seed(0))).numpy()
    assert (made[:, 2] == made[:, 0] * made[:, 1]).all() and (made[:, 2] % 2 == 1).any()


def test_numbers_of_too_many_digits_are_refused(tmp_path: Path) -> None:
    columns = {
        "a": [str(2**53 + 2 * each**2) for each in range(99)],
        "b": [str(2**54 + 4 * each) for each in range(99)],
    }
    write_rows(tmp_path / "a.csv", columns)
    kinds = dict.fromkeys(columns, "number")
    with pytest.raises(
        UserError, match="'a < b' cannot be kept exactly: column a holds numbers of more than 15 digits"
    ):
        open_source(tmp_path / "a.csv", schema=schema_of({"rules": ["a < b"], "columns": kinds}))


def test_a_rule_about_an_identifier_says_that_it_is_one(tmp_path: Path) -> None:
    columns = {"key": [f"K-{each:05d}" for each in range(99)], "a": [str(each % 7) for each in range(99)]}
    columns["remark"] = [f"it was {each} o'clock, said number {each * 7919 % 101}" for each in range(99)]
    write_rows(tmp_path / "a.csv", columns)
    for name, what in (("key", "an identifier, of which nothing is learnt"), ("remark", "it is left out")):
        with pytest.raises(UserError, match=f"The rule '{name}, a' is about column {name}: {what}"):
            open_source(tmp_path / "a.csv", schema=schema_of({"rules": [f"{name}, a"]}))


def test_combinations_that_chance_would_make_are_proposed(tmp_path: Path) -> None:
    from wassergan.data import proposed_rules

    draw, cities = random.Random(0), {"DE": ["Bonn", "Ulm"], "FR": ["Lyon", "Metz"], "CH": ["Bern", "Ulm", "Genf"]}
    countries = [draw.choice(["DE", "FR", "CH"]) for _ in range(400)]
    colours = [draw.choice(["red", "blue", "green"]) for _ in range(400)]
    write_rows(
        tmp_path / "a.csv",
        {
            "country": countries,
            "city": [draw.choice(cities[each]) for each in countries],
            "colour": colours,
            "code": [str(["DE", "FR", "CH"].index(each) * 7) for each in countries],
            "paid": [str(draw.randint(1, 99)) if each != "red" else "" for each in colours],
        },
    )
    source = open_source(tmp_path / "a.csv")
    rows = source.values(torch.arange(len(source))).numpy()
    found = [each["rule"] for each in proposed_rules(source.codec, rows)]  # type: ignore[arg-type]
    assert found == ["country, city", "country, code", "city, code", "paid missing iff colour == 'red'"]
    open_source(tmp_path / "a.csv", schema=schema_of({"rules": found}))


def test_a_sum_that_is_given_is_divided_up_exactly(tmp_path: Path) -> None:
    columns = {
        "x": [decimal(each * each % 9973, 2) for each in range(200)],
        "y": [str(each % 31) for each in range(200)],
    }
    columns["t"] = [str(Decimal(x) + Decimal(y)) for x, y in zip(columns["x"], columns["y"], strict=True)]
    write_rows(tmp_path / "a.csv", columns)
    source = open_source(tmp_path / "a.csv", schema=schema_of({"rules": ["t = x + y"]}), condition=["t"])
    codec, context = source.codec, source.context
    vectors = torch.randn(500, codec.width, generator=torch.Generator().manual_seed(0))  # type: ignore[attr-defined]
    rows = codec.decode_numpy(vectors, context.conditions(torch.arange(200)).rows(0, 500, seed=0))  # type: ignore[union-attr, call-arg, arg-type]
    assert (np.round(rows[:, 0] * 100) + 100 * rows[:, 1] == np.round(rows[:, 2] * 100)).all()
