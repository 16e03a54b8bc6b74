"""Missing cells filled by a run, on the command line and in Python."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wassergan import WassersteinGAN, open_sampler
from wassergan.data import open_source
from wassergan.data.tables.gaps import _spans, _with_cells
from wassergan.errors import UserError
from wassergan.networks.kept_cells import KeptCells
from wassergan.networks.table_head import TableHead, _brier
from wassergan.sampling.completion import CHUNK, Completer, completed
from wassergan.utils.column_layout import ColumnLayout

QUICK: dict[str, Any] = {
    "steps": 3,
    "batch_size": 32,
    "settings": {},
    "generator_widths": (16,),
    "critic_widths": (16,),
}
COUNT = 300


def people(count: int = COUNT, seed: int = 0) -> pd.DataFrame:
    """All kinds of columns, with a rule between two, an identifier, a constant and missing cells."""
    numbers = np.random.default_rng(seed)
    low = numbers.integers(0, 50, count)
    frame = pd.DataFrame(
        {
            "low": low,
            "high": low + numbers.integers(1, 30, count),
            "height": numbers.normal(170, 10, count).round(1),
            "town": numbers.choice(["Ulm", "Trier", "Bonn, Rhein"], count),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(numbers.integers(0, 900, count), unit="D"),
            "pays": numbers.choice([True, False], count),
            "same": "x",
            "key": [f"K-{each:06d}" for each in numbers.permutation(900_000)[:count]],
        }
    )
    frame.loc[numbers.random(count) < 0.2, "town"] = None
    return frame


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["by a score", "by likelihood"])
def gan(request: pytest.FixtureRequest) -> WassersteinGAN:
    further = {"settings": {"likelihood": request.param, "sequence_width": 16 if request.param else 0}}
    return WassersteinGAN(**{**QUICK, **further}, completion=True, schema={"rules": ["low < high"]}).fit(people())


def with_gaps(frame: pd.DataFrame, share: float = 0.4, seed: int = 1) -> pd.DataFrame:
    hidden = np.random.default_rng(seed).random(frame.shape) < share
    return frame.astype(object).where(~hidden, None)


def test_given_cells_stay_and_all_others_are_filled_by_the_rules(gan: WassersteinGAN) -> None:
    whole = people()
    gaps = whole.astype({"low": "Int64", "high": "float64", "pays": "boolean", "town": "category"})
    hidden = np.random.default_rng(1).random(gaps.shape) < 0.4
    hidden[3] = True  # a row of which nothing is known
    gaps = gaps.mask(hidden)
    gaps.index = pd.Index(range(7, 7 + COUNT), name="row")
    filled = gan.complete(gaps, seed=5)
    assert filled.index.equals(gaps.index)
    assert (filled.dtypes == gaps.dtypes).all()
    assert not filled.isna().any(axis=None)
    there = gaps.notna()
    assert all(filled[name][there[name]].tolist() == gaps[name][there[name]].tolist() for name in gaps)
    assert (filled["low"].astype(float) < filled["high"]).all()
    assert filled["key"].is_unique and filled["key"].str.fullmatch(r"K-\d{6}").all()
    assert set(filled["same"]) == {"x"}


def test_what_is_filled_hangs_on_the_seed_and_the_row_alone(gan: WassersteinGAN) -> None:
    gaps = with_gaps(people(CHUNK + 50, seed=2).drop(columns="key").assign(key=None))
    filled = gan.complete(gaps, seed=5).drop(columns="key")
    part = gan.complete(gaps.iloc[: CHUNK + 9], seed=5).drop(columns="key")
    pd.testing.assert_frame_equal(part, filled.iloc[: CHUNK + 9])
    turned = gan.complete(gaps[list(gaps)[::-1]], seed=5)
    pd.testing.assert_frame_equal(turned[list(filled)], filled)
    first, second = (each.drop(columns="key") for each in gan.complete(gaps, seed=5, draws=2))
    pd.testing.assert_frame_equal(first, filled)
    assert not second.equals(filled)


def test_a_table_without_gaps_comes_back_as_it_is(gan: WassersteinGAN) -> None:
    whole = people(seed=3).fillna({"town": "Ulm"})
    pd.testing.assert_frame_equal(gan.complete(whole), whole)
    pd.testing.assert_frame_equal(gan.complete(whole.iloc[:0]), whole.iloc[:0])


def test_new_levels_and_numbers_out_of_range_are_kept(gan: WassersteinGAN) -> None:
    odd = people(seed=3).iloc[:4].assign(town="Rome", height=[999.9, -5.0, np.nan, 170.0])
    filled = gan.complete(odd)
    assert set(filled["town"]) == {"Rome"}
    assert filled["height"].tolist()[:2] == [999.9, -5.0] and 100 < filled["height"][2] < 250


def test_given_cells_are_kept_without_rules_too() -> None:
    plain = WassersteinGAN(**QUICK, completion=True).fit(people().drop(columns="key"))
    odd = people(seed=3).drop(columns="key").iloc[:4].assign(town="Rome", height=[999.9, -5.0, np.nan, 170.0])
    filled = plain.complete(odd)
    kept = odd.notna()
    assert filled.where(kept).equals(odd.where(kept)) and filled.notna().all().all()


def test_arrow_keeps_its_types(gan: WassersteinGAN) -> None:
    table = pa.Table.from_pandas(with_gaps(people(seed=4)), preserve_index=False)
    table = table.set_column(3, "town", table["town"].dictionary_encode())
    filled = gan.complete(table)
    assert filled.schema == table.schema
    assert sum(column.null_count for column in filled.columns) == 0


def test_polars_keeps_its_types_and_columns_without_a_name() -> None:
    polars = pytest.importorskip("polars")
    numbers = np.random.default_rng(0)
    frame = polars.DataFrame({"": numbers.normal(size=80), "town": numbers.choice(["Ulm", "Trier"], 80)})
    towns = [None, "Ulm", None, "Trier", "Ulm"]
    gaps = frame.head(5).with_columns(polars.Series("town", towns))
    filled = WassersteinGAN(**QUICK, completion=True).fit(frame).complete(gaps)
    assert filled.schema == frame.schema and filled[""].equals(gaps[""])
    assert all(
        made == given if given else made in ("Ulm", "Trier") for made, given in zip(filled["town"], towns, strict=True)
    )


def test_a_saved_estimator_completes_alike_and_a_resumed_one_is_the_longer_one(
    gan: WassersteinGAN, tmp_path: Path
) -> None:
    gan.save(tmp_path / "gan.pt")
    gaps = with_gaps(people(seed=6))
    pd.testing.assert_frame_equal(WassersteinGAN.load(tmp_path / "gan.pt").complete(gaps), gan.complete(gaps))
    schema = {"rules": ["low < high"]}
    longer = WassersteinGAN(**(QUICK | {"steps": 4}), completion=True, schema=schema).fit(people())
    halves = WassersteinGAN(**(QUICK | {"steps": 2}), completion=True, schema=schema).fit(people())
    halves.fit(people(), resume=True)
    for name, value in longer.generator_.state_dict().items():
        assert torch.equal(value, halves.generator_.state_dict()[name]), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="town"), ("lacks columns of the run's table", "town")),
        (lambda frame: frame.assign(more=1), ("columns that the run's table does not have", "more")),
        (lambda frame: frame.assign(height="tall"), ("height",)),
        (lambda frame: frame.assign(low=30, high=20), ("The rules exclude the cells of row 0", "low=30", "low < high")),
        (lambda frame: frame.to_numpy(), ("Rows to complete come in a DataFrame",)),
    ],
)
def test_other_tables_are_refused(gan: WassersteinGAN, change: Callable[[Any], Any], words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as caught:
        gan.complete(change(people(seed=3)))
    assert all(word in str(caught.value) for word in words), caught.value


def test_fits_that_cannot_complete_say_how_to(gan: WassersteinGAN) -> None:
    plain = WassersteinGAN(**QUICK).fit(people())
    with pytest.raises(UserError, match="completion"):
        plain.complete(people())
    with pytest.raises(UserError, match="is for tables"):
        WassersteinGAN(**QUICK, completion=True).fit(np.zeros((100, 2)) + np.arange(100)[:, None])
    with pytest.raises(UserError, match="any column can be given"):
        WassersteinGAN(**QUICK, completion=True, condition="town").fit(people())
    with pytest.raises(UserError, match="refine"):
        WassersteinGAN(**QUICK, completion=True, refine=2).fit(people())


def test_any_columns_can_be_given(gan: WassersteinGAN) -> None:
    drawn = gan.sample(40, given={"town": "Ulm", "low": 30})
    assert set(drawn["town"]) == {"Ulm"} and set(drawn["low"]) == {30} and (drawn["high"] > 30).all()
    assert len(set(drawn["height"])) > 5
    assert set(gan.sample(20, given={"high": 12})["high"]) == {12}


CSV = b'\xef\xbb\xbfnumber;"town";note\r\n' + b"".join(
    b'%d;"%s";n%d\r\n' % (i % 40, [b"Ulm", b'Bad "Ems"', b"Rom;a"][i % 3].replace(b'"', b'""'), i % 5)
    for i in range(200)
)
GAPS = b'\xef\xbb\xbfnumber;"town";note\r\n7;"Bad ""Ems""";n1\r\n;"Rom;a";\r\n8;"";n2\r\n9;Ulm;n3\r\n11;"Ulm";NA'


def test_every_byte_of_a_file_stays_but_those_of_missing_cells(
    cli: Callable[..., Any], refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "data.csv").write_bytes(CSV)
    (tmp_path / "gaps.csv").write_bytes(GAPS)
    run, out = tmp_path / "run", tmp_path / "filled.csv"
    quick = ("--steps", "2", "--batch-size", "16", "--generator-widths", "8", "--critic-widths", "8")
    assert cli("train", tmp_path / "data.csv", "--completion", *quick, "--out", run).code == 0
    said = cli("complete", run, tmp_path / "gaps.csv", "--out", out, "--draws", "2", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["missing"] == 4
    one, two = ((tmp_path / f"filled-{number}.csv").read_bytes().split(b"\r\n") for number in (1, 2))
    before = GAPS.split(b"\r\n")
    for filled in (one, two):
        assert [filled[at] for at in (0, 1, 4)] == [before[at] for at in (0, 1, 4)]
        number, rest = filled[2].split(b";", 1)
        assert number.isdigit() and rest.startswith(b'"Rom;a";n')
        assert filled[3].startswith(b'8;"') and filled[3].endswith(b'";n2') and filled[3] != b'8;"";n2'
        assert filled[5].startswith(b'11;"Ulm";n') and len(filled) == 6
    assert "is the table to complete" in refused("complete", run, tmp_path / "gaps.csv", "--out", tmp_path / "gaps.csv")
    assert "has the format of the one that came" in refused(
        "complete", run, tmp_path / "gaps.csv", "--out", tmp_path / "filled.parquet"
    )
    assert "There is no" in refused("complete", run, tmp_path / "none.csv")
    assert "not exported" in refused("export", run, "--out", tmp_path / "run.safetensors")
    assert "cannot be refined" in refused("sample", run, "--refine", "2")


def test_parquet_files_keep_their_schema(gan: WassersteinGAN, cli: Callable[..., Any], tmp_path: Path) -> None:
    whole = people(60)
    whole.to_parquet(tmp_path / "data.parquet", index=False)
    gaps = pa.Table.from_pandas(with_gaps(whole), preserve_index=False)
    pq.write_table(gaps, tmp_path / "gaps.parquet")
    quick = ("--steps", "2", "--batch-size", "16", "--generator-widths", "8", "--critic-widths", "8")
    assert cli("train", tmp_path / "data.parquet", "--completion", *quick, "--out", tmp_path / "run").code == 0
    assert cli("complete", tmp_path / "run", tmp_path / "gaps.parquet").code == 0
    filled = pq.read_table(tmp_path / "run" / "gaps-completed.parquet")
    assert filled.schema == gaps.schema and sum(column.null_count for column in filled.columns) == 0
    completer = Completer.of(open_sampler(tmp_path / "run", device="cpu"))
    rows = np.full((3, len(completer.codec.columns)), np.nan)
    assert not np.isnan(completed(completer, rows, seed=0)).any()


FIELDS = st.one_of(
    st.text(st.characters(codec="ascii", exclude_characters='"\r\n,\0 '), max_size=4),
    st.text(st.characters(codec="ascii", exclude_characters="\0\r"), max_size=5).map(
        lambda text: '"' + text.replace('"', '""') + '"'
    ),
)


@example(['"a"",b"', "c"], 1, "")
@example(["c", '"a"",,""b"'], 1, "\r\n")
@given(st.lists(FIELDS, min_size=1, max_size=5), st.integers(0, 4), st.sampled_from(["\n", "\r\n", ""]))
def test_fields_of_a_record_are_found_as_they_stand(fields: list[str], number: int, end: str) -> None:
    record = ",".join(fields) + end
    assert [record[a:b] for a, b in _spans(record, ",", False)] == fields
    number %= len(fields)
    written = '"new"' if fields[number].startswith('"') else "new"
    changed = [*fields[:number], written, *fields[number + 1 :]]
    assert _with_cells(record, {number: "new"}, ",", False) == ",".join(changed) + end


def test_training_hides_columns_of_each_row_by_itself() -> None:
    frame = people().drop(columns="key")
    context = open_source(frame, completion=True).context
    assert context is not None
    whole = context.whole(torch.arange(200))
    hidden = context.hidden(whole, torch.rand(200, context.chances, generator=torch.Generator().manual_seed(0)))
    columns = frame.shape[1]
    bits, nothing = hidden[:, -columns - 1 : -1], hidden[:, -1]
    assert torch.equal(nothing == 1, (bits == 0).all(1))
    assert 0.15 < float(nothing.mean()) < 0.5  # a quarter, and those of which nothing happens to be left
    gaps = {tuple(row) for row in bits.tolist()}
    assert len(gaps) > 20
    assert tuple(float(name != "town") for name in frame) in gaps  # as in the data
    assert torch.equal(hidden[bits.all(1)], whole[bits.all(1)])
    assert not hidden[nothing == 1][:, :-1].any()


@settings(deadline=None)
@given(st.integers(2, 5), st.integers(0, 99))
def test_the_score_of_a_category_is_least_for_its_own_distribution(levels: int, seed: int) -> None:
    numbers = torch.Generator().manual_seed(seed)
    truth = torch.softmax(torch.randn(levels, generator=numbers), 0)
    other = torch.softmax(torch.randn(levels, generator=numbers), 0)

    def expected(chances: torch.Tensor) -> float:
        logits = chances.log().expand(levels, levels)
        return float((truth * _brier(logits, logits, torch.eye(levels))).sum())

    # E of the Brier score is |p - q|² / 2 - |q|² / 2.
    assert expected(other) == pytest.approx(float((other - truth).square().sum() - truth.square().sum()) / 2, abs=1e-5)
    assert expected(truth) <= expected(other) + 1e-6


def test_given_cells_are_put_through_and_only_hidden_ones_are_scored() -> None:
    kept = KeptCells([(0, 4), (1, 4), (-1, -1), (-1, -1)], given=6)
    rows, inputs = torch.zeros(2, 4), torch.tensor([[5.0, 6, 7, 8, 1, 0], [5.0, 6, 7, 8, 0, 1]])
    assert kept(rows, inputs).tolist() == [[5, 6, 0, 0], [0, 0, 0, 0]]
    assert kept.hidden(inputs).tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    head = TableHead([ColumnLayout(2), ColumnLayout(0, places=(0.0,))], kept=kept)
    raw, real = torch.zeros(1, 3, requires_grad=True), torch.tensor([[1.0, 0.0, 0.5]])
    head.energy(raw, raw, real, torch.tensor([[0.0, 0.0, 1.0]])).backward()
    assert raw.grad is not None and raw.grad[0, :2].abs().sum() == 0 and raw.grad[0, 2] < 0
