"""Runs whose series go on from a past: from the command line, from Python, and in an evaluation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from wassergan import WassersteinGAN
from wassergan.config.settings import TrainSettings
from wassergan.config.verbs import EvaluateSettings
from wassergan.errors import UserError
from wassergan.evaluation.series import scores
from wassergan.modality.writing import write_samples
from wassergan.runs.evaluate import evaluate_run
from wassergan.runs.train import train_run
from wassergan.session.restore import open_sampler

SERIES, STEPS, KNOWN = 120, 8, 5
SMALL: dict[str, Any] = {"maps": 4, "batch_size": 16, "tensorboard": False, "previews": False, "steps": 3}


def walks(count: int = SERIES) -> NDArray[Any]:
    """Whole numbers that wander, and one missing now and then."""
    found = np.random.default_rng(0).integers(-3, 4, (count, STEPS, 2)).cumsum(1).astype(">i4")
    found[::7, 2, 1] = -999
    return found


def trained(folder: Path, data: Path, **settings: Any) -> Path:
    own = {"layout": "NTC", "likelihood": 1.0, **SMALL, **settings}
    train_run(TrainSettings(data=str(data), **own), folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that draws from densities."""
    home = tmp_path_factory.mktemp("past")
    np.save(home / "data.npy", walks())
    return trained(home / "run", home / "data.npy", missing=(-999,))


def test_what_follows_comes_in_the_type_of_the_data_and_fewer_draws_are_the_first_of_more(
    run: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    past, out = walks()[:7, :KNOWN], tmp_path / "out.npy"
    np.save(tmp_path / "past.npy", past)

    def drawn(*flags: str) -> NDArray[Any]:
        cli("sample", run, "--given-past", tmp_path / "past.npy", *flags, "--out", out)
        found: NDArray[Any] = np.load(out)
        return found

    many = drawn("--draws", "70")
    assert many.shape == (7, 70, STEPS - KNOWN, 2) and many.dtype == np.dtype(">i4")
    assert (many != many[:, :1]).any(axis=(1, 2, 3)).all()  # they differ among themselves
    np.testing.assert_array_equal(drawn("--draws", "3"), many[:, :3])
    np.testing.assert_array_equal(drawn(), many[:, 0])
    assert (drawn("--draws", "3", "--seed", "1") != many[:, :3]).any()
    np.save(tmp_path / "past.npy", past[:2])
    np.testing.assert_array_equal(drawn("--draws", "3"), many[:2, :3])
    assert not list(tmp_path.glob("*.conditions.*"))
    cli("sample", run, "--given-past", tmp_path / "past.npy", "--draws", "9", "--out", tmp_path / "fan.png")
    assert (tmp_path / "fan.png").read_bytes()[:4] == b"\x89PNG"
    cli("sample", run, "--given-past", tmp_path / "past.npy", "--out", tmp_path / "out.npz")
    assert np.load(tmp_path / "out.npz")["data"].shape == (2, STEPS - KNOWN, 2)


def test_a_picture_shows_each_past_with_its_own_draws(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("wassergan.modality.series.save_forecast", lambda *what: shown.extend(what))
    past = walks()[:3, :KNOWN]
    sampler = open_sampler(run).under_past(past, draws=4)
    write_samples(sampler, tmp_path / "fan.png", count=12, seed=2)
    drawn = sampler.draw_ensembles(seed=2)
    for values, wanted in zip(shown, (past, drawn), strict=False):
        found = np.where(np.isnan(values), -999, values)
        np.testing.assert_allclose(found, np.moveaxis(wanted, -1, -2))
    assert shown[2] == ("channel 0", "channel 1")


def test_what_follows_hangs_on_the_past(run: Path) -> None:
    low, high = walks()[1:3, :KNOWN].copy(), walks()[1:3, :KNOWN].copy()
    low[:, -1], high[:, -1] = -6, 6
    found = [open_sampler(run).under_past(each, draws=50).draw_ensembles(seed=3) for each in (low, high)]
    first = [np.where(each == -999, np.nan, each)[:, :, 0].mean() for each in found]
    assert first[0] + 3 < first[1]


def test_a_window_goes_on_from_rows_of_a_table(tmp_path: Path, cli: Callable[..., Any]) -> None:
    hours = np.arange(300)
    frame = pd.DataFrame({"hour": hours, "load": np.sin(hours / 4), "heat": np.cos(hours / 4)})
    frame.to_csv(tmp_path / "loads.csv", index=False)
    trained(tmp_path / "run", tmp_path / "loads.csv", window=STEPS, time="hour", layout="auto")
    frame[["heat", "hour", "load"]].tail(KNOWN).to_csv(tmp_path / "today.csv", index=False)
    flags = ("--given-past", tmp_path / "today.csv", "--draws", "4", "--out", tmp_path / "made.npy")
    cli("sample", tmp_path / "run", *flags)
    found = np.load(tmp_path / "made.npy")
    np.save(tmp_path / "today.npy", frame[["load", "heat"]].tail(KNOWN).to_numpy())
    cli("sample", tmp_path / "run", "--given-past", tmp_path / "today.npy", *flags[2:])
    np.testing.assert_array_equal(np.load(tmp_path / "made.npy"), found)
    assert found.shape == (1, 4, STEPS - KNOWN, 2)


def test_runs_that_do_not_draw_step_by_step_say_so(
    run: Path, tmp_path: Path, cli: Callable[..., Any], refused: Callable[..., str]
) -> None:
    np.save(tmp_path / "past.npy", walks()[:3, :KNOWN])
    np.save(tmp_path / "labels.npy", np.arange(SERIES) % 2)
    data, past = run.parent / "data.npy", ("--given-past", tmp_path / "past.npy")
    critic_alone = trained(tmp_path / "a", data, missing=(-999,), likelihood=0.0)
    labelled = trained(tmp_path / "b", data, missing=(-999,), labels=str(tmp_path / "labels.npy"))
    table = pd.DataFrame({"who": np.repeat(np.arange(SERIES), STEPS), "day": np.tile(np.arange(STEPS), SERIES)})
    table.assign(load=walks()[:, :, 0].ravel()).to_csv(tmp_path / "long.csv", index=False)
    long = trained(tmp_path / "c", tmp_path / "long.csv", series="who", time="day", layout="auto")
    for folder, flags, message in (
        (critic_alone, past, "Only series that are drawn step by step from densities can go on from a past"),
        (labelled, past, "runs under conditions do not go on from a past yet"),
        (long, past, "long tables do not go on from a past yet"),
        (run, (*past, "--count", "3"), "Leave it out, or give --draws"),
        (run, (*past, "--given", "a=1"), "given twice"),
        (run, (*past, "--condition-array", tmp_path / "past.npy"), "--condition-array, and --given-past"),
        (run, (*past, "--refine", "2"), "whole series: they do not go on from a past"),
        (run, ("--draws", "2"), "--draws counts the draws"),
        (run, (*past, "--out", tmp_path / "made.csv"), "no table"),
    ):
        out = () if "--out" in flags else ("--out", tmp_path / "out.npy")
        assert message in refused("sample", folder, *flags, *out), message
    assert not (tmp_path / "out.npy").exists() and not (tmp_path / "made.csv").exists()


def test_an_estimator_goes_on_from_a_past(tmp_path: Path) -> None:
    values = walks()[:, :, :1].astype("float32")
    values[values == -999] = 0
    settings = {"layout": "NTC", "maps": 4, "likelihood": 1.0}
    gan = WassersteinGAN(steps=2, batch_size=16, precision="float32", settings=settings).fit(values)
    many = gan.sample(given_past=values[:3, :KNOWN], draws=5, seed=2)
    assert many.shape == (3, 5, STEPS - KNOWN, 1) and many.dtype == values.dtype
    np.testing.assert_array_equal(gan.sample(given_past=values[:3, :KNOWN], seed=2), many[:, 0])
    gan.save(tmp_path / "gan.wgan")
    again = WassersteinGAN.load(tmp_path / "gan.wgan").sample(given_past=values[:3, :KNOWN], draws=5, seed=2)
    np.testing.assert_array_equal(again, many)
    for wrong in ({"n": 3}, {"condition_array": values}, {"given": {"a": 1}}):
        with pytest.raises(UserError, match="says how many samples are drawn, and under what"):
            gan.sample(given_past=values[:3, :KNOWN], **wrong)


def test_an_evaluation_judges_forecasts(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "LEAST_SERIES", 5)
    monkeypatch.setattr(scores, "STEPS", 3)
    rows = {row["name"]: row for row in evaluate_run(EvaluateSettings(run=str(run), count=20))["metrics"]}
    assert {"forecast_crps", "forecast_crps_over_climatology", "forecast_ranks"} <= rows.keys()
    assert rows["forecast_crps"]["value"] > 0 and rows["forecast_crps_over_climatology"]["floor"] == 1
