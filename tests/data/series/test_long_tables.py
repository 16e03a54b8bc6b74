"""Long tables: read as series, written as they came."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from wassergan.config.settings import TrainSettings
from wassergan.data import Source, open_source
from wassergan.data.series import SeriesCodec
from wassergan.errors import UserError
from wassergan.modality.writing import write_samples
from wassergan.runs.export import export_run, open_export
from wassergan.runs.train import train_run
from wassergan.session.restore import open_sampler

COLUMNS = ["patient", "day", "sex", "age", "pulse", "ward", "dose"]


def visits(count: int = 60, *, lengths: bool = True, seed: int = 0) -> pandas.DataFrame:
    """Some days of each patient: static and changing columns, numbers and levels, missing cells."""
    numbers, frames = np.random.default_rng(seed), []
    for patient in range(count):
        steps = int(numbers.integers(3, 8)) if lengths else 6
        pulse = 60 + 20 * numbers.random() + numbers.normal(0, 3, steps).cumsum()
        frames.append(
            pandas.DataFrame(
                {
                    "patient": f"p{patient:04d}",
                    "day": pandas.date_range("2024-03-01", periods=steps) + pandas.Timedelta(days=int(patient % 5)),
                    "sex": numbers.choice(["f", "m"]),
                    "age": int(numbers.integers(20, 90)),
                    "pulse": pulse.round(1),
                    "ward": numbers.choice(["A", "B", "C"], steps),
                    "dose": np.where(numbers.random(steps) < 0.2, np.nan, numbers.integers(1, 5, steps)),
                }
            )
        )
    return pandas.concat(frames, ignore_index=True)


def opened(path: Path) -> Source:
    return open_source(path, series="patient", time="day")


def read(path: Path) -> pandas.DataFrame:
    return pandas.read_csv(path) if path.suffix == ".csv" else pandas.read_parquet(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("lengths", [True, False])
def test_rows_of_the_data_come_back_but_for_their_names(suffix: str, lengths: bool, tmp_path: Path) -> None:
    frame = visits(lengths=lengths)
    path, again = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    mixed = frame.sample(frac=1, random_state=0)
    mixed.to_csv(path, index=False) if suffix == ".csv" else mixed.to_parquet(path, index=False)
    source = opened(path)
    codec = source.codec
    assert isinstance(codec, SeriesCodec) and codec.form is not None and source.kind == "series"
    assert codec.form.static == ("sex", "age") and codec.form.lengths_differ is lengths and codec.form.starts_differ
    rows = source.values(torch.arange(len(source))).numpy()
    assert len(rows) == 60 and (codec.form.lengths(rows) == frame.groupby("patient").size().to_numpy()).all()
    back = codec.decode_numpy(codec.encode(torch.from_numpy(rows)))
    from wassergan.data import write_table

    write_table(codec.form.writer(60), [codec.form.rows(back)], again)
    found, real = read(again), read(path).sort_values(["patient", "day"], ignore_index=True)
    assert list(found.columns) == COLUMNS and len(found) == len(real)
    pandas.testing.assert_frame_equal(found, real)  # names, too: they are numbered as these are


def test_drawn_series_are_a_long_table(tmp_path: Path) -> None:
    visits().to_csv(tmp_path / "a.csv", index=False)
    settings = TrainSettings(
        data=str(tmp_path / "a.csv"),
        series="patient",
        time="day",
        steps=3,
        maps=4,
        batch_size=16,
        tensorboard=False,
        previews=False,
        precision="float32",
    )
    train_run(settings, tmp_path / "run")
    sampler = open_sampler(tmp_path / "run")
    write_samples(sampler, tmp_path / "made.csv", count=70, seed=1)
    made = read(tmp_path / "made.csv")
    assert list(made.columns) == COLUMNS and made.patient.nunique() == 70 and made.patient[0] == "p0000"
    lengths = made.groupby("patient").size()
    assert lengths.between(1, 7).all() and lengths.nunique() > 1
    assert abs(lengths.mean() - visits().groupby("patient").size().mean()) < 1  # as often as in the data at each step
    for name in ("sex", "age"):
        assert (made.groupby("patient")[name].nunique() == 1).all()
    assert set(made.sex) <= {"f", "m"} and set(made.ward) <= {"A", "B", "C"}
    assert made.age.between(20, 89).all() and (made.age % 1 == 0).all() and set(made.dose.dropna()) <= {1, 2, 3, 4}
    days = pandas.to_datetime(made.day)
    assert (days.groupby(made.patient).diff().dropna() == pandas.Timedelta(days=1)).all()
    export_run(tmp_path / "run", tmp_path / "g.safetensors")
    exported = open_export(tmp_path / "g.safetensors")
    np.testing.assert_array_equal(exported.draw(5), sampler.draw(5))
    assert exported.codec.form == sampler.codec.form or exported.codec.form.state() == sampler.codec.form.state()  # type: ignore[attr-defined]


def test_gaps_in_time_are_kept(tmp_path: Path) -> None:
    frame = visits(lengths=False)[["patient", "day", "pulse"]]
    gone = pandas.Series(np.arange(len(frame)) % 12 == 2)  # the third step of every other patient
    frame[~gone].to_csv(tmp_path / "a.csv", index=False)
    source = opened(tmp_path / "a.csv")
    assert isinstance(source.codec, SeriesCodec) and source.codec.form is not None and source.codec.form.gaps
    rows = source.values(torch.arange(len(source))).numpy()
    assert rows.shape[1] == 6 and np.isnan(rows[:, 2, 0]).sum() == gone.sum()
    assert len(source.codec.form.rows(rows)) == len(frame) - gone.sum()


@pytest.mark.parametrize(
    ("change", "asked", "message"),
    [
        (lambda f: f, {"series": "patients", "time": "day"}, r"Unknown column of a.csv: 'patients'. Did you mean"),
        (lambda f: f, {"series": "day", "time": "day"}, "One column cannot name both series and time: 'day'"),
        (lambda f: f, {"series": "patient", "time": "ward"}, "Column ward of a.csv is no time: text. Give numbers or"),
        (
            lambda f: pandas.concat([f, f.iloc[[4]]]),
            {"series": "patient", "time": "day"},
            r"A series of a.csv has two rows at one time: line 6 and line \d+",
        ),
        (
            lambda f: f.assign(day=f.day.where(f.index != 7)),
            {"series": "patient", "time": "day"},
            "a.csv misses a value of day: line 9. Fill it, or leave the row out",
        ),
    ],
)
def test_tables_that_are_no_series_are_refused(
    change: Any, asked: dict[str, str], message: str, tmp_path: Path
) -> None:
    change(visits()).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(UserError, match=message):
        open_source(tmp_path / "a.csv", **asked)  # type: ignore[arg-type]


def test_numbers_name_series_and_times_as_well(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"unit": np.repeat(np.arange(100, 140), 4), "t": np.tile([0, 5, 10, 15], 40), "x": numbers.normal(size=160)}
    )
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    source = open_source(tmp_path / "a.parquet", series="unit", time="t")
    form = source.codec.form  # type: ignore[attr-defined]
    assert form.step == 5 and not form.starts_differ and not form.lengths_differ
    rows = form.rows(source.values(torch.arange(3)).numpy(), first=7)
    assert rows[:, 0].tolist() == [7.0] * 4 + [8.0] * 4 + [9.0] * 4 and rows[:4, 1].tolist() == [0, 5, 10, 15]


def compact(tmp_path: Path, starts: list[str], *, steps: int, unit: str, written: str) -> Path:
    """Series of so many steps from several first times, written in some format."""
    rows = []
    for number, start in enumerate(starts):
        times = pandas.date_range(start, periods=steps, freq=unit)
        rows += [(f"p{number}", time.strftime(written), round(number + 0.1 * at, 1)) for at, time in enumerate(times)]
    pandas.DataFrame(rows, columns=["patient", "day", "pulse"]).to_csv(tmp_path / "a.csv", index=False)
    return tmp_path / "a.csv"


def test_days_without_marks_are_days_and_no_numbers(tmp_path: Path) -> None:
    """From 20240131 to 20240201 is a day, not 70 steps."""
    source = opened(compact(tmp_path, ["2024-01-25", "2024-01-27"] * 6, steps=10, unit="D", written="%Y%m%d"))
    codec = source.codec
    assert isinstance(codec, SeriesCodec) and codec.form is not None
    assert source.shape[1] == 10 and not codec.form.gaps
    days = codec.form.writer(12).columns[1].form.texts(codec.form.rows(source.values(torch.arange(1)).numpy())[:, 1])
    assert days == [f"202401{day}" for day in range(25, 32)] + ["20240201", "20240202", "20240203"]


@pytest.mark.parametrize(("start", "first"), [("22:40", "23:00"), ("22:20", "22:00"), ("01:10", "01:00")])
def test_steps_of_drawn_times_stay_apart(start: str, first: str, tmp_path: Path) -> None:
    """Of 22:40 and 23:40 the nearest hours are 23:00 and 00:00, though the latter lies beyond both."""
    starts = ["2024-03-01 22:00", "2024-03-02 01:00", "2024-03-02 22:00", "2024-03-03 01:00"] * 4
    source = opened(compact(tmp_path, starts, steps=2, unit="h", written="%Y-%m-%d %H:%M"))
    codec = source.codec
    assert isinstance(codec, SeriesCodec) and codec.form is not None and codec.form.starts_differ
    rows = source.values(torch.arange(2)).numpy()
    time = codec.form.table.columns[1].form
    drawn = pandas.Timestamp(f"2024-03-02 {start}")
    per_hour = codec.form.step
    known = rows[0, 0, -1]
    begin = pandas.Timestamp(time.moments(np.array([known]))[0])
    rows[:, :, -1] = known + (drawn - begin) / pandas.Timedelta(1, unit="h") * per_hour
    found = [pandas.Timestamp(each) for each in time.moments(codec.form.rows(rows)[:2, 1])]
    assert found[0].strftime("%H:%M") == first and found[1] - found[0] == pandas.Timedelta(1, unit="h")
