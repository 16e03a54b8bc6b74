import datetime
import pickle
import signal
import sys
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

import wassergan
from wassergan import Callback, UserError, WassersteinGAN
from wassergan.config.settings import TrainSettings
from wassergan.distances import sliced_w1
from wassergan.distances.patches import patch_sliced_w1
from wassergan.estimator.parameters import FURTHER, OWN
from wassergan.sampling.calibration import calibrate_marginals
from wassergan.storage.checkpoint import load_checkpoint, save_checkpoint
from wassergan.utils.rng import derived_rng

# Networks that train in no time.
TINY: dict[str, Any] = {"latent_dim": 3, "generator_widths": (8,), "critic_widths": (8,), "critic_steps": 2}


@pytest.fixture(autouse=True)
def quick_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the shares of a table's options right from few rows: what that does is tested elsewhere."""
    monkeypatch.setattr("wassergan.modality.tables.calibrate_marginals", partial(calibrate_marginals, rows=512))


def tiny(**parameters: Any) -> WassersteinGAN:
    return WassersteinGAN(**{**TINY, "steps": 3, **parameters})


def points(count: int = 60, width: int = 3, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def people(count: int = 90) -> pd.DataFrame:
    """Every type of column that a DataFrame is likely to have, some values missing."""
    numbers = np.random.default_rng(0)
    day = pd.Timestamp("2020-01-01")
    frame = pd.DataFrame(
        {
            "height": numbers.normal(170, 10, count).astype(np.float32),
            "income": np.where(numbers.random(count) < 0.2, np.nan, numbers.exponential(1000, count).round(2)),
            "children": numbers.integers(0, 5, count).astype(np.int8),
            "visits": pd.array(numbers.integers(0, 9, count), dtype="Int64"),
            "member": numbers.random(count) < 0.3,
            "smokes": pd.array(numbers.random(count) < 0.3, dtype="boolean"),
            "grade": pd.Categorical(numbers.choice(list("abc"), count), categories=list("cbad"), ordered=True),
            "floor": pd.Categorical(numbers.choice([1, 2], count)),
            "city": numbers.choice(["Bern", "Rome"], count),
            "sex": pd.array(numbers.choice(["f", "m"], count), dtype="string"),
            "job": pd.Series(numbers.choice(["cook", "smith"], count), dtype=object),
            "born": day + pd.to_timedelta(numbers.integers(0, 900, count), unit="D"),
            "seen": (day + pd.to_timedelta(numbers.integers(0, 10**7, count), unit="s")).astype("datetime64[ns]"),
            "zoned": day.tz_localize("Europe/Rome") + pd.to_timedelta(numbers.integers(0, 900, count), unit="h"),
            "opens": [datetime.time(int(hour), 30) for hour in numbers.integers(0, 24, count)],
        }
    )
    for row, column in enumerate(("visits", "smokes", "grade", "sex", "born", "opens")):
        frame.loc[row, column] = None
    return frame


def weights(network: nn.Module) -> Tensor:
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


def timeless(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in each.items() if "second" not in name} for each in history]


# scikit-learn's conventions


# No check of scikit-learn's is expected to fail; one that comes to be must be named here, with its reason.
EXPECTED_FAILURES: dict[str, str] = {}


def test_scikit_learn_s_own_checks_pass() -> None:
    results = check_estimator(tiny(steps=2), expected_failed_checks=EXPECTED_FAILURES, on_fail=None, on_skip=None)
    failed = {each["check_name"]: each["exception"] for each in results if each["status"] == "failed"}
    assert not failed and len(results) > 30


def test_parameters_are_stored_as_they_were_given_and_come_back() -> None:
    given: dict[str, Any] = {"budget": "20s", "generator_widths": [8, 8], "settings": {"beta1": 0.5}, "batch_size": "?"}
    gan = WassersteinGAN(**given)
    for name, value in given.items():
        assert getattr(gan, name) is value and gan.get_params()[name] is value
    other = clone(gan).set_params(batch_size=4, preset="wgan")
    assert other.get_params() == {**gan.get_params(), "batch_size": 4, "preset": "wgan"}


def test_parameters_have_the_defaults_of_the_command_line() -> None:
    settings, gan = TrainSettings(), WassersteinGAN()
    for name in OWN:
        assert getattr(gan, name) == getattr(settings, name), name
    assert all(hasattr(settings, name) for name in FURTHER) and not set(OWN) & set(FURTHER)


@pytest.mark.parametrize("use", ["generator_", "critic_", "sample", "score", "save", "resume"])
def test_before_a_fit_there_is_nothing_to_use(use: str, tmp_path: Path) -> None:
    gan = tiny()
    uses = {
        "sample": lambda: gan.sample(2),
        "score": lambda: gan.score(points()),
        "save": lambda: gan.save(tmp_path / "gan.pt"),
        "resume": lambda: gan.fit(points(), resume=True),
    }
    with pytest.raises(
        NotFittedError, match=r"not fitted yet\. Call fit\(X\), or load a saved one: WassersteinGAN\.load\(path\)"
    ):
        uses.get(use, lambda: getattr(gan, use))()
    with pytest.raises(NotFittedError):
        check_is_fitted(gan)
    assert not hasattr(gan, "generator_") and not list(tmp_path.iterdir())


def test_what_was_learnt_is_there_after_a_fit() -> None:
    gan = tiny(steps=30, tick_steps=10).fit(points())
    check_is_fitted(gan)
    assert gan.n_steps_ == 30 and gan.n_features_in_ == 3 and gan.seed_ == 0
    assert [record["step"] for record in gan.history_] == [0, 10, 20, 30]
    best = min(gan.history_, key=lambda record: record["sliced_w1"])
    assert (gan.best_step_, gan.best_distance_) == (best["step"], best["sliced_w1"])
    assert gan.settings_.constraint == "lp" and gan.settings_.latent_dim == 3
    assert gan.generator_(torch.zeros(2, 3)).shape == (2, 3) and gan.critic_(torch.zeros(2, 3)).shape == (2,)
    assert not gan.generator_.training and not hasattr(gan, "feature_names_in_")
    assert gan.fit(people()).feature_names_in_.tolist() == list(people().columns)
    assert gan.n_features_in_ == 15


def test_it_works_in_a_pipeline_and_a_grid_search() -> None:
    rows = 1000 + 50 * points(90)
    pipeline = make_pipeline(StandardScaler(), tiny())
    search = GridSearchCV(pipeline, {"wassersteingan__generator_lr": [1e-3, 1e-1]}, cv=2, error_score="raise")
    search.fit(rows)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 2 and search.best_score_ == max(scores) < 0
    drawn = search.best_estimator_[:-1].inverse_transform(search.best_estimator_[-1].sample(50))
    assert 800 < drawn.mean() < 1200
    frames = GridSearchCV(tiny(), {"latent_dim": [2, 3]}, cv=2, error_score="raise").fit(people())
    assert frames.best_estimator_.sample(3).dtypes.equals(people().dtypes)


@pytest.mark.parametrize("constraint", ["clip", "gp", "lp", "sn", "orthogonal"])
def test_pickles_and_files_draw_the_same_rows_and_have_the_same_critic(constraint: str, tmp_path: Path) -> None:
    rows = points()
    gan = tiny(constraint=constraint).fit(rows)
    gan.generator_, gan.critic_  # noqa: B018  # networks that were built are no hindrance
    gan.save(tmp_path / "gan.pt")
    for other in (pickle.loads(pickle.dumps(gan)), WassersteinGAN.load(tmp_path / "gan.pt")):
        np.testing.assert_array_equal(other.sample(300, seed=4), gan.sample(300, seed=4))
        assert torch.equal(other.critic_(torch.from_numpy(rows)), gan.critic_(torch.from_numpy(rows)))
        assert other.score(rows) == gan.score(rows) and other.history_ == gan.history_
        assert other.get_params() == gan.get_params()


def test_files_hold_tables_whole(tmp_path: Path) -> None:
    frame = people()
    settings = {"average_half_life": np.float64(100.0)}
    gan = tiny(settings=settings, schema={"columns": {"children": "category"}}, steps=np.int64(2), folder=tmp_path)
    gan.fit(frame).save(tmp_path / "gan.pt")
    other = WassersteinGAN.load(tmp_path / "gan.pt")
    pd.testing.assert_frame_equal(other.sample(40, seed=1), gan.sample(40, seed=1))
    assert other.feature_names_in_.tolist() == list(frame.columns) and other.n_features_in_ == 15
    assert other.score(frame) == gan.score(frame)
    assert other.get_params() == {**gan.get_params(), "folder": str(tmp_path)}


def test_a_random_state_is_saved_as_the_seed_that_it_gave_and_callbacks_are_left_out(tmp_path: Path) -> None:
    gan = tiny(random_state=np.random.RandomState(3), callbacks=[Callback()]).fit(points())
    gan.save(tmp_path / "gan.pt")
    other = WassersteinGAN.load(tmp_path / "gan.pt")
    assert other.random_state == other.seed_ == gan.seed_ and other.callbacks == ()


def test_saving_is_atomic_and_loading_never_runs_code(tmp_path: Path) -> None:
    path = tmp_path / "gan.pt"
    gan = tiny().fit(points())
    gan.save(path)
    before = path.read_bytes()
    gan.set_params(schema={"columns": object()})
    with pytest.raises(UserError, match=r"The parameter schema cannot be saved: <object .*\. Set it to a plain value"):
        gan.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(UserError, match="damaged or no checkpoint"):
        WassersteinGAN.load(path)
    torch.save({"format": "wassergan checkpoint", "version": 1, "estimator": Path("x")}, path)
    with pytest.raises(UserError, match="holds Python objects that are never loaded"):
        WassersteinGAN.load(path)
    save_checkpoint(path, {"settings": {}})
    with pytest.raises(UserError, match="is a checkpoint of a run, no saved WassersteinGAN.*open_sampler"):
        WassersteinGAN.load(path)
    save_checkpoint(path, {"estimator": {"parameters": {"stepz": 3}}})
    with pytest.raises(UserError, match=r"Unknown parameter in .*: 'stepz'. Did you mean 'steps'\?"):
        WassersteinGAN.load(path)
    for spoil, found in (
        (lambda own: own["features"].update(sample=3), "Unknown feature in .*: 'sample'"),
        (lambda own: own["features"].update(n_features_in_="many"), "does not hold what it should"),
        (lambda own: own.pop("container"), "was saved by another version of wassergan: it has no container"),
        (lambda own: own["container"].update(kind="poem"), "does not hold what it should"),
        (lambda own: own.update(seed=-3), "Expected a whole number from 0"),
        (lambda own: own.update(restoring="yes"), "does not hold what it should"),
    ):
        path.write_bytes(before)
        content = load_checkpoint(path)
        spoil(content["estimator"])
        save_checkpoint(path, content)
        with pytest.raises(UserError, match=found):
            WassersteinGAN.load(path)
    for name in ("trainer", "course", "settings", "codec"):
        path.write_bytes(before)
        content = load_checkpoint(path)
        del content[name]
        save_checkpoint(path, content)
        with pytest.raises(UserError, match=f"was saved by another version of wassergan: it has no {name}"):
            WassersteinGAN.load(path)
    with pytest.raises(UserError, match="There is no checkpoint"):
        WassersteinGAN.load(tmp_path / "none.pt")


# What comes out


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(60, 4), (60, 8, 8), (60, 8, 8, 3), (60, 3, 8, 8)])
def test_arrays_come_back_in_their_own_type_and_layout(dtype: str, shape: tuple[int, ...]) -> None:
    rows = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 90, shape).astype(dtype)
    gan = tiny(steps=1).fit(rows)
    drawn = gan.sample(5)
    assert isinstance(drawn, np.ndarray) and drawn.dtype == rows.dtype and drawn.shape == (5, *shape[1:])
    assert gan.n_features_in_ == np.prod(shape[1:])
    assert dtype == "uint8" or (drawn.min() >= -10 and drawn.max() <= 100)
    assert gan.score(rows) < 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32", "uint8", "bool"])
def test_tensors_come_back_as_tensors(dtype: str) -> None:
    torch_dtype: torch.dtype = getattr(torch, dtype)
    rows = torch.from_numpy(points(60, 4) * 10).gt(0) if dtype == "bool" else torch.from_numpy(points(60, 4) * 10)
    rows = rows.to(torch_dtype).requires_grad_(torch_dtype.is_floating_point)
    drawn = tiny(steps=1).fit(rows).sample(5)
    assert isinstance(drawn, Tensor) and drawn.dtype == torch_dtype and drawn.shape == (5, 4)
    assert not drawn.requires_grad


def test_nested_lists_are_arrays() -> None:
    gan = tiny().fit(points().tolist())
    assert gan.sample(2).dtype == np.float64
    assert gan.score(points().tolist()) == gan.score(points().astype(float))


def test_frames_come_back_with_their_columns_order_and_types() -> None:
    frame = people()
    gan = tiny().fit(frame.sample(frac=1, random_state=0))  # the index is no column
    drawn = gan.sample(400)
    assert drawn.index.equals(pd.RangeIndex(400))
    pd.testing.assert_series_equal(drawn.dtypes, frame.dtypes)
    for column in ("grade", "floor", "city", "sex", "job", "opens"):
        assert set(drawn[column].dropna()) <= set(frame[column].dropna()), column
    for column in ("height", "income", "children", "visits", "born", "seen", "zoned"):
        assert drawn[column].min() >= frame[column].min() and drawn[column].max() <= frame[column].max(), column
    missing = frame.isna().any()
    assert not drawn.loc[:, ~missing].isna().any().any() and drawn["income"].isna().any()
    assert drawn["visits"].dtype == "Int64" and drawn["job"].map(type).eq(str).all()


def test_columns_may_be_named_by_numbers() -> None:
    frame = pd.DataFrame(points(), columns=[7, 5, 3])
    gan = tiny().fit(frame)
    assert gan.sample(2).columns.tolist() == [7, 5, 3] and not hasattr(gan, "feature_names_in_")


def test_frames_of_polars_come_back_as_such() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    numbers = np.random.default_rng(0)
    frame = polars.DataFrame(
        {
            "x": numbers.normal(size=60).astype(np.float32),
            "n": polars.Series(numbers.integers(0, 9, 60), dtype=polars.Int16),
            "s": numbers.choice(["a", "b"], 60),
            "c": polars.Series(numbers.choice(["a", "b"], 60), dtype=polars.Categorical),
            "e": polars.Series(numbers.choice(["a", "b"], 60), dtype=polars.Enum(["b", "c", "a"])),
            "t": [datetime.time(int(hour), 30) for hour in numbers.integers(0, 24, 60)],
            "d": [datetime.date(2020, 1, 1) + datetime.timedelta(int(days)) for days in numbers.integers(0, 99, 60)],
        }
    )
    gan = tiny().fit(frame)
    drawn = gan.sample(50)
    assert isinstance(drawn, polars.DataFrame) and drawn.schema == frame.schema
    assert gan.feature_names_in_.tolist() == frame.columns and gan.score(frame) < 0


def test_arrow_tables_come_back_as_such() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"x": points(60, 1)[:, 0], "s": ["a", "b", "b"] * 20})
    gan = tiny().fit(table)
    assert gan.sample(50).schema == table.schema and gan.feature_names_in_.tolist() == ["x", "s"]
    assert gan.score(table) == gan.score(table.to_pandas())


@pytest.mark.parametrize("data", [points(), people()], ids=["array", "frame"])
def test_a_smaller_number_gives_the_first_rows_of_a_larger_exactly(data: Any) -> None:
    gan = tiny().fit(data)
    sizes: list[int] = []  # another number of rows at once may be rounded differently, which tiny networks do not show
    gan.generator_.register_forward_hook(lambda module, latents, rows: sizes.append(len(latents[0])))
    many = pd.DataFrame(gan.sample(1500, seed=3))
    for count in (1, 7, 255, 256, 1025):
        pd.testing.assert_frame_equal(pd.DataFrame(gan.sample(count, seed=3)), many[:count])
    assert isinstance(data, pd.DataFrame) or set(sizes) == {256}
    assert not many[:50].equals(pd.DataFrame(gan.sample(50, seed=4)))
    assert len(many.drop_duplicates()) == 1500


def test_without_a_seed_rows_follow_the_random_state() -> None:
    gan = tiny(random_state=5).fit(points())
    assert (gan.sample(4) == gan.sample(4)).all() and (gan.sample(4) == gan.sample(4, seed=5)).all()
    gan.set_params(random_state=None)
    assert (gan.sample(4) != gan.sample(4)).any()
    drawn = [gan.set_params(random_state=np.random.RandomState(seed)).sample(4) for seed in (1, 1, 2)]
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()
    assert (gan.sample(4) != drawn[2]).any()


def test_the_random_state_fixes_a_fit() -> None:
    fits = [tiny(random_state=state).fit(points()) for state in (1, 1, 2, None, None)]
    first, same, *others = (weights(gan.generator_) for gan in fits)
    assert torch.equal(first, same) and not any(torch.equal(first, other) for other in others)
    assert fits[3].seed_ != fits[4].seed_
    drawn = [tiny(random_state=np.random.RandomState(1)).fit(points()) for _ in range(2)]
    assert torch.equal(weights(drawn[0].generator_), weights(drawn[1].generator_))


def test_a_fit_and_a_draw_leave_torch_as_it_was() -> None:
    threads, outside = torch.get_num_threads(), torch.get_rng_state()
    try:
        torch.set_num_threads(2)
        tiny(threads=1).fit(points()).sample(3)
        assert torch.get_num_threads() == 2 and torch.equal(outside, torch.get_rng_state())
    finally:
        torch.set_num_threads(threads)


# Scores


def test_the_score_is_minus_the_distance_from_as_many_generated_rows_in_model_space() -> None:
    rows = 100 + 5 * points(80)
    gan = tiny().fit(rows)
    codec = wassergan.open_source(rows).codec
    latent = torch.randn(1024, 3, generator=derived_rng(0, "sampling"))[:80]
    with torch.no_grad():
        generated = gan.generator_(latent)
    rng = torch.Generator().manual_seed(0)
    expected = -sliced_w1(codec.encode(torch.from_numpy(rows)), generated, projections=256, rng=rng)
    assert gan.score(rows) == pytest.approx(expected.item(), rel=1e-5)
    assert gan.score(rows) == gan.score(rows) > gan.score(rows + 20)


@pytest.mark.parametrize("labelled", [False, True])
def test_the_score_of_pictures_is_that_of_their_patches(labelled: bool) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    labels = np.arange(60) % 3 if labelled else None
    gan = tiny(settings={"layout": "NHW"}).fit(pictures, labels)
    score = gan.score(pictures, labels)
    assert score == gan.score(pictures, labels) < 0
    assert gan.score(np.full_like(pictures, 128), labels) != score
    if not labelled:
        source = wassergan.open_source(pictures, layout="NHW")
        real = source.codec.encode(torch.from_numpy(pictures))
        latent = torch.randn(1024, 3, generator=derived_rng(0, "sampling"))[:60]
        with torch.no_grad():
            generated = gan.generator_(latent)
        assert score == pytest.approx(-patch_sliced_w1(generated, real, rng=0).value, rel=1e-5)


def test_the_score_of_a_frame_knows_levels_and_values_that_were_never_seen() -> None:
    frame = people()
    gan = tiny().fit(frame)
    score, other = gan.score(frame), frame.copy()
    other["city"], other["sex"] = "Oslo", "?"
    other.loc[5, "height"] = np.nan
    assert np.isfinite(gan.score(other)) and gan.score(other) < score


def test_data_of_another_kind_are_not_scored() -> None:
    frame, gan = people(), tiny().fit(people())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's word on names
        with pytest.raises(UserError, match=r"A DataFrame was fitted: an array\. Give a DataFrame with its columns"):
            gan.score(points(20, 15))
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing:\n- job"):
        gan.score(frame.drop(columns="job"))
    with pytest.raises(UserError, match="Column income of the DataFrame does not hold numbers alone: 'high'"):
        gan.score(frame.assign(income="high"))
    pictures = tiny().fit(np.random.default_rng(0).normal(size=(60, 4, 6)))
    with pytest.raises(UserError, match=r"X has another shape than what was fitted: \(60, 6, 4\)\. Give NHW"):
        pictures.score(np.ones((60, 6, 4)))
    with pytest.raises(ValueError, match="X has 2 features, but WassersteinGAN is expecting 24 features as input"):
        pictures.score(np.ones((60, 2)))


# Going on


@pytest.mark.parametrize("ticks", [10, 1000], ids=["at a tick", "between two ticks"])
@pytest.mark.parametrize("data", [points(), people()], ids=["array", "frame"])
def test_2n_steps_are_n_and_a_resume_and_n_bit_for_bit(data: Any, ticks: int, tmp_path: Path) -> None:
    whole = tiny(steps=60, tick_steps=ticks).fit(data)
    half = tiny(steps=30, tick_steps=ticks).fit(data)
    assert half.n_steps_ == half.history_[-1]["step"] == 30
    half.save(tmp_path / "half.pt")
    for again in (pickle.loads(pickle.dumps(half)), WassersteinGAN.load(tmp_path / "half.pt"), half):
        again.fit(data, resume=True)
        assert again.n_steps_ == 60 and again.best_step_ == whole.best_step_
        assert timeless(again.history_) == timeless(whole.history_)
        assert torch.equal(weights(again.generator_), weights(whole.generator_))
        assert torch.equal(weights(again.critic_), weights(whole.critic_))
        pd.testing.assert_frame_equal(pd.DataFrame(again.sample(9)), pd.DataFrame(whole.sample(9)))


def test_steps_and_budgets_count_from_where_the_last_fit_stopped() -> None:
    gan = tiny(steps=2).fit(points())
    assert gan.set_params(steps=5).fit(points(), resume=True).n_steps_ == 7
    gan.set_params(steps=None, budget=0.05).fit(points(), resume=True)
    assert gan.n_steps_ > 7
    assert gan.fit(points()).history_[0]["step"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"critic_lr": 0.5}, r"only be resumed with its own settings: critic_lr was 0\.001, is 0\.5\. Set them ba"),
        ({"random_state": 7}, r"seed was 0, is 7"),
        ({"heldout": 0.3}, r"heldout was None, is 0\.3"),
    ],
)
def test_a_fit_with_other_settings_is_not_resumed(changes: dict[str, Any], message: str) -> None:
    gan = tiny().fit(points())
    before = gan.sample(3)
    with pytest.raises(UserError, match=message):
        gan.set_params(**changes).fit(points(), resume=True)
    assert (gan.sample(3, seed=0) == before).all() and gan.n_steps_ == 3


def test_a_fit_with_other_rows_is_not_resumed() -> None:
    gan = tiny().fit(points())
    with pytest.raises(UserError, match="X is not the data that the run was trained on"):
        gan.fit(points(seed=1), resume=True)
    with pytest.raises(ValueError, match="X has 2 features, but WassersteinGAN is expecting 3"):
        gan.fit(points(width=2), resume=True)


def test_a_random_state_that_gives_other_numbers_is_no_hindrance() -> None:
    rows = points()
    for state in (None, np.random.RandomState(1)):
        gan = tiny(random_state=state).fit(rows)
        seed = gan.seed_
        assert gan.fit(rows, resume=True).n_steps_ == 6 and gan.seed_ == seed


# The end of a fit


def scripted(monkeypatch: pytest.MonkeyPatch, distances: list[float]) -> None:
    """Ticks that measure these distances, one after the other."""
    left = iter(distances)

    class Distance:
        def __init__(self, source: Any, *, latent_dim: int) -> None:
            pass

        def __call__(self, generator: nn.Module) -> dict[str, float]:
            return {"sliced_w1": next(left), "sliced_w1_floor": 0.0}

    monkeypatch.setattr("wassergan.estimator.fit.HeldoutDistance", Distance)


def test_patience_ends_a_fit_and_restores_the_best_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    at_best = tiny(steps=4, tick_steps=2).fit(points())
    at_end = tiny(steps=10, tick_steps=2).fit(points())
    scripted(monkeypatch, [5, 4, 1, 3, 2, 2])  # at steps 0, 2, 4, 6, 8, 10
    gan = tiny(steps=100, tick_steps=2, patience=3).fit(points())
    assert gan.n_steps_ == 10 and gan.best_step_ == 4 and gan.best_distance_ == 1
    assert [record["step"] for record in gan.history_] == [0, 2, 4, 6, 8, 10]
    assert torch.equal(weights(gan.generator_), weights(at_best.generator_))
    assert torch.equal(weights(gan.critic_), weights(at_end.critic_))
    gan.save(tmp_path / "gan.pt")
    for other in (WassersteinGAN.load(tmp_path / "gan.pt"), pickle.loads(pickle.dumps(gan))):
        assert torch.equal(weights(other.generator_), weights(at_best.generator_))


def test_a_fit_that_ran_out_of_patience_goes_on_from_its_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiny(steps=12, tick_steps=2).fit(points())
    scripted(monkeypatch, [5, 1, 2, 3, 3, 3, 0.5])  # at steps 0, 2, 4, 6; then 8, 10, 12
    gan = tiny(steps=100, tick_steps=2, patience=2).fit(points())
    assert gan.n_steps_ == 6 and gan.best_step_ == 2
    gan.set_params(steps=6, patience=3).fit(points(), resume=True)
    assert gan.n_steps_ == 12 and gan.best_step_ == 12
    assert torch.equal(weights(gan.generator_), weights(whole.generator_))


def test_a_tick_at_the_end_alone_may_be_the_best_but_does_not_count_for_a_longer_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripted(monkeypatch, [5, 4, 1, 3])  # at steps 0, 2 and, because the fit ends, 3; then 4
    gan = tiny(steps=3, tick_steps=2, patience=9).fit(points())
    assert gan.best_step_ == 3
    gan.set_params(steps=1).fit(points(), resume=True)
    assert gan.best_step_ == 4 and [record["step"] for record in gan.history_] == [0, 2, 4]


def test_without_patience_the_last_weights_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    at_end = tiny(steps=6, tick_steps=2).fit(points())
    scripted(monkeypatch, [5, 1, 2, 3])
    gan = tiny(steps=6, tick_steps=2).fit(points())
    assert gan.best_step_ == 2 and torch.equal(weights(gan.generator_), weights(at_end.generator_))


class GraphRecorder(Callback):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_train_begin(self, settings: Any, source: Any, folder: Any, trainer: Any) -> None:
        self.told.append(("started", settings.steps, source.name, trainer.step))
        self.folder = folder.path
        assert self.folder.is_dir() and not folder.grid(0).exists()

    def on_message(self, sentence: str) -> None:
        self.told.append(sentence)

    def on_step_end(self, trainer: Any) -> None:
        self.told.append(trainer.step)

    def on_tick(self, record: Mapping[str, Any]) -> None:
        self.told.append(record)

    def on_close(self) -> None:
        self.told.append("closed")


def test_callbacks_are_told_how_a_fit_goes() -> None:
    recorder = GraphRecorder()
    gan = tiny(steps=2, batch_size=8, callbacks=[recorder]).fit(points())
    first, last = gan.history_
    assert recorder.told == [("started", 2, "array", 0), first, 1, 2, last, "closed"]
    assert not recorder.folder.exists()
    other = tiny(steps=2).fit(points())
    assert torch.equal(weights(gan.set_params(batch_size=None).fit(points()).generator_), weights(other.generator_))
    assert recorder.told[6] == "Batches of 27 instead of 64 samples: there are 54 training rows."


def test_callbacks_write_into_the_folder(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from wassergan.callbacks import TensorBoardCallback

    tiny(callbacks=[TensorBoardCallback()], folder=tmp_path).fit(points())
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_what_a_callback_raises_ends_the_fit_and_leaves_nothing_half_fitted() -> None:
    class Failing(GraphRecorder):
        def on_step_end(self, trainer: Any) -> None:
            raise RuntimeError("full")

    failing = Failing()
    gan = tiny(batch_size=8).fit(points()).set_params(callbacks=[failing])
    with pytest.raises(RuntimeError, match="full"):
        gan.fit(points())
    assert failing.told[-1] == "closed"
    with pytest.raises(NotFittedError):
        gan.sample(1)


class Interrupting(Callback):
    """Presses Ctrl-C in a step, so many times."""

    def __init__(self, step: int, times: int = 1) -> None:
        self.step, self.times = step, times

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == self.step:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_a_fit_that_can_go_on() -> None:
    whole = tiny(steps=9).fit(points())
    with pytest.warns(UserWarning, match="^Interrupted after 4 steps, .* resume=True to go on.$"):
        gan = tiny(steps=100, callbacks=[Interrupting(4)]).fit(points())
    assert gan.n_steps_ == 4 and len(gan.sample(2)) == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    gan.set_params(steps=5, callbacks=()).fit(points(), resume=True)
    assert torch.equal(weights(gan.generator_), weights(whole.generator_))


def test_ctrl_c_twice_ends_a_fit_at_once() -> None:
    gan = tiny(callbacks=[Interrupting(2, times=2)])
    with pytest.raises(KeyboardInterrupt):
        gan.fit(points())
    assert not gan.__sklearn_is_fitted__()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_handler_of_ctrl_c_stays_in_place() -> None:
    pressed: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        assert tiny(callbacks=[Interrupting(2)]).fit(points()).n_steps_ == 3 and pressed == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, former)


def test_a_verbose_fit_shows_a_bar_and_a_silent_one_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    tiny(steps=20).fit(people()).sample(3)
    assert capfd.readouterr() == ("", "")
    tiny(steps=20, verbose=1).fit(people())
    out, err = capfd.readouterr()
    assert out == "" and "100%" in err and "20/20" in err and "sliced W1 " in err and "Batches of" in err


# Conditions


def test_what_is_given_comes_back_exactly_in_every_row() -> None:
    frame = people()
    told = ["height", "children", "smokes", "grade", "floor", "sex", "born"]
    gan = tiny(condition=told).fit(frame)
    given = {"height": frame["height"][3], "grade": "b", "sex": "f", "smokes": True, "floor": 2}
    given |= {"children": 1, "born": frame["born"][9]}
    drawn = gan.sample(300, given=given)
    for name, value in given.items():
        assert (drawn[name] == value).all(), name
    pd.testing.assert_series_equal(drawn.dtypes, frame.dtypes)
    assert gan.sample(9, given={"grade": None})["grade"].isna().all()
    some = gan.sample(300, given={"sex": "m"})
    assert (some["sex"] == "m").all() and some["floor"].nunique() == 2 and set(some["height"]) <= set(frame["height"])
    assert set(gan.sample(300)["sex"].dropna()) == {"f", "m"}


def test_every_row_may_be_given_its_own_conditions() -> None:
    frame = people()
    told = ["children", "member", "grade", "city", "born"]
    gan = tiny(condition=told).fit(frame)
    rows = frame[told].iloc[:20]
    lists = {name: list(rows[name]) for name in told}
    for given in (rows, lists, rows.astype(object).where(rows.notna(), None).to_dict("records")):
        drawn = gan.sample(20, given=given, seed=2)
        pd.testing.assert_frame_equal(drawn[told], rows)
        pd.testing.assert_frame_equal(drawn, gan.sample(20, given=rows, seed=2))
    arrays = {name: rows[name].to_numpy() for name in told}
    pd.testing.assert_frame_equal(gan.sample(20, given=arrays, seed=2), drawn)
    first = gan.sample(3, given=rows[:3], seed=2)
    pd.testing.assert_frame_equal(first, drawn[:3])


@pytest.mark.parametrize("data", [points(90), people()], ids=["array", "frame"])
@pytest.mark.parametrize(
    "labels",
    [
        np.arange(90) % 3,
        [("a", "b")[row % 2] for row in range(90)],
        np.linspace(0, 1, 90),
        np.arange(90) % 3 == 0,
        pd.Series(pd.Categorical(["a", "b", "c"] * 30), name="y"),
        torch.arange(90) % 4,
        (np.arange(90) % 3).astype(object),
    ],
    ids=["whole numbers", "text", "numbers", "booleans", "a series", "a tensor", "objects"],
)
def test_labels_are_a_condition_and_no_part_of_the_rows(data: Any, labels: Any, tmp_path: Path) -> None:
    gan = tiny(steps=1).fit(data, labels)
    one = labels.iloc[4] if isinstance(labels, pd.Series) else labels[4]
    drawn = pd.DataFrame(gan.sample(5, given=one))
    pd.testing.assert_frame_equal(drawn, pd.DataFrame(gan.sample(5, given=[one] * 5)))
    pd.testing.assert_frame_equal(drawn, pd.DataFrame(gan.sample(5, given={"label": one})))
    assert drawn.shape == (5, data.shape[1]) and gan.n_features_in_ == data.shape[1]
    gan.save(tmp_path / "gan.pt")
    score = gan.score(data, labels)
    for other in (WassersteinGAN.load(tmp_path / "gan.pt"), pickle.loads(pickle.dumps(gan))):
        pd.testing.assert_frame_equal(pd.DataFrame(other.sample(5, given=one)), drawn)
        assert other.score(data, labels) == score
        context = torch.zeros(2, other._sampler.conditions.width)
        vectors = other.generator_(torch.zeros(2, other._sampler.latent_dim + context.shape[1]))
        assert torch.equal(other.critic_(vectors, context), gan.critic_(vectors, context))
    assert gan.fit(data, labels, resume=True).n_steps_ == 2


def test_rows_go_with_their_labels_and_the_score_notices() -> None:
    labels = np.arange(300) % 2
    rows = points(300, 2) * 0.3 + 4 * labels[:, None].astype(np.float32)
    gan = tiny(steps=150, critic_steps=3, generator_lr=5e-3, critic_lr=5e-3).fit(rows, labels)
    low, high = (gan.sample(200, given=label).mean() for label in (0, 1))
    assert high - low > 1
    assert gan.score(rows, labels) > gan.score(rows, 1 - labels)


def test_masked_labels_are_refused() -> None:
    labels = np.ma.masked_array(np.arange(40) % 2, np.arange(40) == 3)
    with pytest.raises(UserError, match="Labels are masked: 1 of them"):
        WassersteinGAN(steps=1).fit(np.random.default_rng(0).normal(size=(40, 3)), labels)


def test_a_grid_search_hands_labels_on() -> None:
    labels = np.array(["a", "b", "c"] * 30)
    search = GridSearchCV(tiny(), {"latent_dim": [2, 3]}, cv=2, error_score="raise").fit(points(90), labels)
    assert search.best_score_ < 0 and search.best_estimator_.sample(3, given="b").shape == (3, 3)


def test_conditions_and_labels_are_given_together() -> None:
    gan = tiny(condition="city").fit(people(), np.arange(90) % 3)
    drawn = gan.sample(50, given={"city": "Rome", "label": 2})
    assert (drawn["city"] == "Rome").all() and list(drawn.columns) == list(people().columns)
    with pytest.raises(UserError, match=r"Conditions are given by name: 2\. Say which of \('city', 'label'\)"):
        gan.sample(3, given=2)
    with pytest.raises(UserError, match=r"The estimator was fitted with labels: none\. Give them as y"):
        gan.score(people())
    with pytest.raises(UserError, match=r"condition was \('city', 'label'\), is \('city',\)"):
        gan.fit(people(), resume=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"town": "Rome"}, "Unknown condition: 'town'. Known: city, children"),
        ({"city": "Oslo"}, "Unknown level of condition city: 'Oslo'"),
        ({"children": 17}, r"Condition children lies outside the data: 17"),
        ({"city": ["Rome"] * 4}, r"3 rows need one city, or 3: 4"),
        ("Rome", r"Conditions are given by name: 'Rome'\. Say which of"),
    ],
)
def test_wrong_conditions_are_refused(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny(condition=["city", "children"]).fit(people()).sample(3, given=given)


def test_conditions_that_cannot_be_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"fitted without conditions\. Name some with condition=\[\.\.\.\], or fit\(X, y\)"
    ):
        tiny().fit(points()).sample(3, given={"x": 1})
    with pytest.raises(
        UserError, match=r"Arrays have no columns to condition on\. Give their labels instead: fit\(X, y"
    ):
        tiny(condition=["x"]).fit(points())
    with pytest.raises(UserError, match="to condition on: 'town'"):
        tiny(condition=["town"]).fit(people())
    with pytest.raises(UserError, match="has a column label, as labels beside it would be called"):
        tiny().fit(people().assign(label=1), np.arange(90))
    with pytest.raises(UserError, match=r"Unknown label type: dict\. Give text or numbers alone"):
        tiny().fit(points(), np.array([{}] * 60))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        tiny().fit(points(), np.arange(59))


# What is refused


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"steps": 0}, r"steps: Expected a whole number above 0: '0'"),
        ({"steps": 2.5}, r"steps: Expected a whole number above 0: '2.5'"),
        ({"budget": "soon"}, r"budget: A budget is a positive duration: 'soon'\. Write it like 20s, 10m or 2h"),
        ({"batch_size": -1}, r"batch_size: Expected a whole number above 0"),
        ({"batch_size": 50}, r"Too few samples to train on: 54 training samples for batches of 50"),
        ({"generator_widths": (8, 0)}, r"generator_widths: Widths are whole numbers: '8,0'"),
        ({"patience": 0}, r"patience: Expected a whole number above 0"),
        ({"heldout": 1.5}, r"heldout: Expected a number from 0 up to, not including, 1: '1\.5'"),
        ({"random_state": -1}, r"random_state: Expected a whole number from 0"),
        ({"random_state": "x"}, r"random_state: Expected a whole number from 0"),
        ({"preset": "wgna"}, r"Unknown preset: 'wgna'\. Did you mean 'wgan'"),
        ({"constraint": "none"}, r"objective needs a Lipschitz critic"),
        ({"constraint": "lq"}, r"Unknown constraint: 'lq'"),
        ({"device": "tpu"}, r"Unknown device: 'tpu'"),
        (
            {"settings": {"batch_size": 3}},
            r"'batch_size' cannot be one of .*Batch_size is a parameter of its own; known",
        ),
        ({"settings": {"batches": 3}}, r"'batches' cannot be one of the further settings\. Known: objective, clip"),
        ({"settings": {"beta1": 2}}, r"beta1: Expected a number from 0 up to, not including, 1"),
        ({"schema": {}}, r"A schema is for DataFrames: an array\. Leave it out"),
    ],
)
def test_wrong_parameters_are_refused_at_the_fit(parameters: dict[str, Any], message: str) -> None:
    gan = tiny(**parameters)
    with pytest.raises(UserError, match=message):
        gan.fit(points())
    assert issubclass(UserError, ValueError) and not gan.__sklearn_is_fitted__()


@pytest.mark.parametrize(
    ("n", "seed", "message"),
    [
        (0, 0, "n: Expected a whole number above 0: '0'"),
        ("many", 0, "n: Expected a whole number above 0: 'many'"),
        (1, -1, "seed: Expected a whole number from 0, below 2.63: '-1'"),
    ],
)
def test_wrong_numbers_are_refused_at_the_draw(n: Any, seed: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny().fit(points()).sample(n, seed=seed)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({1: [1.0], "1": [2.0]}), "."),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "columns of the same name: a, a. Rename them"),
        (pd.DataFrame({0.5: points()[:, 0]}), r"Columns are named by text or whole numbers: 0\.5\. Rename the column"),
        (pd.DataFrame({"a": [1j] * 50}), "Column a of .* is of a type that a table cannot have: complex128"),
        (pd.DataFrame({"a": [1, "x"] * 30}), r"Column a of the DataFrame mixes types: 'x' \(str\) in row 1"),
        (pd.DataFrame({"a": [1.0] * 60}), "Every column of the DataFrame has one level alone"),
    ],
)
def test_frames_that_cannot_be_learnt_are_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises((UserError, TypeError), match=message):
        tiny().fit(frame)


def test_columns_that_are_left_out_are_named_unless_the_user_dropped_them() -> None:
    frame = people().assign(ident=[f"u {row}'s" for row in range(90)], t=range(90))
    with pytest.warns(UserWarning, match="Left out, as identifiers or free text: ident, t") as told:
        gan = tiny().fit(frame)
    assert told[0].filename == __file__
    assert list(gan.sample(2).columns) == list(people().columns) and gan.n_features_in_ == 17
    tiny(schema={"columns": {"ident": "drop", "t": "drop"}}).fit(frame)
    kept = tiny(schema={"columns": {"ident": "category", "t": "drop"}}).fit(frame)
    assert list(kept.sample(2).columns) == [*people().columns, "ident"]


def test_identifiers_of_a_dataframe_come_back_fresh_in_their_place_and_type(tmp_path: Path) -> None:
    frame = people()
    frame.insert(1, "id", np.random.default_rng(0).permutation(90).astype("int32"))
    frame.insert(3, "key", [f"K-{row:04d}" for row in range(90)])
    gan = tiny().fit(frame)
    made = gan.sample(200, seed=3)
    assert list(made.columns) == list(frame.columns)
    assert (made.dtypes == frame.dtypes).all()
    for name in ("id", "key"):
        assert made[name].is_unique and not set(made[name]) & set(frame[name])
    gan.save(tmp_path / "gan.pt")
    assert WassersteinGAN.load(tmp_path / "gan.pt").sample(200, seed=3).equals(made)
    parts = list(gan.sample_chunks(2100, seed=3))  # fresh from part to part
    whole = pd.concat(parts, ignore_index=True)
    assert len(parts) > 1 and whole.equals(gan.sample(2100, seed=3)) and whole["key"].is_unique
    for drawn in (gan.sample, lambda count: next(gan.sample_chunks(count))):
        with pytest.raises(UserError, match="Column key has too few identifiers: 9911 asked for, 9910 that are not"):
            drawn(9911)


def test_a_schema_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"columns": {"children": "category", "job": "drop"}}')
    gan = tiny(schema=tmp_path / "schema.json").fit(people())
    assert list(gan.sample(2).columns) == [name for name in people().columns if name != "job"]
    with pytest.raises(UserError, match="kind of column children in the schema: 'numbr'"):
        tiny(schema={"columns": {"children": "numbr"}}).fit(people())


def test_polars_and_tqdm_are_not_imported_with_the_package() -> None:
    assert wassergan.WassersteinGAN is WassersteinGAN and "WassersteinGAN" in dir(wassergan)
    if "polars" in sys.modules:
        pytest.skip("another test imported polars")
    tiny().fit(people()).sample(1)
    assert "polars" not in sys.modules


def test_rows_with_weights_are_drawn_by_them() -> None:
    frame = pd.DataFrame(
        {"group": ["a"] * 240 + ["b"] * 60, "x": np.linspace(0, 1, 300), "w": [1.0] * 240 + [9.0] * 60}
    )
    bare = frame.drop(columns="w")
    by_name, by_value = tiny().fit(frame, sample_weight="w"), tiny().fit(bare, sample_weight=frame["w"])
    made = by_name.sample(3000)
    assert by_value.sample(3000).equals(made) and list(made.columns) == ["group", "x"] and by_name.n_features_in_ == 2
    assert (made["group"] == "b").mean() == pytest.approx(540 / 780, abs=0.05)
    assert tiny().fit(bare, sample_weight=np.full(300, 4.0)).sample(50).equals(tiny().fit(bare).sample(50))
    assert by_name.score(frame, sample_weight="w") > by_name.score(bare)
    with pytest.raises(UserError, match="there were other weights"):
        by_name.fit(bare, resume=True)
    points = np.random.default_rng(0).normal(size=(200, 2))
    heavy = tiny().fit(points, sample_weight=np.where(points[:, 0] > 0, 50.0, 1.0))
    assert not np.array_equal(heavy.sample(9), tiny().fit(points).sample(9))
    for weights in (np.full(200, -1.0), np.full(200, np.nan), np.zeros(200), np.ones(199), "w"):
        with pytest.raises(ValueError, match="weight"):
            tiny().fit(points, sample_weight=weights)


@pytest.fixture
def quick_refinement(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that learns little: what it learns is tested elsewhere."""
    monkeypatch.setattr("wassergan.sampling.ratio.MOST_STEPS", 40)
    monkeypatch.setattr("wassergan.session.refinement.CALIBRATED", 512)


def told(rows: Any) -> Any:
    return rows.to_csv() if isinstance(rows, pd.DataFrame) else rows.tolist()


@pytest.mark.parametrize("kind", ["points", "frame", "labels"])
def test_rows_are_refined_by_what_the_fit_left_and_after_a_file_too(
    kind: str, quick_refinement: None, tmp_path: Path
) -> None:
    rows = people() if kind == "frame" else points(120)
    labels = np.arange(120) % 3 if kind == "labels" else None
    gan = tiny(refine=3, batch_size=16).fit(rows, labels)
    drawn, plain, more = (gan.sample(40, seed=1, refine=refine) for refine in (None, 1, 8))
    assert len(drawn) == 40 and type(drawn) is type(rows)
    assert told(drawn) not in (told(plain), told(more))
    assert told(gan.sample(90, seed=1)[:40]) == told(drawn)
    if kind != "frame":
        assert told(np.concatenate(list(gan.sample_chunks(40, seed=1)))) == told(drawn)
    gan.save(tmp_path / "gan.pt")
    for again in (WassersteinGAN.load(tmp_path / "gan.pt"), pickle.loads(pickle.dumps(gan))):
        assert told(again.sample(40, seed=1)) == told(drawn)


def test_refining_needs_a_fit_that_was_asked_for_it() -> None:
    gan = tiny().fit(points())
    with pytest.raises(UserError, match=r"fitted without what refines rows: refine=4\. Fit WassersteinGAN\(refine=4"):
        gan.sample(3, refine=4)
    assert np.array_equal(gan.sample(3, refine=1), gan.sample(3))
    with pytest.raises(UserError, match="refine"):
        tiny(refine=0).fit(points())
    with pytest.raises(UserError, match="refine"):
        gan.sample(3, refine=-1)


def test_augmentation_and_flips_are_settings_of_a_fit() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    gan = tiny(settings={"augment": "translate,cutout", "mirror": True, "layout": "NHW"}).fit(pictures)
    assert gan.settings_.augment == "translate,cutout" and gan.settings_.mirror
    for wrong in ({"augment": "blur"}, {"mirror": "yes"}, {"mirror": 1}):
        with pytest.raises(UserError, match=next(iter(wrong))[:6]):
            tiny(settings=wrong | {"layout": "NHW"}).fit(pictures)
    with pytest.raises(UserError, match="for pictures and fields"):
        tiny(settings={"augment": "translate"}).fit(points())
