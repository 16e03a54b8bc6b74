"""Monitors against planted changes, other libraries and whole numbers."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wassergan.data.tables.common_columns import CommonColumn
from wassergan.distances import wasserstein_line
from wassergan.errors import UserError
from wassergan.monitor import EvidenceProcess, SeasonalMonitor, W1Monitor, corrected
from wassergan.monitor.columns import _Gaps, _shares_p_value, _Subsets, column_drifts
from wassergan.monitor.evidence import POWERS
from wassergan.monitor.joint import joint_test
from wassergan.monitor.margins import with_margins_of_x
from wassergan.monitor.permutation import RankProducts
from wassergan.monitor.state import MonitorState

QUICK: dict[str, Any] = {"permutations": 99, "rows": 60, "projections": 2, "alpha": 0.05}


def frame(rng: np.random.Generator, rows: int, *, older: float = 0.0, gone: float = 0.1) -> pd.DataFrame:
    income = np.where(rng.random(rows) < gone, np.nan, rng.lognormal(10, 1, rows))
    city = rng.choice(["Ulm", "Bonn", "Kiel"], rows, p=[0.5, 0.3, 0.2])
    return pd.DataFrame({"age": rng.normal(40, 10, rows) + older, "city": city, "income": income})


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_running_sums_give_w1_of_every_subset(data: st.DataObject) -> None:
    values = np.sort(np.array(data.draw(st.lists(st.integers(-9, 9), min_size=2, max_size=9)), float))
    size = data.draw(st.integers(1, len(values) - 1))
    subsets = np.array(list(combinations(range(len(values)), size)))
    found = _Gaps(np.diff(values)).w1(subsets)
    expected = [wasserstein_line(values[each], np.delete(values, each)).item() for each in subsets]
    assert found == pytest.approx(np.array(expected), abs=1e-12)


def test_the_p_value_of_shares_is_that_of_fisher() -> None:
    """Two levels, equal sizes: the total variation orders tables as their probability does."""
    counts = np.array([[17, 3], [11, 9]])
    p_value, variation, _ = _shares_p_value(counts, _Subsets(20_000, (1,)))
    assert variation == pytest.approx(0.3)
    assert p_value == pytest.approx(stats.fisher_exact(counts).pvalue, abs=0.01)


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=12))
def test_corrections_are_those_of_scipy_and_of_the_definition(p_values: list[float]) -> None:
    expected = stats.false_discovery_control(p_values, method="bh")
    assert corrected(p_values, "benjamini-hochberg") == pytest.approx(list(expected))
    holm = corrected(p_values, "holm")
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    for level in (0.01, 0.05, 0.3):  # step down: stop at the first that is above its share of the level
        rejected = set()
        for step, each in enumerate(order):
            if p_values[each] > level / (len(order) - step):
                break
            rejected.add(each)
        near = any(abs(p_values[e] * (len(order) - s) - level) < 1e-9 for s, e in enumerate(order))
        assert near or {k for k, p in enumerate(holm) if p <= level} == rejected


def test_holm_steps_down_by_hand() -> None:
    assert corrected([0.03, 0.01, 0.02, 0.9]) == pytest.approx([0.06, 0.04, 0.06, 0.9])


def column(x: Any, y: Any, kind: str = "number", levels: tuple[str, ...] = ()) -> CommonColumn:
    return CommonColumn("c", kind, np.asarray(x, float), np.asarray(y, float), "", levels)


def drift(each: CommonColumn) -> Any:
    (found,) = column_drifts([each], alpha=0.05, confidence=0.9, permutations=199, correction="holm", seed=(0,))
    return found


def test_columns_say_where_they_moved_and_by_how_much() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=300), rng.normal(size=200)
    up, wide, narrow = drift(column(x, y + 3)), drift(column(x, 4 * y)), drift(column(x, y / 9))
    assert up.moved and up.direction == "up" and up.shift == pytest.approx(3, abs=0.2) and 1 < up.lower <= up.w1
    assert wide.moved and (wide.direction, narrow.direction) == ("wider", "narrower")
    assert up.w1 == wasserstein_line(x, y + 3).item() and up.floor < 0.3
    assert drift(column(x, y - 3)).direction == "down"
    level = drift(column([0] * 50 + [1] * 50, [0] * 10 + [1] * 40, "category", ("old", "new")))
    assert level.moved and level.direction == "old 0.5 -> 0.2" and level.w1 == pytest.approx(0.3)
    new = drift(column([0] * 30, [1] * 20, "category", ("old", "new")))
    assert new.moved and new.w1 == 1 and new.p_value == 1 / 200
    gone = drift(column(x, np.where(rng.random(300) < 0.4, np.nan, x)))
    assert gone.moved and gone.missing_batch > 0.3 and gone.missing_adjusted <= 0.01 < gone.adjusted
    empty = drift(column(x, [np.nan] * 40))
    assert empty.moved and empty.w1 is None and "no values" in empty.words()
    constant = drift(column([7.0] * 30, [7.0] * 20))
    assert not constant.moved and (constant.p_value, constant.w1, constant.direction) == (1.0, 0.0, "unchanged")


def test_a_column_of_few_values_is_not_sure_of_anything() -> None:
    """One row of each side: whatever the values, no test can reject."""
    assert drift(column([1.0], [1e9])).p_value == 1.0
    assert drift(column([1.0], [np.nan])).missing_p_value == 1.0


@pytest.mark.slow
def test_false_alarms_of_the_joint_test_come_as_often_as_stated() -> None:
    rng, alarms = np.random.default_rng(2), 0
    for trial in range(300):
        rows = np.stack([rng.standard_cauchy(26), rng.random(26) < 0.1, rng.integers(0, 3, 26)], axis=1).astype(float)
        alarms += joint_test(rows, 9, permutations=39, projections=3, seed=(trial,)).p_value <= 0.1
    assert stats.binomtest(alarms, 300, 0.1, alternative="greater").pvalue > 1e-6
    assert alarms > 0  # a test that never rejects is none


def test_the_joint_test_sees_what_no_column_shows() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(150, 2))
    y = np.stack([x[:, 0], -x[:, 0] * 0.95 + x[:, 1] * 0.05**0.5], axis=1)
    assert joint_test(np.concatenate([y, x]), 150, permutations=99, projections=4, seed=(0,)).p_value == 0.01
    constant = joint_test(np.full((20, 3), 0.1), 8, permutations=19, projections=2, seed=(0,))
    assert constant.p_value == 1.0


def test_the_joint_test_sees_the_sign_of_a_product() -> None:
    """All margins stay as they are, and sizes too: the signs of two of six columns agree more often."""
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(2, 200, 6))
    y[:, 5] = np.abs(y[:, 5]) * np.where(rng.random(200) < 0.85, 1, -1) * np.sign(y[:, 2])
    rows, found = np.concatenate([y, x]), []
    found.append(joint_test(rows, 200, permutations=99, projections=4, seed=(0,)))
    rows[:, 0] = np.exp(9 * rows[:, 0])  # ranks know no tails
    found.append(joint_test(rows, 200, permutations=99, projections=4, seed=(0,)))
    assert all(each.largest == 0.01 and each.p_value <= 0.05 for each in found)


def test_products_of_ranks_are_those_of_scipy() -> None:
    rng = np.random.default_rng(6)
    rows = rng.integers(0, 4, (40, 3)).astype(float)  # many ties
    pairs = np.array([[0, 1], [1, 2]])
    labels = rng.permuted(np.broadcast_to(np.arange(40) < 15, (7, 40)), axis=1)
    ranks = (stats.rankdata(rows, axis=0) - 20.5) / 20
    expected = [
        [
            abs(np.prod(ranks[own][:, pair], axis=1).mean() - np.prod(ranks[~own][:, pair], axis=1).mean())
            for pair in pairs
        ]
        for own in labels
    ]
    np.testing.assert_allclose(RankProducts(rows, pairs).along(labels), expected, rtol=1e-12)
    assert RankProducts(rows, np.zeros((0, 2), np.int64)).along(labels).shape == (7, 0)


def test_times_of_day_do_not_move_a_reference_of_days() -> None:
    """The batch brings both into seconds: the unit of the joint distance stays that of the reference."""
    days = pd.date_range("2024-01-01", periods=90)
    rng = np.random.default_rng(8)
    some = days[rng.permutation(90)[:40]]
    monitors = [W1Monitor(pd.DataFrame({"at": days.date}), **QUICK) for _ in range(2)]
    plain = monitors[0].check(pd.DataFrame({"at": some.date}))
    timed = monitors[1].check(pd.DataFrame({"at": some + pd.Timedelta("30min")}))
    assert timed.w1 == pytest.approx(plain.w1, abs=0.01) and timed.p_value > 0.05
    assert monitors[1].check(pd.DataFrame({"at": some.date})).w1 == pytest.approx(plain.w1, abs=1e-9)


def test_capital_is_the_mixture_written_out() -> None:
    p_values = [0.3, 0.02, 0.9, 0.001]
    process, best = EvidenceProcess(0.01), 1.0
    for t in range(1, 5):
        found = process.update(p_values[t - 1])
        started = sum(
            np.mean([np.prod([e * p ** (e - 1) for p in p_values[k - 1 : t]]) for e in POWERS]) / (k * (k + 1))
            for k in range(1, t + 1)
        )
        best = max(best, started + 1 / (t + 1))
        assert found.e_value == pytest.approx(best) and found.p_value == pytest.approx(1 / best)
    assert found.batches == 4


@pytest.mark.parametrize("quiet", [0, 200])
def test_a_change_is_found_soon_however_long_it_was_quiet(quiet: int) -> None:
    process, rng = EvidenceProcess(0.01), np.random.default_rng(4)
    for _ in range(quiet):
        process.update(rng.uniform())
    assert process.evidence().alarm_at is None
    for _ in range(6):
        found = process.update(0.001)
    assert found.alarm_at is not None and quiet < found.alarm_at <= quiet + 6
    assert found.changed_since is not None and abs(found.changed_since - quiet - 1) <= 2
    again = EvidenceProcess(0.01)
    again.load_state_dict(process.state_dict())
    assert again.update(0.5) == process.update(0.5)
    with pytest.raises(UserError, match="another alpha"):
        EvidenceProcess(0.05).load_state_dict(process.state_dict())
    with pytest.raises(UserError, match="p-value lies above 0"):
        process.update(0.0)


def test_streams_without_a_change_raise_no_more_alarms_than_stated() -> None:
    """200 streams of 150 uniform p-values at alpha 0.2, where an alarm ever is counted."""
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(200):
        process = EvidenceProcess(0.2)
        for p_value in np.ceil(rng.uniform(size=150) * 100) / 100:
            if process.update(float(p_value)).alarm_at:
                alarms += 1
                break
    assert alarms > 0 and stats.binomtest(alarms, 200, 0.2, alternative="greater").pvalue > 1e-6


@pytest.mark.slow
def test_a_small_reference_does_not_raise_alarms_over_a_long_stream() -> None:
    """With the reference alone, 30 rows of it, hundreds of batches would all share its chance: most streams alarm."""
    rng, alarms = np.random.default_rng(6), 0
    for stream in range(20):
        monitor = W1Monitor(rng.normal(size=30), permutations=39, rows=60, projections=1, alpha=0.1, seed=stream)
        for _ in range(12):
            found = monitor.check(rng.normal(size=30))
        alarms += found.evidence.alarm_at is not None
    assert stats.binomtest(alarms, 20, 0.1, alternative="greater").pvalue > 1e-4


def test_tables_are_watched_column_by_column_and_as_a_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    reference = frame(rng, 400)
    monitor, absent = W1Monitor(reference, **QUICK), reference["income"].isna().mean()
    same = monitor.check(frame(rng, 90))
    assert same.w1_lower <= same.w1 <= same.w1_upper and same.floor > 0 and not same.moved_rows
    older = monitor.check(frame(rng, 90, older=25.0)[["income", "city", "age"]])
    assert older.alarm and [each.name for each in older.moved] == ["age"] and older.moved[0].direction == "up"
    assert older.margins_share is not None and older.margins_share > 0.7
    assert "age" in {each.column for each in older.moved_rows}
    assert 0 < older.lower < older.w1 and older.number == 2
    batch = frame(rng, 80, gone=0.7)
    batch.loc[0, "city"] = "Rom"  # a level that the reference has not
    missing = monitor.check(batch)
    assert "income" in [each.name for each in missing.moved] and missing.alarm
    gone = {each.name: each for each in missing.columns}["income"]
    assert (gone.missing_reference, gone.missing_batch) == (absent, batch["income"].isna().mean())
    assert f"missing {absent:.3g} -> {gone.missing_batch:.3g}, p 0.0" in missing.words()
    path = tmp_path / "batch.csv"
    frame(rng, 70).to_csv(path, index=False)
    assert monitor.check(str(path)).name == "batch.csv"


def test_a_change_of_how_columns_go_together_is_no_change_of_columns() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(300, 2))
    y = np.stack([x[:, 0], x[:, 0]], axis=1)[:200]
    found = W1Monitor(x, permutations=99, rows=200, projections=4, alpha=0.05).check(y)
    assert found.alarm and not found.moved and found.margins_share is not None and found.margins_share < 0.4


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_aligned_margins_are_those_of_the_reference(data: st.DataObject) -> None:
    values = st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan]), min_size=4, max_size=4)
    x, y = data.draw(values), data.draw(values)
    for kind in ("number", "category"):
        each = column(x, y, kind, ("a", "b", "c"))
        (found,) = with_margins_of_x([each], np.arange(4), np.random.default_rng(0))
        assert sorted(map(str, found.y)) == sorted(map(str, each.x))


def test_one_absurd_number_stops_nothing() -> None:
    """A sentinel of 1e300 in one row is found in its column, and the other rows are compared as before."""
    rng = np.random.default_rng(13)
    x, y = rng.normal(size=(100, 2)), rng.normal(size=(50, 2))
    y[:10, 0] = 1e300
    found = W1Monitor(x, **QUICK).check(y)
    assert found.alarm and [each.name for each in found.moved] == ["0"] and found.w1_lower <= found.w1_upper < 1e4
    with pytest.raises(UserError, match="numbers of column 0 are too large"):
        W1Monitor(x, **QUICK).check(np.array([[1.7e308, 0.0], [-1.7e308, 0.0]]))


def test_pictures_are_watched_by_features() -> None:
    rng = np.random.default_rng(9)
    dark, light = (rng.integers(0, top, (40, 8, 8)).astype(np.uint8) for top in (120, 255))
    found = W1Monitor(dark, **QUICK).check(light)
    assert found.alarm and {each.name for each in found.moved} == {"mean of channel 0", "contrast of channel 0"}
    with pytest.raises(UserError, match="shape of the reference"):
        W1Monitor(dark, **QUICK).check(light[:, :4])


def test_a_state_goes_on_bit_for_bit_and_belongs_to_its_reference(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    reference, batches = frame(rng, 200), [frame(rng, 50) for _ in range(3)]
    whole, first, second = (W1Monitor(reference, **QUICK) for _ in range(3))
    reports = [whole.check(each) for each in batches]
    state = MonitorState(tmp_path)
    for each in batches[:2]:
        state.save(first, first.check(each))
    again = MonitorState(tmp_path)
    assert again.load(second) and len(again.history) == 2
    assert second.check(batches[2]) == reports[2]
    ours, theirs = second.state_dict(), whole.state_dict()
    assert ours["evidence"] == theirs["evidence"] and (ours["pool"] == theirs["pool"]).all()
    assert not MonitorState(tmp_path / "other").load(second)
    for other in (frame(rng, 200), frame(rng, 150)):
        with pytest.raises(UserError, match="another reference"):
            again.load(W1Monitor(other, **QUICK))
    with pytest.raises(UserError, match="another seed"):
        again.load(W1Monitor(reference, **QUICK, seed=4))
    for entry, value in (("pool", np.zeros((5, 1))), ("points", np.full_like(second.state_dict()["points"], np.nan))):
        with pytest.raises(UserError, match="state is damaged"):
            W1Monitor(reference, **QUICK).load_state_dict({**second.state_dict(), entry: value})
    (tmp_path / "state.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:-300])
    with pytest.raises(UserError, match="no state of a monitor"):
        again.load(second)


def test_seasons_have_references_of_their_own_and_one_alarm() -> None:
    rng = np.random.default_rng(11)
    monitor = SeasonalMonitor({"day": rng.normal(5, 1, 200), "night": rng.normal(0, 1, 200)}, **QUICK)
    for season, mean in (("day", 5), ("night", 0), ("day", 5)):
        found = monitor.check(rng.normal(mean, 1, 50), season=season)
        assert found.season == season and found.p_value > 0.02
    assert found.number == 3 and monitor.check(rng.normal(5, 1, 50), season="night").alarm
    other = SeasonalMonitor({"day": [0.0, 1.0], "night": [0.0, 1.0]}, **QUICK)
    with pytest.raises(UserError, match="another reference"):
        other.load_state_dict(monitor.state_dict())
    with pytest.raises(UserError, match="Unknown season: 'noon'"):
        monitor.check([1.0], season="noon")
    with pytest.raises(UserError, match="reference for each season"):
        SeasonalMonitor({})


REFUSED = [
    (lambda: W1Monitor([1.0]), "at least two rows"),
    (lambda: W1Monitor([1.0, 2.0], alpha=0), "alpha must lie between"),
    (lambda: W1Monitor([1.0, 2.0], alpha=True), "alpha must be a number"),
    (lambda: W1Monitor([1.0, 2.0], scale="sd"), "Unknown scale"),
    (lambda: W1Monitor([1.0, 2.0], correction="none"), "Unknown correction"),
    (lambda: W1Monitor([1.0, 2.0], rows=3), "rows must be"),
    (lambda: W1Monitor({"a": 1}), "must be a table, an array"),
    (lambda: W1Monitor([1.0, np.inf]), "infinite values"),
    (lambda: W1Monitor([1.0, 2.0]).check([]), "holds no rows"),
    (lambda: W1Monitor([1.0, 2.0]).check(np.zeros((3, 2))), "samples of one size"),
    (lambda: W1Monitor([1.0, 2.0]).check(pd.DataFrame({"a": [1.0]})), "is an array of numbers"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_be_watched_is_refused(call: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        call()


def test_batches_of_other_tables_are_refused_and_change_nothing() -> None:
    rng = np.random.default_rng(12)
    monitor = W1Monitor(frame(rng, 100), **QUICK)
    good = frame(rng, 30)
    for bad, words in (
        (good.drop(columns="age"), "lacks columns of the reference: age"),
        (good.rename(columns={"age": "years"}), "age; it has years instead"),
        (good.iloc[:0], "no rows"),
        (good.assign(age="old"), "age"),
    ):
        with pytest.raises(UserError, match=words):
            monitor.check(bad)
    assert monitor.batches == 0 and monitor.check(good.assign(more=1)).number == 1


def test_one_row_that_could_be_of_the_reference_is_told_in_words_that_claim_nothing() -> None:
    reference = np.random.default_rng(0).normal(size=40)
    words = W1Monitor(reference, permutations=19).check(reference[:1]).words()
    assert "(1 row against 40 of the reference)" in words and "the distributions may be the same (confidence" in words
    moved = W1Monitor(reference, permutations=19).check(reference + 50.0)
    assert moved.lower > 0 and f"the distributions are at least {moved.lower:.4g} apart" in moved.words()


def test_more_rows_than_the_memory_holds_are_refused_before_they_are_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for name, rows in (("small", 500), ("large", 20_000)):
        np.savez(tmp_path / f"{name}.npz", a=rng.normal(size=(rows, 2)))
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "1")
    told = r"What is watched of large.npz:a would fill too much memory: 1,920,000 bytes.*streamed_drifts"
    with pytest.raises(UserError, match=told):
        W1Monitor(tmp_path / "large.npz")
    monitor = W1Monitor(tmp_path / "small.npz", permutations=9)
    with pytest.raises(UserError, match=told):
        monitor.check(tmp_path / "large.npz")
    table = W1Monitor(pd.DataFrame(rng.normal(size=(60, 2)), columns=["x", "y"]), permutations=9)
    np.savez(tmp_path / "longer.npz", a=rng.normal(size=(40_000, 2)))
    with pytest.raises(UserError, match=r"A table of longer.npz:a would fill too much memory: 1,280,000 bytes"):
        table.check(tmp_path / "longer.npz")
