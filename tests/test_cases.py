"""Data that people have, through the command line: what went in damaged once comes back as it was.

Each table is made in the test, with two sizes and seeds; where the files that a report came with are at hand, each is
tried as well. Every check holds the samples of a short training against the rows that were given.
"""

import csv
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from wassergan import WassersteinGAN
from wassergan.data import open_source

SHARED = Path(__file__).parents[2] / "shared" / "cases" / "tables"
QUICK = ("--generator-widths", "16", "--critic-widths", "16", "--batch-size", "32", "--steps", "100", "--no-previews")
PICTURES = (*QUICK, "--batch-size", "8", "--critic-steps", "2", "--network", "mlp")
ROWS = 150
Rows = list[dict[str, str]]
BERLIN = ZoneInfo("Europe/Berlin")

pytestmark = pytest.mark.usefixtures("quick_figures")


@dataclass(frozen=True)
class Case:
    """How a table is made, what its schema says, and what must hold of its samples beside the real rows."""

    name: str
    make: Callable[[np.random.Generator, int], str | pd.DataFrame]
    check: Callable[[Rows, Rows], None]
    schema: dict[str, Any] | None = None
    suffix: str = "csv"
    delimiter: str = ","


def lines(header: str, rows: list[str]) -> str:
    return "\n".join([header, *rows]) + "\n"


def moments(rng: np.random.Generator, count: int) -> list[datetime]:
    return [datetime(2022, 1, 1) + timedelta(minutes=int(each)) for each in rng.integers(0, 730 * 24 * 60, count)]


def dated(form: str) -> Callable[[np.random.Generator, int], str]:
    def make(rng: np.random.Generator, count: int) -> str:
        return lines("age,t", [f"{rng.integers(18, 90)},{each.strftime(form)}" for each in moments(rng, count)])

    return make


def check_dates(form: str, *, spread: float = 0.1) -> Callable[[Rows, Rows], None]:
    """Every sample is written in the form, within the real range, and spread over it."""

    def check(real: Rows, fake: Rows) -> None:
        given, drawn = ([datetime.strptime(row["t"], form) for row in rows] for rows in (real, fake))
        assert all(row["t"] == each.strftime(form) for row, each in zip(fake, drawn, strict=True))
        assert min(given) <= min(drawn) and max(drawn) <= max(given)
        assert max(drawn) - min(drawn) > spread * (max(given) - min(given))

    return check


def check_hours(real: Rows, fake: Rows) -> None:
    check_dates("%Y-%m-%d %I %p")(real, fake)
    assert len({row["t"][11:] for row in fake}) > 12  # both halves of the day


def milliseconds(rng: np.random.Generator, count: int) -> str:
    texts = [f"{each:%Y-%m-%dT%H:%M:%S}.{i % 1000:03d}Z" for i, each in enumerate(moments(rng, count))]
    return lines("age,t", [f"{rng.integers(18, 90)},{text}" for text in texts])


def check_milliseconds(real: Rows, fake: Rows) -> None:
    assert {len(row["t"]) for row in fake} == {24} and all(row["t"].endswith("Z") for row in fake)
    check_dates("%Y-%m-%dT%H:%M:%S.%fZ")(real, [{"t": row["t"][:-1] + "000Z"} for row in fake])


def summer_and_winter(rng: np.random.Generator, count: int) -> str:
    texts = [each.replace(tzinfo=ZoneInfo("UTC")).astimezone(BERLIN).isoformat(" ") for each in moments(rng, count)]
    return lines("age,t", [f"{rng.integers(18, 90)},{text}" for text in texts])


def check_offsets(real: Rows, fake: Rows) -> None:
    drawn = [datetime.fromisoformat(row["t"]) for row in fake]
    assert all(each.utcoffset() == each.astimezone(BERLIN).utcoffset() for each in drawn)
    given = [datetime.fromisoformat(row["t"]) for row in real]
    assert min(given) <= min(drawn) and max(drawn) <= max(given)
    assert {each.utcoffset() for each in drawn} == {timedelta(hours=1), timedelta(hours=2)}


def amounts(rng: np.random.Generator, count: int) -> str:
    rows = zip(rng.integers(18, 90, count), rng.gamma(2, 50, count), rng.integers(1_000, 99_999, count), strict=True)
    return lines(
        "alter;umsatz;menge",
        [
            f"{age};{turnover:.2f}".replace(".", ",") + f";{pieces:,}".replace(",", ".")
            for age, turnover, pieces in rows
        ],
    )


def check_amounts(real: Rows, fake: Rows) -> None:
    read = {
        "umsatz": lambda text: float(text.replace(",", ".")),
        "menge": lambda text: int(text.replace(".", "")),
    }
    for name, number in read.items():
        given, drawn = ([number(row[name]) for row in rows] for rows in (real, fake))
        assert min(given) <= min(drawn) and max(drawn) <= max(given)
        assert 0.3 < np.std(drawn) / np.std(given) < 3
    assert all(len(row["umsatz"].split(",")[1]) == 2 and "." not in row["umsatz"] for row in fake)
    assert all(row["menge"] == f"{int(row['menge'].replace('.', '')):,}".replace(",", ".") for row in fake)


def comma_in_header(rng: np.random.Generator, count: int) -> str:
    rows = zip(rng.normal(15, 3, count), rng.integers(20, 60, count), strict=True)
    return lines("Temp, C;Hum", [f"{abs(warm):.1f}".replace(".", ",") + f";{wet}" for warm, wet in rows])


def check_comma_in_header(real: Rows, fake: Rows) -> None:
    assert list(fake[0]) == ["Temp, C", "Hum"]
    given, drawn = ([float(row["Temp, C"].replace(",", ".")) for row in rows] for rows in (real, fake))
    assert all("," in row["Temp, C"] and "." not in row["Temp, C"] for row in fake)
    assert min(given) <= min(drawn) and max(drawn) <= max(given)


def money(rng: np.random.Generator, count: int) -> str:
    rows = zip(rng.integers(18, 90, count), rng.gamma(3, 1000, count), rng.gamma(9, 1, count), strict=True)
    return lines("age,price,rate", [f'{age},"${price:,.2f}",{rate:.2f}%' for age, price, rate in rows])


def check_money(real: Rows, fake: Rows) -> None:
    for row in fake:
        price, rate = float(row["price"].replace("$", "").replace(",", "")), float(row["rate"].rstrip("%"))
        assert row["price"] == f"${price:,.2f}" and row["rate"] == f"{rate:.2f}%"
    assert len({row["price"] for row in fake}) > ROWS / 4


def grids(rng: np.random.Generator, count: int) -> str:
    def line() -> str:
        born = datetime(1960, 1, 1) + timedelta(days=int(rng.integers(0, 15000)))
        seen = datetime(2024, 1, 1) + timedelta(minutes=15 * int(rng.integers(0, 2000)))
        return (
            f"{born:%Y-%m-%d %H:%M:%S},{seen:%Y-%m-%d %H:%M},{100 * rng.integers(200, 900)},"
            f"{rng.integers(1, 999)}.99,{rng.choice(['m', 'f'])}"
        )

    return lines("born,appointment,salary,price,sex", [line() for _ in range(count)])


def check_grids(real: Rows, fake: Rows) -> None:
    for row in fake:
        assert len(row["born"]) == 19 and row["born"].endswith(" 00:00:00")
        assert len(row["appointment"]) == 16 and int(row["appointment"][-2:]) % 15 == 0
        assert int(row["salary"]) % 100 == 0 and row["price"].endswith(".99")
    assert {row["sex"] for row in fake} <= {"m", "f"}


def large_ids(rng: np.random.Generator, count: int) -> pd.DataFrame:
    known = rng.integers(10**18, 9 * 10**18, 40)
    return pd.DataFrame(
        {"age": rng.integers(18, 90, count), "snow": rng.choice(known, count), "sex": rng.choice(["m", "f"], count)}
    )


def check_large_ids(real: Rows, fake: Rows) -> None:
    assert {row["snow"] for row in fake} <= {row["snow"] for row in real}


def largest(rng: np.random.Generator, count: int) -> pd.DataFrame:
    flags = rng.choice(np.array([0, 2**63 - 1], np.int64), count)
    return pd.DataFrame({"age": rng.integers(18, 90, count), "flag": flags, "sex": rng.choice(["m", "f"], count)})


def check_largest(real: Rows, fake: Rows) -> None:
    levels = {row["flag"] for row in real}
    assert {row["flag"] for row in fake} <= levels and str(2**63 - 1) in levels


def text_numbers(rng: np.random.Generator, count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, count),
            "amount": [f"{each:.2f}" for each in rng.gamma(2, 50, count)],
            "sex": rng.choice(["m", "f"], count),
        }
    )


def check_text_numbers(real: Rows, fake: Rows) -> None:
    assert all(row["amount"] == f"{float(row['amount']):.2f}" for row in fake)


def zips(rng: np.random.Generator, count: int) -> str:
    return lines("age,zip", [f"{rng.integers(18, 90)},{rng.integers(1001, 9999):05d}" for _ in range(count)])


def check_zips(real: Rows, fake: Rows) -> None:
    assert all(len(row["zip"]) == 5 and row["zip"].isdigit() for row in fake)
    assert any(row["zip"].startswith("0") for row in fake)


def shuffled(rng: np.random.Generator, count: int) -> str:
    kept = rng.permutation(5 * count // 4)[:count]
    return lines(",id,v", [f"{each},{each},{rng.normal():.2f}" for each in kept])


def check_shuffled(real: Rows, fake: Rows) -> None:
    assert list(fake[0]) == ["id", "v"]
    ids = [row["id"] for row in fake]
    assert len(set(ids)) == ROWS and not set(ids) & {row["id"] for row in real}


CASES = (
    Case("hourdates", dated("%Y-%m-%d %I %p"), check_hours,
         {"columns": {"t": {"kind": "date", "format": "%Y-%m-%d %I %p"}}}),
    Case("isoweek", dated("%G-W%V-%u"), check_dates("%G-W%V-%u"),
         {"columns": {"t": {"kind": "date", "format": "%G-W%V-%u"}}}),
    Case("ctime", dated("%c"), check_dates("%c"), {"columns": {"t": {"kind": "date", "format": "%c"}}}),
    Case("js_ms", milliseconds, check_milliseconds),
    Case("dst", summer_and_winter, check_offsets),
    Case("german", amounts, check_amounts, delimiter=";"),
    Case("sepline", lambda rng, count: "sep=;\n" + amounts(rng, count), check_amounts, delimiter=";"),
    Case("headcomma", comma_in_header, check_comma_in_header, delimiter=";"),
    Case("money", money, check_money),
    Case("grid", grids, check_grids),
    Case("bigids", large_ids, check_large_ids, suffix="parquet"),
    Case("int64max", largest, check_largest, suffix="parquet"),
    Case("textnumbers", text_numbers, check_text_numbers, suffix="parquet"),
    Case("uszip", zips, check_zips),
    Case("shuffledindex", shuffled, check_shuffled),
)  # fmt: skip


def rows_of(path: Path, delimiter: str) -> Rows:
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        return [{name: str(value) for name, value in row.items()} for row in frame.to_dict("records")]
    text = path.read_text(encoding="utf-8")
    if text.startswith("sep="):
        text = text.split("\n", 1)[1]
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def comes_back(case: Case, data: Path, folder: Path, cli: Callable[..., Any]) -> None:
    """Short training, samples in the file's own format, the check; and the round trip that `info` states."""
    schema: tuple[object, ...] = ()
    if case.schema is not None:
        (folder / "schema.json").write_text(json.dumps(case.schema))
        schema = ("--schema", folder / "schema.json")
    out = folder / f"out.{case.suffix}"
    assert cli("train", data, *schema, *QUICK, "--out", folder / "run").code == 0
    assert cli("sample", folder / "run", "--count", ROWS, "--out", out).code == 0
    fake = rows_of(out, case.delimiter)
    assert len(fake) == ROWS
    case.check(rows_of(data, case.delimiter), fake)
    if case.suffix == "parquet":
        given, drawn = pd.read_parquet(data).dtypes, pd.read_parquet(out).dtypes
        assert list(map(str, drawn)) == list(map(str, given))
    assert "as written: all" in cli("info", data, *schema).out


@pytest.mark.parametrize(("seed", "count"), [(0, 200), pytest.param(7, 331, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_table_comes_back_in_its_own_form(
    case: Case, seed: int, count: int, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    data = tmp_path / f"rows{seed}.{case.suffix}"
    made = case.make(np.random.default_rng(seed), count)
    if isinstance(made, pd.DataFrame):
        made.to_parquet(data, index=False)
    else:
        data.write_text(made, encoding="utf-8")
    comes_back(case, data, tmp_path, cli)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_table_of_the_report_comes_back(case: Case, tmp_path: Path, cli: Callable[..., Any]) -> None:
    data = SHARED / f"{case.name}.{case.suffix}"
    if not data.is_file():
        pytest.skip(f"the file of the report is not at {data}")
    comes_back(case, data, tmp_path, cli)


@pytest.mark.parametrize(("row", "bad"), [(100, "2022-02-30"), (17, "2023-13-01")])
def test_one_impossible_date_is_refused_with_its_line(
    row: int, bad: str, tmp_path: Path, cli: Callable[..., Any], refused: Callable[..., str]
) -> None:
    table = dated("%Y-%m-%d")(np.random.default_rng(row), 200).splitlines()
    table[row + 1] = f"33,{bad}"
    data = tmp_path / "rows.csv"
    data.write_text("\n".join(table) + "\n")
    said = refused("train", data, *QUICK, "--out", tmp_path / "run")
    assert repr(bad) in said and f"line {row + 2}" in said and '"invalid": "missing"' in said
    schema = tmp_path / "schema.json"
    schema.write_text(said[said.index('{"columns"') :].rstrip("."))  # what the sentence proposes
    assert cli("train", data, "--schema", schema, *QUICK, "--out", tmp_path / "run").code == 0


def ruled(rng: np.random.Generator, count: int) -> str:
    def line() -> str:
        low, gap, parts = rng.gamma(2, 20), rng.gamma(2, 2), rng.integers(50, 20000, 3)
        start = datetime(2022, 1, 1) + timedelta(days=int(rng.integers(0, 700)))
        days, born = int(rng.integers(0, 900)), int(rng.integers(1940, 2005))
        country = rng.choice(["DE", "FR", "US"])
        return (
            f"{low:.2f},{low + gap + 0.02:.2f},{','.join(f'{each / 100:.2f}' for each in [*parts, parts.sum()])},"
            f"{start:%Y-%m-%d},{start + timedelta(days=days):%Y-%m-%d},{days},{country},"
            f"{ {'DE': 'EUR2', 'FR': 'EUR', 'US': 'USD'}[country] },{born},{2024 - born}"
        )

    header = "low,high,a,b,c,total,start,end,days,country,cur,birth_year,age"
    return lines(header, [line() for _ in range(count)])


def cents(text: str) -> int:
    return round(float(text) * 100)


def rules_hold(data: Path, folder: Path, cli: Callable[..., Any]) -> None:
    """The rules that `info` proposes, put into a schema: no sample breaks any."""
    said = cli("info", data).out
    proposed = json.loads("{" + said[said.index('"rules": [') :].split("  (each in")[0] + "}")
    assert {"total = a + b + c", "low < high", "days = end - start", "birth_year = 2024 - age"} <= set(
        proposed["rules"]
    )
    (folder / "schema.json").write_text(json.dumps(proposed))
    assert cli("train", data, "--schema", folder / "schema.json", *QUICK, "--out", folder / "run").code == 0
    assert cli("sample", folder / "run", "--count", "600", "--out", folder / "out.csv").code == 0
    pairs = {(row["country"], row["cur"]) for row in rows_of(data, ",")}
    for row in rows_of(folder / "out.csv", ","):
        assert float(row["low"]) < float(row["high"])
        assert cents(row["total"]) == cents(row["a"]) + cents(row["b"]) + cents(row["c"])
        span = datetime.fromisoformat(row["end"]) - datetime.fromisoformat(row["start"])
        assert 0 <= span.days == int(row["days"])
        assert int(row["birth_year"]) + int(row["age"]) == 2024
        assert (row["country"], row["cur"]) in pairs


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "count"), [(1, 1400)])
def test_proposed_rules_hold_in_every_sample(seed: int, count: int, tmp_path: Path, cli: Callable[..., Any]) -> None:
    data = tmp_path / "rows.csv"
    data.write_text(ruled(np.random.default_rng(seed), count))
    rules_hold(data, tmp_path, cli)


@pytest.mark.slow
def test_the_rules_of_the_report_hold(tmp_path: Path, cli: Callable[..., Any]) -> None:
    if not (SHARED / "rules.csv").is_file():
        pytest.skip("the file of the report is not here")
    rules_hold(SHARED / "rules.csv", tmp_path, cli)


# Pictures


def noise(folder: Path, name: str, *, seed: int = 0, size: int = 8) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    options = {"format": "JPEG"} if name.endswith("jfif") else {}
    Image.fromarray(values).save(folder / name, **options)


def facts(cli: Callable[..., Any], data: object) -> tuple[dict[str, Any], str]:
    said = cli("info", data, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out), said.err


@pytest.mark.parametrize("count", [40, 23])
def test_labels_are_joined_by_file_name(count: int, tmp_path: Path) -> None:
    """Grey pictures whose level says which label is theirs, in another order than the file system's."""
    (tmp_path / "order").mkdir()
    table = ["filename,label"]
    for i in range(count):
        Image.fromarray(np.full((8, 8), 6 * i, np.uint8)).save(tmp_path / "order" / f"img{i}.png")
        table.append(f"img{i}.png,{'dark' if i < count // 2 else 'bright'}")
    (tmp_path / "order.csv").write_text("\n".join(table) + "\n")
    source = open_source(str(tmp_path / "order"), labels=str(tmp_path / "order.csv"), condition=("label",))
    samples, vectors = source.train_batch(torch.arange(len(source.split.train)))
    assert vectors is not None
    levels = (samples.mean((1, 2, 3)) + 1) * 127.5
    shown = vectors.argmax(1)
    bright = levels > 6 * (count // 2) - 3
    assert torch.equal(shown, shown[bright][0].where(bright, shown[~bright][0])) and shown.unique().numel() == 2


def test_hidden_files_and_folders_are_passed_over_and_said(tmp_path: Path, cli: Callable[..., Any]) -> None:
    for i in range(12):
        noise(tmp_path / "data" / "cat", f"{i}.png", seed=i)
        noise(tmp_path / "data" / "dog", f"{i}.png", seed=i + 50)
    for i in range(3):
        noise(tmp_path / "data" / "cat" / ".ipynb_checkpoints", f"{i}-checkpoint.png", seed=i)
    (tmp_path / "data" / "._3.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        " + b"\0" * 100)
    told, said = facts(cli, tmp_path / "data")
    assert told["samples"] == 24 and "4 hidden files" in said
    out = tmp_path / "run"
    assert cli("train", tmp_path / "data", "--condition", "folder", *PICTURES, "--out", out).code == 0
    assert cli("sample", out, "--count", 4, "--given", "folder=dog", "--out", tmp_path / "a.npy").code == 0
    wrong = cli("sample", out, "--count", 4, "--given", "folder=.ipynb_checkpoints", "--out", tmp_path / "b.npy")
    assert wrong.code == 2 and "cat" in wrong.err and "dog" in wrong.err


def test_linked_folders_are_followed_once(tmp_path: Path, cli: Callable[..., Any]) -> None:
    for i in range(12):
        noise(tmp_path / "data" / "cat", f"{i}.png", seed=i)
        noise(tmp_path / "elsewhere" / "dog", f"{i}.png", seed=i + 50)
    (tmp_path / "data" / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    (tmp_path / "data" / "cat" / "up").symlink_to(tmp_path / "data")
    told, _ = facts(cli, tmp_path / "data")
    assert told["samples"] == 24


def test_all_formats_of_a_folder_are_read(tmp_path: Path, cli: Callable[..., Any]) -> None:
    suffixes = ("png", "bmp", "tif", "tiff", "jfif", "gif", "jpg")
    for at, suffix in enumerate(suffixes):
        for i in range(5):
            noise(tmp_path / "data", f"{suffix}{i}.{suffix}", seed=10 * at + i)
    told, _ = facts(cli, tmp_path / "data")
    assert told["samples"] == 5 * len(suffixes)


@pytest.mark.parametrize("bits", [12, 14])
def test_twelve_bits_keep_their_levels(bits: int, tmp_path: Path, cli: Callable[..., Any]) -> None:
    (tmp_path / "data").mkdir()
    rng = np.random.default_rng(bits)
    for i in range(30):
        values = rng.integers(0, 2**bits, (8, 8), dtype=np.uint16)
        Image.fromarray(values).save(tmp_path / "data" / f"{i}.png")
    told, said = facts(cli, tmp_path / "data")
    assert told["dtype"] == "uint16" and "of 65535" in said
    assert cli("train", tmp_path / "data", *PICTURES, "--out", tmp_path / "run").code == 0
    assert cli("sample", tmp_path / "run", "--count", 20, "--out", tmp_path / "a.npy").code == 0
    drawn = np.load(tmp_path / "a.npy")
    assert drawn.dtype == np.uint16 and drawn.max() < 2**bits and len(np.unique(drawn)) > 200


@pytest.mark.parametrize("seed", range(10))
def test_no_class_without_training_samples_can_be_sampled(seed: int, tmp_path: Path) -> None:
    for i in range(30):
        noise(tmp_path / "data" / "cat", f"{i}.png", seed=i)
    noise(tmp_path / "data" / "dog", "0.png", seed=99)
    source = open_source(str(tmp_path / "data"), condition=("folder",), seed=seed)
    vectors = source.train_batch(torch.arange(len(source.split.train))).context
    assert vectors is not None and vectors.shape[1] == 2 and (vectors.sum(0) > 0).all()


@pytest.mark.parametrize("inside", [True, False], ids=["folders", "cls"])
def test_shards_give_their_labels(inside: bool, tmp_path: Path, cli: Callable[..., Any]) -> None:
    noise(tmp_path, "one.png")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for i in range(30):
            noise(tmp_path, "one.png", seed=i)
            kind = "cat" if i % 2 else "dog"
            archive.add(tmp_path / "one.png", f"{kind}/{i:03}.png" if inside else f"{i:03}.png")
            if not inside:
                (tmp_path / "one.cls").write_text(str(i % 2))
                archive.add(tmp_path / "one.cls", f"{i:03}.cls")
    name, level = ("folder", "dog") if inside else ("cls", "1")
    out = tmp_path / "run"
    trained = cli("train", tmp_path / "a.tar", "--condition", name, *PICTURES, "--out", out)
    assert trained.code == 0, trained.err
    assert cli("sample", out, "--count", 4, "--given", f"{name}={level}", "--out", tmp_path / "a.npy").code == 0
    assert cli("sample", out, "--count", 4, "--given", f"{name}=a.tar", "--out", tmp_path / "b.npy").code == 2


def test_constant_fill_values_come_back_exactly(tmp_path: Path, cli: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    fields = (280 + 10 * rng.standard_normal((300, 6, 7))).astype(np.float32)
    fields[:, :2, :3] = -9999
    np.save(tmp_path / "a.npy", fields)
    _, said = facts(cli, tmp_path / "a.npy")
    assert "-9999" in said
    assert cli("train", tmp_path / "a.npy", *PICTURES, "--out", tmp_path / "run").code == 0
    assert cli("sample", tmp_path / "run", "--count", 50, "--out", tmp_path / "b.npy").code == 0
    drawn = np.load(tmp_path / "b.npy")
    assert (drawn[:, :2, :3] == -9999).all()
    rest = np.concatenate([drawn[:, 2:].ravel(), drawn[:, :2, 3:].ravel()])
    assert rest.min() > 200 and rest.max() < 360


def test_a_run_inside_its_own_pictures_does_not_train_on_its_grids(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(20):
        noise(tmp_path, f"{i}.png", seed=i)
    monkeypatch.chdir(tmp_path)
    short = (*PICTURES, "--steps")
    for out in ("first", "second"):
        assert cli("train", ".", *short, 4, "--out", out).code == 0
        assert facts(cli, ".")[0]["samples"] == 20
    assert cli("resume", "first", "--steps", 8).code == 0


def test_text_columns_of_frames_keep_their_own_text() -> None:
    """What looks like dates, numbers or booleans in a frame of texts stays text in the column's own form."""
    rng = np.random.default_rng(5)
    day = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 700, 200), unit="D")
    forms = {
        "dates": (day.strftime("%d.%m.%Y"), r"\d\d\.\d\d\.20\d\d"),
        "numbers": ([f"{each:.2f}" for each in rng.gamma(2, 50, 200)], r"\d+\.\d\d"),
        "digits": (rng.choice(["10115", "20095"], 200), "10115|20095"),
        "booleans": (rng.choice(["True", "False"], 200), "True|False"),
    }
    frame = pd.DataFrame({"age": rng.integers(18, 90, 200)} | {name: texts for name, (texts, _) in forms.items()})
    drawn = WassersteinGAN(steps=5).fit(frame).sample(50, seed=1)
    for name, (_, form) in forms.items():
        assert drawn[name].dtype == frame[name].dtype and drawn[name].str.fullmatch(form).all()


def test_intervals_of_frames_come_back_as_intervals() -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"age": rng.integers(18, 90, 200), "band": pd.cut(rng.normal(50, 20, 200), 5)})
    drawn = WassersteinGAN(steps=5).fit(frame).sample(50, seed=1)
    assert drawn["band"].dtype == frame["band"].dtype
    assert set(drawn["band"].dropna()) <= set(frame["band"].cat.categories)
