"""What would not come back is refused before anything is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.data import open_source
from wassergan.data.roundtrip import Change, RoundTrip
from wassergan.data.tables.codec import TableCodec
from wassergan.data.tables.encodings import CategoryCoding, NumberCoding
from wassergan.data.tables.formats import LevelForm, NumberForm
from wassergan.data.tables.roundtrip import telling_rows
from wassergan.errors import UserError


def written(folder: Path, values: list[str], *, name: str = "x") -> Path:
    lines = (f"{value},{row % 7}" for row, value in enumerate(values))
    (folder / "a.csv").write_text(f"{name},other\n" + "\n".join(lines) + "\n")
    return folder / "a.csv"


def test_a_table_that_comes_back_says_so(tmp_path: Path) -> None:
    source = open_source(written(tmp_path, [f"{row * row / 4:.2f}" for row in range(60)]))
    assert source.round_trip == RoundTrip(2)
    assert source.round_trip.words() == "as written: all 2 columns"


@pytest.mark.parametrize(
    ("trip", "words"),
    [
        (RoundTrip(1), "as written: the column"),
        (RoundTrip(3, "channel"), "as written: all 3 channels"),
        (RoundTrip(14, changed=(Change("a", "so"),)), "as written: 1 of 14 columns changes: a: so"),
        (
            RoundTrip(14, changed=(Change("a", "so"), Change("b", "not"), Change("a", "or so"))),
            "as written: 2 of 14 columns change: a: so; b: not; a: or so",
        ),
    ],
)
def test_changes_are_told_in_a_line(trip: RoundTrip, words: str) -> None:
    assert trip.words() == words


def test_a_number_in_another_dress_is_said_rather_than_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [*(f"{row * row / 4}" for row in range(60)), "1e1"])
    notes: list[str] = []
    trip = open_source(path, log=notes.append).round_trip
    assert trip is not None and trip.changed == (Change("x", "'1e1' comes back as '10.0'"),)
    assert any("'1e1' as '10.0'" in note for note in notes)


def test_several_words_for_nothing_are_one_afterwards(tmp_path: Path) -> None:
    trip = open_source(written(tmp_path, ["NA", "n/a", "NA", *(f"{row * row}" for row in range(60))])).round_trip
    assert trip is not None and trip.changed == (Change("x", "missing values 'n/a' come back as 'NA'"),)


def broken(owner: Any, name: str, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda self, *given: wrong(right(self, *given)))


def nudged(values: Any) -> Any:
    return values + 1e-3 * np.ptp(values)


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "message"),
    [
        (NumberForm, "texts", lambda texts: [f"1{each}" for each in texts], "would be written"),
        (LevelForm, "texts", lambda texts: [each.upper() for each in texts], "would be written"),
        (NumberCoding, "decode", nudged, "would come back as"),
        (CategoryCoding, "decode", lambda codes: 1 - codes, "would come back as"),
        (TableCodec, "encode", lambda vectors: vectors.half().float() * 1.001, "would come back as"),
    ],
)
def test_damage_on_any_leg_of_the_way_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, wrong: Callable[..., Any], message: str
) -> None:
    numbers = np.random.default_rng(0).normal(size=300)
    lines = "".join(f"{number},{'ab'[row % 2]}\n" for row, number in enumerate(numbers.tolist()))
    (tmp_path / "a.csv").write_text("x,kind\n" + lines)
    open_source(tmp_path / "a.csv")
    broken(owner, name, wrong, monkeypatch)
    with pytest.raises(UserError, match=rf"Column (x|kind) of a\.csv would not come back as it is: .*{message}"):
        open_source(tmp_path / "a.csv")


def test_what_cannot_be_written_is_refused_by_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from wassergan.data.tables import arrowvalues

    right = arrowvalues._found

    def wrong(column: Any, values: Any, kind: Any) -> Any:
        if column.name == "b":
            raise pyarrow.ArrowTypeError("Expected bytes")
        return right(column, values, kind)

    monkeypatch.setattr(arrowvalues, "_found", wrong)
    with pytest.raises(
        UserError, match=r"Column b of the DataFrame .*: ArrowTypeError: Expected bytes\. .*\"b\": \"drop\""
    ):
        open_source(pyarrow.table({"a": np.arange(40) ** 2 % 23, "b": np.arange(40) ** 2 % 31}))


def test_rows_that_tell_most_are_tried() -> None:
    rows = np.random.default_rng(0).normal(size=(100_000, 2))
    rows[51_234, 0], rows[61_234, 1], rows[71_234, 1] = 99, -99, np.nan
    some = telling_rows(rows)
    assert {0, 51_234, 61_234, 71_234, 99_999} <= set(some.tolist()) and (np.diff(some) > 0).all()
    assert len(telling_rows(rows[:3])) == 3


def test_frames_are_compared_by_their_own_types() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.arange(40) % 7, "b": pandas.Series(["1.50", None] * 20, dtype=object)})
    source = open_source(frame)
    assert source.round_trip == RoundTrip(2) and source.values(torch.arange(2)).shape == (2, 2)
    frame.loc[3, "b"] = np.nan
    trip = open_source(frame).round_trip
    assert trip is not None and trip.changed == (Change("b", "missing values nan come back as nothing"),)


def test_nanoseconds_are_cut_and_said() -> None:
    pandas = pytest.importorskip("pandas")
    moments = pandas.Timestamp("2021-01-01") + pandas.to_timedelta(np.arange(60) ** 5, unit="ns")
    trip = open_source(pandas.DataFrame({"t": moments, "x": np.arange(60) % 7})).round_trip
    assert trip is not None and trip.changed == (Change("t", "it is cut to microseconds"),)
