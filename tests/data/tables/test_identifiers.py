import csv
import re
import string
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan.data import TableCodec, codec_from_state, column_facts, open_source
from wassergan.data.tables import read_csv, write_table
from wassergan.data.tables.identifiers.identifier import Identifier
from wassergan.data.tables.identifiers.permutation import LARGEST, Permutation
from wassergan.data.tables.identifiers.recognise import identifier_of
from wassergan.data.tables.source import table_source
from wassergan.errors import UserError

RNG = np.random.default_rng(3)
ROWS = 400


def table(path: Path, **columns: object) -> Path:
    """Columns beside one that is learnt."""
    whole = {**columns, "v": np.round(RNG.normal(size=ROWS), 2)}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(name.replace("_unnamed", "") for name in whole)
        writer.writerows(zip(*[list(each) for each in whole.values()], strict=True))  # type: ignore[call-overload]
    return path


def source_of(path: Path, schema: dict[str, object] | None = None):  # type: ignore[no-untyped-def]
    from wassergan.data import schema_of

    said: list[str] = []
    source = open_source(path, schema=schema_of(schema or {}), log=said.append)
    assert isinstance(source.codec, TableCodec)
    return source, said


def fresh(identifier: Identifier, count: int, *, seed: int = 0, chunks: int = 1) -> list[str | None]:
    stream = identifier.stream(seed)
    sizes = np.diff(np.linspace(0, count, chunks + 1).astype(int))
    return [each for size in sizes for each in stream.take(int(size))]


def kinds(path: Path) -> dict[str, str]:
    source, _ = source_of(path)
    rows = source.values(torch.arange(len(source))).numpy()
    return {each["name"]: each["kind"] for each in column_facts(source.codec, rows)}


def characters(count: int, places: list[str]) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(str(RNG.choice(list(each))) for each in places)] = None
    return list(found)


SHUFFLED = RNG.permutation(ROWS)
CARDS = [f"45{number:014d}" for number in RNG.choice(10**14, ROWS, replace=False)]
IDENTIFIERS = {
    "id": SHUFFLED,
    "customer_id": RNG.permutation(np.arange(5000))[:ROWS] + 10**6,  # a part of the rows
    "PassengerId": np.arange(1, ROWS + 1),
    "orderID": RNG.choice(10**9, ROWS, replace=False) + 10**9,
    "invoice no": np.sort(RNG.choice(10**6, ROWS, replace=False)),
    "anything": [str(uuid.UUID(int=int.from_bytes(RNG.bytes(16), "big"), version=4)) for _ in range(ROWS)],
    "code": [f"CUST-{each:06d}" for each in SHUFFLED],
    "policy": [f"P{each}" for each in SHUFFLED],
    "sku": characters(ROWS, [string.ascii_uppercase] * 2 + ["-"] + [string.digits] * 5),
    "hash": [RNG.bytes(20).hex() for _ in range(ROWS)],
    "card": CARDS,
    "paid with": CARDS,
    "phone": [f"+49 {each}" for each in RNG.choice(10**9, ROWS, replace=False) + 10**9],
    "snowflake": RNG.choice(2**60, ROWS, replace=False) + 2**60,
    "member": [f"{each:05d}" for each in RNG.choice(10**5, ROWS, replace=False)],
}
QUANTITIES = {
    "fnlwgt": RNG.integers(10**4, 10**6, ROWS) + np.arange(ROWS) % 2,
    "salary": RNG.choice(np.arange(20_000, 20_000 + 100 * ROWS), ROWS, replace=False),
    "revenue": np.round(np.exp(RNG.normal(16, 2, ROWS))).astype(int),
    "timestamp": 1_600_000_000 + np.sort(RNG.choice(10**7, ROWS, replace=False)),
    "at_ms": 1_600_000_000_000 + RNG.choice(10**10, ROWS, replace=False),
    "population": RNG.choice(10**7, ROWS, replace=False),
    "x": np.round(RNG.normal(size=ROWS), 9),
    "latitude": np.round(RNG.uniform(30, 60, ROWS), 7),
    "steps_walked": RNG.choice(10**6, ROWS, replace=False),
}


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_an_identifier_is_recognised_and_comes_back_fresh_unique_and_in_its_pattern(name: str, tmp_path: Path) -> None:
    own = list(map(str, IDENTIFIERS[name]))  # type: ignore[call-overload]
    path = table(tmp_path / "a.csv", **{name: own})
    source, said = source_of(path)
    assert [each.name for each in source.codec.columns] == ["v"]
    assert any(name in each and "identifier" in each for each in said)
    rows = source.values(np_range(ROWS)).numpy()
    write_table(source.codec, [rows[:100], rows[100:]], tmp_path / "b.csv", seed=5)
    with (tmp_path / "b.csv").open() as file:
        back = list(csv.reader(file))
    assert back[0] == [name, "v"]
    made = [row[0] for row in back[1:]]
    assert len(set(made)) == ROWS
    assert not set(made) & set(own)
    assert set(map(shape, made)) <= set(map(shape, own)) or own[0].isdigit() or name == "policy"
    if len(set(map(len, own))) == 1:
        assert set(map(len, made)) == {len(own[0])}


def np_range(count: int):  # type: ignore[no-untyped-def]
    import torch

    return torch.arange(count)


def shape(text: str) -> str:
    """Which places hold a letter or a digit, which something fixed."""
    return re.sub(r"[A-Za-z0-9]", "x", text)


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_quantity_that_is_nearly_unique_is_learnt(name: str, tmp_path: Path) -> None:
    assert kinds(table(tmp_path / "a.csv", **{name: QUANTITIES[name]}))[name] == "number"


def test_the_index_of_a_dataframe_is_left_out_and_said(tmp_path: Path) -> None:
    for name in ("_unnamed", "Unnamed: 0", "index"):
        path = table(tmp_path / "a.csv", **{name: SHUFFLED, "id": SHUFFLED})
        source, said = source_of(path)
        assert source.columns == ("id", "v")
        assert any("index of a DataFrame" in each for each in said)


def test_a_uuid_keeps_its_version_and_variant(tmp_path: Path) -> None:
    found = identifier_of("u", IDENTIFIERS["anything"], missing=0.0, whole=False)  # type: ignore[arg-type]
    assert found is not None and found.known == b""
    made = [uuid.UUID(each) for each in fresh(found, 1000) if each]
    assert {each.version for each in made} == {4}
    assert {each.variant for each in made} == {uuid.RFC_4122}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_fresh_identifiers_are_unique_unknown_and_do_not_depend_on_chunks(data: st.DataObject) -> None:
    alphabet = st.sampled_from(["0123456789", "0123456789abcdef", "AB", "XYZ", "-", "7", string.ascii_uppercase])
    places = data.draw(st.lists(alphabet, min_size=2, max_size=24))
    room = int(np.prod([float(len(each)) for each in places]))
    if room < 3:
        places, room = [*places, string.digits], room * 10
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count = min(data.draw(st.integers(2, 300)), room - 1)
    known: set[str] = set()
    while len(known) < count:
        known.add("".join(str(rng.choice(list(each))) for each in places))
    found = identifier_of("a", sorted(known), missing=0.0, whole=False)
    assert found is not None
    again = Identifier.from_state(found.state())
    assert again == found
    wanted = min(found.capacity, 700)
    first = fresh(found, wanted, seed=1)
    assert None not in first and len(set(first)) == wanted
    assert not set(first) & known
    assert fresh(again, wanted, seed=1, chunks=5) == first
    if wanted == found.capacity:
        with pytest.raises(UserError, match="too few identifiers"):
            fresh(found, wanted + 1, seed=1)
    with pytest.raises(UserError, match=f"{found.capacity} that are not in the data"):
        found.require_room(found.capacity + 1)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 0.9), st.lists(st.integers(0, 40), min_size=2, max_size=12), st.integers(0, 2**32))
def test_a_stream_goes_on_where_its_last_chunk_ended(missing: float, sizes: list[int], seed: int) -> None:
    # Two patterns and gaps: which row has which is a matter of its place in the sample, not of that in its chunk.
    known = [f"A-{each:05d}" for each in range(60)] + [f"{each:08d}-x-{each:03d}" for each in range(90)]
    found = identifier_of("a", known, missing=0.0, whole=False)
    assert found is not None and len(found.patterns) == 2
    found = replace(found, missing=missing)
    rows = sum(sizes) + 100
    whole = fresh(found, rows, seed=seed)
    stream = found.stream(seed)
    assert [each for size in [*sizes, 60, 40] for each in stream.take(size)] == whole
    made = [each for each in whole if each is not None]
    assert len(set(made)) == len(made) < rows
    kind = [None if each is None else each[0] == "A" for each in whole]
    assert kind[:50] != kind[50:100]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000) | st.integers(2**40, LARGEST), st.integers())
def test_a_permutation_has_every_number_once(size: int, key: int) -> None:
    count = min(size, 5000)
    found = Permutation(size, key).at(np.arange(count))
    assert len(np.unique(found)) == count
    assert found.min() >= 0 and found.max() < size


def test_a_type_bounds_its_identifiers(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for kind in ("int16", "uint32", "int64", "uint64"):
        top = min(np.iinfo(kind).max, 2**53)
        own = RNG.choice(top // 2, ROWS, replace=False) + top // 2 if top > 10**6 else RNG.choice(top, ROWS, False)
        content = pyarrow.table({"id": pyarrow.array(own, kind), "s": ["a", "b"] * (ROWS // 2)})
        parquet.write_table(content, tmp_path / "a.parquet")
        source, _ = source_of(tmp_path / "a.parquet")
        write_table(source.codec, [source.values(np_range(ROWS)).numpy()], tmp_path / "b.parquet")
        back = parquet.read_table(tmp_path / "b.parquet")
        assert back.schema.equals(content.schema)
        assert len(set(back["id"].to_pylist())) == ROWS
        assert not set(back["id"].to_pylist()) & set(own.tolist())


def test_a_condition_on_an_identifier_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", id=SHUFFLED)
    with pytest.raises(UserError, match="Column id is no condition: an identifier"):
        table_source(read_csv(path), condition=["id"])


def test_a_schema_makes_an_identifier_of_a_column_and_a_number_of_an_identifier(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", id=SHUFFLED, shop=RNG.integers(100, 200, ROWS))
    source, _ = source_of(path, {"columns": {"id": "number", "shop": "id"}})
    assert [each.name for each in source.codec.columns] == ["id", "v"]
    assert [each.name for each in source.codec.identifiers] == ["shop"]
    assert source.columns == ("id", "shop", "v")
    with pytest.raises(UserError, match="no pattern that identifiers have"):
        source_of(table(tmp_path / "b.csv", a=["x" * (each % 40) for each in range(ROWS)]), {"columns": {"a": "id"}})


def test_missing_identifiers_keep_their_share(tmp_path: Path) -> None:
    own = [f"A-{each:05d}" if each % 4 else "" for each in range(ROWS)]
    source, _ = source_of(table(tmp_path / "a.csv", ref=own), {"columns": {"ref": "id"}})
    (found,) = source.codec.identifiers
    made = fresh(found, 4000)
    assert 0.2 < sum(each is None for each in made) / 4000 < 0.3
    assert len({each for each in made if each}) == sum(each is not None for each in made)


def test_identifiers_are_kept_in_a_checkpoint_and_old_ones_have_none(tmp_path: Path) -> None:
    source, _ = source_of(table(tmp_path / "a.csv", id=SHUFFLED))
    state = source.codec.state()
    again = codec_from_state(state)
    assert isinstance(again, TableCodec) and again.identifiers == source.codec.identifiers
    del state["identifiers"]
    assert codec_from_state(state).identifiers == ()  # type: ignore[union-attr]
