import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import wassergan.plots
from wassergan.cli.main import main
from wassergan.data import open_source
from wassergan.errors import UserError
from wassergan.modality.walks import FACTORS, FRAMES, STOPS, STRIP_COLUMNS, spherical_path
from wassergan.runs.visualize import visualize_run
from wassergan.session.restore import open_sampler

pytestmark = pytest.mark.usefixtures("real_figures")


def train(folder: Path, values: np.ndarray, tiny: tuple[str, ...]) -> Path:
    np.save(folder / "data.npy", values)
    argv = ["train", str(folder / "data.npy"), "--out", str(folder / "run"), "--steps", "3", "--no-tensorboard", *tiny]
    assert main(argv) == 0
    return folder / "run"


@given(dimension=st.integers(1, 20), share=st.floats(0, 1))
def test_every_point_of_a_path_is_as_likely_as_its_ends(dimension: int, share: float) -> None:
    start, end = torch.randn(2, 20_000, dimension, generator=torch.Generator().manual_seed(1))
    between = spherical_path(start, end, share)
    assert abs(between.var().item() - 1) < 0.05 and abs(between.mean().item()) < 0.05
    assert torch.allclose(spherical_path(start, end, 0), start) and torch.allclose(
        spherical_path(start, end, 1), end, atol=1e-6
    )


@given(share=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_between_orthogonal_ends_of_one_norm_it_is_spherical_interpolation(share: float, seed: int) -> None:
    pair, _ = torch.linalg.qr(torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))
    start, end = 3 * pair.T
    angle = math.acos(torch.dot(start, end).item() / 9)
    expected = (math.sin((1 - share) * angle) * start + math.sin(share * angle) * end) / math.sin(angle)
    torch.testing.assert_close(spherical_path(start, end, share), expected)


def test_walks_and_truncation_of_pictures_without_the_data(picture_run: Path, tmp_path: Path) -> None:
    files = visualize_run(picture_run, tmp_path / "visualize", seed=3)
    assert [path.name for path in files] == ["interpolation.webp", "interpolation.png", "truncation.png"]
    assert sorted(files) == sorted((tmp_path / "visualize").iterdir())
    with Image.open(files[0]) as animation:
        assert animation.n_frames == STOPS * FRAMES  # type: ignore[attr-defined]
        first = np.asarray(animation.convert("RGB"))
    strip, truncation = (np.asarray(Image.open(path)) for path in files[1:])
    # 7x5 pixels enlarged eight times, with gaps of 2; one picture per latent in the animation's first frame.
    height, width = 56 + 2, 40 + 2
    assert strip.shape[1] == STRIP_COLUMNS * width + 2 and truncation.shape[1] == len(FACTORS) * width + 2
    assert first.shape == (4 * height + 2, 4 * width + 2, 3)
    header = strip.shape[0] - (6 * height + 2)
    cell = (slice(header + 2, header + height), slice(2, width))
    # The walks start where the strip does, and there the truncation has its factor 1.
    assert (strip[cell] == first[2:height, 2:width]).all()
    column = FACTORS.index(1.0) * width
    assert (truncation[cell[0], column + 2 : column + width] == strip[cell]).all()
    # Factor 0 is one picture for all latents.
    rows = [truncation[header + 2 + row * height : header + (row + 1) * height, 2:width] for row in range(6)]
    assert all((row == rows[0]).all() for row in rows)


def test_equal_seeds_give_equal_files_and_others_others(picture_run: Path, finished_run: Path, tmp_path: Path) -> None:
    for run, kind in ((picture_run, "pictures"), (finished_run, "rows")):
        contents = []
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            files = visualize_run(run, tmp_path / kind / name, seed=seed)
            contents.append([path.read_bytes() for path in files])
        assert contents[0] == contents[1]
        assert all(one != other for one, other in zip(contents[0], contents[2], strict=True))


Drawn = dict[str, list[Any]]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """What the figures were given, by their names; nothing is drawn."""
    calls: Drawn = {}
    for name in ("marginals_figure", "pairs_figure", "fields_figure", "moments_figure"):
        monkeypatch.setattr(
            wassergan.plots,
            name,
            lambda *given, _name=name, **options: calls.setdefault(_name, []).append((given, options)),
        )
    monkeypatch.setattr(wassergan.plots, "save_figure", lambda figure, path: path.write_text(""))
    return calls


def test_rows_are_drawn_beside_the_held_out_ones(
    finished_run: Path, points_file: Path, tmp_path: Path, drawn: Drawn
) -> None:
    files = visualize_run(finished_run, tmp_path / "visualize", count=30, seed=2)
    assert [path.name for path in files] == ["marginals.png", "pairs.png"]
    source = open_source(str(points_file))
    heldout = np.load(points_file)[source.split.heldout[source.heldout_positions(30)]]
    for calls in drawn.values():
        ((samples, real), options) = calls[0]
        assert (samples == open_sampler(finished_run).draw(30, seed=2)).all()
        np.testing.assert_allclose(real, heldout, rtol=1e-5)  # 12 of 120
        assert list(options["names"]) == ["feature 0", "feature 1"]


def test_columns_of_a_table_have_their_names_and_held_out_rows(
    tmp_path: Path, tiny: tuple[str, ...], drawn: Drawn
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from pyarrow import table

    columns = {"mass": np.arange(50.0), "charge": np.arange(50.0) % 7}
    parquet.write_table(table(columns), tmp_path / "t.parquet")
    main(["train", str(tmp_path / "t.parquet"), "--out", str(tmp_path / "run"), "--steps", "1", *tiny])
    visualize_run(tmp_path / "run", tmp_path / "visualize")
    ((_, real), options) = drawn["pairs_figure"][0]
    assert list(options["names"]) == ["mass", "charge"]
    heldout = open_source(str(tmp_path / "t.parquet")).split.heldout.numpy()
    real = real[np.argsort(real[:, 0])]
    np.testing.assert_allclose(real, np.stack([np.sort(heldout), np.sort(heldout) % 7], 1), atol=1e-4)


def test_single_numbers_have_a_marginal_and_no_pairs(tmp_path: Path, tiny: tuple[str, ...], drawn: Drawn) -> None:
    run = train(tmp_path, np.random.default_rng(0).normal(size=50), tiny)
    assert [path.name for path in visualize_run(run, tmp_path / "visualize", count=9)] == ["marginals.png"]
    ((samples, real), _) = drawn["marginals_figure"][0]
    assert samples.shape == (9, 1) and real.shape == (5, 1)


@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW"])
def test_fields_share_the_range_of_the_held_out_ones(
    tmp_path: Path, tiny: tuple[str, ...], drawn: Drawn, layout: str
) -> None:
    kelvin = 280 + 10 * np.random.default_rng(0).normal(size=(60, 5, 6)).astype("f4")
    values = {"NHW": kelvin, "NHWC": np.stack([kelvin, -kelvin], 3), "NCHW": np.stack([kelvin, -kelvin], 1)}[layout]
    run = train(tmp_path, values, (*tiny, "--layout", layout))
    files = visualize_run(run, tmp_path / "visualize", count=20)
    assert [path.name for path in files[:2]] == ["fields.png", "moments.png"] and len(files) == 5
    source = open_source(values, layout=layout)
    heldout = kelvin[source.split.heldout[source.heldout_positions(20)]]
    (channels,), _ = drawn["moments_figure"][0]
    assert [channel.name for channel in channels] == ([""] if layout == "NHW" else ["channel 0", "channel 1"])
    laws = channels[0].distributions
    assert list(laws) == ["held out", "generated"]
    if len(channels) == 2:
        np.testing.assert_allclose(channels[1].distributions["held out"], -heldout, rtol=1e-4)
    np.testing.assert_allclose(laws["held out"], heldout, rtol=1e-4)
    assert laws["generated"].shape == (20, 5, 6)
    (shown,), _ = drawn["fields_figure"][0]
    assert (shown[0].low, shown[0].high) == pytest.approx((heldout.min(), heldout.max()), rel=1e-4)
    assert shown[0].name == ("data.npy" if layout == "NHW" else "channel 0")
    # First and last are among the five shown.
    np.testing.assert_allclose(shown[0].distributions["held out"][[0, 4]], heldout[[0, 5]], rtol=1e-4)


def test_without_the_data_generated_samples_stand_alone_and_that_is_said(
    finished_run: Path, points_file: Path, tmp_path: Path, drawn: Drawn
) -> None:
    run, said = tmp_path / "run", []  # type: ignore[var-annotated]
    shutil.copytree(finished_run, run)
    other = tmp_path / "other.npy"
    np.save(other, np.random.default_rng(9).normal(size=(120, 2)).astype("f4"))
    with pytest.raises(UserError, match="other.npy is not the data that the run was trained on"):
        visualize_run(run, tmp_path / "visualize", data=str(other))
    with pytest.raises(UserError, match="There is no"):
        visualize_run(run, tmp_path / "visualize", data=str(tmp_path / "gone.npy"))
    assert not (tmp_path / "visualize").exists()
    moved = tmp_path / "moved.npy"
    shutil.move(points_file, moved)
    try:
        visualize_run(run, tmp_path / "visualize", log=said.append)
        assert drawn["marginals_figure"][0][0][1] is None
        assert len(said) == 1 and said[0].startswith("Real samples are left out: There is no")
        assert said[0].endswith("`data` names another place.")
        visualize_run(run, tmp_path / "visualize", data=str(moved), log=said.append)
        assert drawn["marginals_figure"][1][0][1].shape == (12, 2) and len(said) == 1
        shutil.copy(other, points_file)
        visualize_run(run, tmp_path / "visualize", log=said.append)
        assert "is not the data that the run was trained on" in said[1]
    finally:
        shutil.move(moved, points_file)


@pytest.mark.usefixtures("quick_figures")
def test_the_command_names_its_files(cli: Callable[..., Any], finished_run: Path, tmp_path: Path) -> None:
    said = cli("visualize", finished_run, "--out", tmp_path / "deep" / "visualize", "--count", "20")
    assert said.out == "".join(
        f"Wrote {tmp_path / 'deep' / 'visualize' / name}.png\n" for name in ("marginals", "pairs")
    )
    said = cli("visualize", finished_run, "--seed", "4", "--json")
    files = [finished_run / "visualization" / f"{name}.png" for name in ("marginals", "pairs")]
    assert json.loads(said.out) == {"files": [str(path) for path in files], "seed": 4}
    shutil.rmtree(finished_run / "visualization")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--checkpoint", "77"], "There is no checkpoint '77'"),
        (["--device", "tpu"], "Unknown device: 'tpu'"),
        (["--count", "0"], "--count: Expected a whole number above 0: '0'."),
        (["--data", "gone.npy"], "There is no"),
    ],
)
def test_wrong_requests(
    refused: Callable[..., str], finished_run: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    assert refused("visualize", finished_run, "--out", tmp_path / "visualize", *flags).startswith(message)
    assert not (tmp_path / "visualize").exists()
    assert refused("visualize", tmp_path).startswith(f"There is no run in {tmp_path}")
