from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan.data import open_source, schema_of
from wassergan.data.split import keep_classes, split_rows
from wassergan.data.weights import checked_weights, effective_count, proportional_positions
from wassergan.errors import UserError
from wassergan.session.fingerprint import fingerprint
from wassergan.training.batches import BatchStream

RNG = np.random.default_rng(0)


def survey(count: int = 900) -> pd.DataFrame:
    """Three groups, of which the rare ones count for more; a number and a missing value that go by the group."""
    group = RNG.choice(["a", "b", "c"], count, p=[0.7, 0.2, 0.1])
    weight = np.select([group == "a", group == "b"], [1.0, 4.0], 15.0) * RNG.uniform(0.5, 1.5, count)
    number = RNG.normal(size=count) + 3 * (group == "c")
    number[(group == "b") & (RNG.random(count) < 0.5)] = np.nan
    weight[:7] = 0
    return pd.DataFrame({"group": group, "number": number.round(3), "w": weight.round(4)})


SURVEY = survey()


def shares(frame: pd.DataFrame) -> dict[str, float]:
    total: dict[str, float] = (frame.groupby("group")["w"].sum() / frame["w"].sum()).to_dict()
    return total


def train_part(source: Any) -> pd.DataFrame:
    return SURVEY.iloc[source.split.train_rows(torch.arange(source.train_count)).numpy()]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(0, 1e9) | st.just(0.0), min_size=1, max_size=40).filter(any),
    st.integers(1, 200),
    st.integers(0, 2**31),
)
def test_positions_come_in_proportion_to_their_weights(weights: list[float], count: int, seed: int) -> None:
    found = proportional_positions(np.array(weights), count, rng=torch.Generator().manual_seed(seed))
    wanted = np.array(weights) / sum(weights) * count
    counts = np.bincount(found.numpy(), minlength=len(weights))
    assert len(found) == count and (counts[np.array(weights) == 0] == 0).all()
    assert (counts >= np.floor(wanted - 1e-6)).all() and (counts <= np.ceil(wanted + 1e-6)).all()


def test_the_column_of_weights_is_no_column_of_the_samples_and_batches_are_in_proportion(tmp_path: Path) -> None:
    SURVEY.to_csv(tmp_path / "a.csv", index=False)
    SURVEY.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        said: list[str] = []
        source = open_source(tmp_path / name, weight="w", log=said.append)
        assert source.columns == ("group", "number") and len(source) == 900
        worth = effective_count(SURVEY["w"].to_numpy())
        assert f"893 rows with weights tell as much as {worth:.0f} of equal weight (w; 7 of weight 0 are" in said[0]
        assert source.train_count + source.heldout_count == 893
        stream = BatchStream(source, 100, seed=3)
        drawn = torch.cat([stream.draw().samples for _ in range(source.train_count // 100)])
        wanted = shares(train_part(source))
        assert (drawn[:, :3] > 0).double().mean(0).tolist() == pytest.approx([wanted[each] for each in "abc"], abs=0.02)
        assert source.codec.shares[:3] == pytest.approx([wanted[each] for each in "abc"], abs=1e-9)  # type: ignore[attr-defined]
        held = source.heldout(source.heldout_positions(4000))
        heldout = SURVEY.iloc[source.split.heldout.numpy()]
        assert (held[:, 2] > 0).double().mean().item() == pytest.approx(shares(heldout)["c"], abs=0.001)
        own = source.train(source.train_positions(4000))
        assert (own[:, 2] > 0).double().mean().item() == pytest.approx(wanted["c"], abs=0.001)


def test_numbers_spread_as_the_weights_say() -> None:
    source = open_source(SURVEY, weight="w")
    codec: Any = source.codec
    trained = train_part(source).dropna()
    order = np.argsort(trained["number"].to_numpy())
    below = np.cumsum(trained["w"].to_numpy()[order]) / trained["w"].sum()
    quantiles = np.array(codec.spread[-1])
    place = codec.columns[1].coding.encode(trained["number"].to_numpy()[order][[len(order) // 2, len(order) * 9 // 10]])
    channel = codec.columns[1].coding.layout.options
    for index, row in zip((len(order) // 2, len(order) * 9 // 10), place, strict=True):
        assert np.interp(row[channel], quantiles, np.linspace(0, 1, 257)) == pytest.approx(below[index], abs=0.02)


def test_conditions_and_rules_are_drawn_by_weight() -> None:
    frame = SURVEY.assign(kind=SURVEY["group"].map({"a": "x", "b": "y", "c": "z"}), other=RNG.choice(["p", "q"], 900))
    source = open_source(
        frame, weight="w", condition=["group"], schema=schema_of({"rules": ["kind, other"], "columns": {}})
    )
    wanted = shares(train_part(source))
    pool: Any = source.conditions
    assert np.bincount(pool.pool[:, 0].astype(int)) / len(pool.pool) == pytest.approx(
        [wanted[each] for each in "abc"], abs=0.001
    )
    book: Any = source.codec.rules
    (group,) = book.groups
    by_kind = np.bincount(group.rows[:, [name for name, _ in group.facets].index("kind")].astype(int), group.shares)
    assert by_kind == pytest.approx([wanted[each] for each in "abc"], abs=1e-9)


def test_margins_under_a_frequent_condition_are_weighted() -> None:
    count = 3000
    level, sex = RNG.choice(["u", "v"], count), RNG.choice(["f", "m"], count)
    weights = np.where((level == "u") & (sex == "f"), 5.0, 1.0)
    source = open_source(pd.DataFrame({"level": level, "sex": sex}), sample_weight=weights, condition=["sex"])
    codec: Any = source.codec
    train = source.split.train.numpy()  # type: ignore[union-attr]
    for stratum in codec.strata:
        own = sex[train] == ("f", "m")[stratum.options[0]]
        wanted = weights[train][own & (level[train] == "u")].sum() / weights[train][own].sum()
        assert stratum.shares[0] == pytest.approx(wanted, abs=1e-9)
    assert len(codec.strata) == 2


def test_equal_weights_are_none() -> None:
    frame = SURVEY.drop(columns="w")
    plain, weighted = open_source(frame), open_source(frame, sample_weight=np.full(900, 0.3))
    assert weighted.weights is None and fingerprint(plain) == fingerprint(weighted)
    assert torch.equal(BatchStream(plain, 50, seed=1).draw().samples, BatchStream(weighted, 50, seed=1).draw().samples)
    other = open_source(frame, sample_weight=np.arange(900) + 1)
    assert fingerprint(other) != fingerprint(plain)
    assert fingerprint(other) != fingerprint(open_source(frame, sample_weight=np.arange(900) + 2))


def test_a_stream_with_weights_goes_on_where_it_was() -> None:
    source = open_source(SURVEY, weight="w")
    stream, again = BatchStream(source, 100, seed=5), BatchStream(source, 100, seed=5)
    for _ in range(11):
        stream.draw()
    again.load_state_dict(stream.state_dict())
    assert torch.equal(stream.draw().samples, again.draw().samples)


def test_rows_of_arrays_have_weights() -> None:
    points = RNG.normal(size=(400, 3))
    weights = np.where(points[:, 0] > 0, 9.0, 1.0)
    weights[:30] = 0
    source = open_source(points, sample_weight=torch.from_numpy(weights))
    assert not set(range(30)) & {*source.split.heldout.tolist(), *source.split.train.tolist()}  # type: ignore[union-attr]
    stream = BatchStream(source, 90, seed=0)
    drawn = torch.cat([stream.draw().samples for _ in range(40)])
    middle = -points[:, 0].mean() / points[:, 0].std()  # model space is standardised
    own = source.split.train.numpy()  # type: ignore[union-attr]
    wanted = weights[own][points[own, 0] > 0].sum() / weights[own].sum()
    assert (drawn[:, 0] > middle).double().mean().item() == pytest.approx(wanted, abs=0.05)


def test_a_class_whose_rows_have_no_weight_moves_no_row() -> None:
    classes = {"c": np.array([0] * 40 + [1] * 40)}
    taking_part = np.arange(80) < 40
    split = split_rows(80, heldout=0.5, seed=0, taking_part=taking_part)
    assert keep_classes(split, classes, seed=0) is split and len(split.heldout) == 20
    classes["c"][split.heldout[:1].numpy()] = 2  # the only one of its class is held out
    moved = keep_classes(split, classes, seed=0)
    assert moved is not split and len(moved.heldout) == 20 and moved.heldout.max() < 40
    assert sorted([*moved.train.tolist(), *moved.heldout.tolist()]) == list(range(40))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({5: -1}, "holds weights that are negative: 1 of 900, the first in line 7"),
        ({8: np.nan, 9: np.nan}, "holds weights that are missing: 2 of 900, the first in line 10"),
        ({3: np.inf}, "Column w of a.csv does not hold numbers alone: 'inf' in line 5"),
        (dict.fromkeys(range(900), 0.0), "holds zero weights alone"),
        (dict.fromkeys(range(899), 0.0), "Too few"),
    ],
)
def test_a_column_that_holds_no_weights_is_refused(change: dict[int, float], message: str, tmp_path: Path) -> None:
    frame = SURVEY.copy()
    frame.loc[list(change), "w"] = list(change.values())
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(UserError, match=message):
        open_source(tmp_path / "a.csv", weight="w")


def test_a_condition_that_does_not_vary_among_rows_with_weight_is_refused() -> None:
    frame = SURVEY.assign(w=np.where(SURVEY["group"] == "a", SURVEY["w"], 0.0))
    with pytest.raises(UserError, match="The condition group of the DataFrame is the same in all"):
        open_source(frame, weight="w", condition=["group"])


def test_weights_that_cannot_be_are_refused(tmp_path: Path) -> None:
    SURVEY.to_csv(tmp_path / "a.csv", index=False)
    np.save(tmp_path / "a.npy", np.zeros((9, 2)))
    for path, options, message in (
        ("a.csv", {"weight": "v"}, "Unknown column of a.csv with weights: 'v'. Known: group, number, w"),
        ("a.csv", {"weight": "group"}, "Column group of a.csv does not hold numbers"),
        ("a.csv", {"weight": "w", "condition": ["w"]}, "Column w is no condition: it holds the weights"),
        (
            "a.csv",
            {"weight": "w", "schema": schema_of({"rules": ["w < number"]})},
            "column w, which holds the weights",
        ),
        (
            "a.csv",
            {"weight": "w", "schema": schema_of({"columns": {"w": "category"}})},
            "a category in the schema",
        ),
        ("a.csv", {"weight": "w", "sample_weight": [1.0]}, "Weights are given twice"),
        ("a.npy", {"weight": "w"}, "Weights are a column of a table"),
        ("digits", {"weight": "w"}, "Weights are a column of a table"),
    ):
        with pytest.raises(UserError) as error:
            open_source(path if path == "digits" else tmp_path / path, **options)  # type: ignore[arg-type]
        assert message in str(error.value)
    for values, message in (
        (np.array([1.0, np.inf] * 4 + [1.0]), "w holds weights that are infinite: 4 of 9, the first in row 1"),
        (np.ones(8), "9 rows need 9 weights: w of shape (8,)"),
        (np.ones((9, 1)), "9 rows need 9 weights: w of shape (9, 1)"),
        (["x"] * 9, "w holds weights that are no numbers"),
        (np.ma.masked_less(np.arange(9), 2), "w holds weights that are missing: a mask"),
        (pd.Series([None, *range(8)], dtype="Int64"), "missing: 1 of 9, the first in row 0"),
    ):
        with pytest.raises(UserError) as error:
            checked_weights(values, count=9, name="w")
        assert message in str(error.value)
