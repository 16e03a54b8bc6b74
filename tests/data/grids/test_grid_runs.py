"""From a file with coordinates to samples with the same coordinates, through runs that are stopped and go on."""

import json
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray
from scipy.io import loadmat

from wassergan import open_sampler
from wassergan.cli.main import main
from wassergan.data import Codec, open_source
from wassergan.data.grids import GridMetadata, open_gridded
from wassergan.data.grids.metadata import Coordinate
from wassergan.errors import UserError
from wassergan.storage.checkpoint import load_checkpoint

FILL = np.float32(-999.0)


@pytest.fixture
def field_file(tmp_path: Path) -> Path:
    """Fields with land that is missing, written by another library than the one that reads them."""
    values = np.random.default_rng(0).normal(280, 4, (130, 1, 5, 6)).astype("f4")
    values[:, :, :2, :3] = FILL
    with h5netcdf.File(tmp_path / "sst.nc", "w") as file:
        file.dimensions = {"time": None, "depth": 1, "lat": 5, "lon": 6}
        file.resize_dimension("time", 130)
        for name, each in {"time": np.arange(130.0), "lat": np.linspace(50, 46, 5), "lon": np.arange(6.0)}.items():
            file.create_variable(name, (name,), data=each)
        file.create_variable("depth", ("depth",), data=np.array([0.5], "f4")).attrs["positive"] = "down"
        file.variables["time"].attrs["units"] = "days since 2000-01-01"
        file.variables["lat"].attrs["units"] = "degrees_north"
        file.create_variable("area", ("lat", "lon"), data=np.arange(30.0).reshape(5, 6)).attrs["units"] = "m2"
        file.create_variable("crs", (), data=np.int32(0)).attrs["grid_mapping_name"] = "latitude_longitude"
        own = file.create_variable("sst", ("time", "depth", "lat", "lon"), "f4", fillvalue=FILL)
        own[...] = values
        own.attrs.update(
            {"units": "K", "coordinates": "area", "grid_mapping": "crs", "levels": np.array([1, 2], np.int16)}
        )
        file.attrs["title"] = "Sea — surface"
    return tmp_path / "sst.nc"


@pytest.fixture
def run(field_file: Path, tmp_path: Path, tiny: tuple[str, ...]) -> Path:
    assert main(["train", str(field_file), "--out", str(tmp_path / "run"), "--steps", "3", *tiny]) in (0, None)
    return tmp_path / "run"


def sample(run: Path, path: Path, *more: str) -> Path:
    assert main(["sample", str(run), "--count", "70", "--seed", "3", "--out", str(path), *more]) in (0, None)
    return path


def test_samples_have_the_coordinates_units_and_attributes_of_the_data(
    run: Path, field_file: Path, tmp_path: Path
) -> None:
    expected = open_sampler(run).draw(70, seed=3)
    for name in ("a.nc", "a.h5"):
        own, data = h5py.File(sample(run, tmp_path / name)), h5py.File(field_file)
        with own, data:
            values = own["sst"][...]
            assert values.shape == (70, 1, 5, 6) and own["sst"].attrs["_FillValue"] == FILL
            np.testing.assert_array_equal(values[:, 0][~np.isnan(expected)], expected[~np.isnan(expected)])
            assert (values[:, 0, :2, :3] == FILL).all() and (values == FILL).sum() == 70 * 6
            for key in ("units", "coordinates", "grid_mapping", "levels"):
                np.testing.assert_array_equal(own["sst"].attrs[key], data["sst"].attrs[key])
                assert np.asarray(own["sst"].attrs[key]).dtype == np.asarray(data["sst"].attrs[key]).dtype
            for key in ("lat", "lon", "depth", "area", "crs"):
                np.testing.assert_array_equal(own[key][...], data[key][...])
                assert own[key].dtype == data[key].dtype
            assert own["lat"].attrs["units"] == "degrees_north" and own["area"].attrs["units"] == "m2"
            assert own["crs"].attrs["grid_mapping_name"] == "latitude_longitude"
            assert own.attrs["title"] == "Sea — surface"
    with xarray.open_dataset(tmp_path / "a.nc") as found:  # as its users read it
        assert found["sst"].dims == ("sample", "depth", "lat", "lon")
        np.testing.assert_array_equal(found["sst"].values[:, 0], expected)
        assert set(found["sst"].coords) >= {"depth", "lat", "lon", "area"}
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".wassergan")]


def test_samples_are_read_again_as_data(run: Path, tmp_path: Path) -> None:
    assert main(["distance", str(tmp_path / "sst.nc"), str(sample(run, tmp_path / "a.nc"))]) in (0, None, 2)
    found = open_gridded(tmp_path / "a.nc")
    assert found.array.shape == (70, 5, 6) and found.metadata is not None
    assert found.metadata.coordinates["lat"].attributes["units"] == "degrees_north"


def test_matlab_files_hold_the_same_numbers(run: Path, tmp_path: Path) -> None:
    expected = open_sampler(run).draw(70, seed=3)
    found = loadmat(sample(run, tmp_path / "a.mat"))["sst"]
    np.testing.assert_array_equal(found[:, 0], expected)


def test_a_run_goes_on_bit_for_bit(field_file: Path, tmp_path: Path, tiny: tuple[str, ...]) -> None:
    for name, steps in (("whole", "6"), ("parts", "3")):
        argv = ["train", f"{field_file}::sst", "--out", str(tmp_path / name), "--steps", steps, *tiny]
        assert main(argv) in (0, None)
    assert main(["resume", str(tmp_path / "parts"), "--steps", "6"]) in (0, None)
    whole, parts = (open_sampler(tmp_path / name, checkpoint="latest").draw(8, seed=1) for name in ("whole", "parts"))
    np.testing.assert_array_equal(whole, parts)


def test_evaluation_against_such_a_file(run: Path, field_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--against", str(field_file), "--json"]) in (0, None, 1, 3)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])


def test_metadata_survive_a_checkpoint_and_hostile_ones_do_not(run: Path) -> None:
    state = load_checkpoint(run / "checkpoints" / "latest.pt")["codec"]
    grid = Codec.from_state(state).grid
    assert grid is not None and grid.dims == ("depth", "lat", "lon") and grid.sizes == (1, 5, 6)
    assert grid.coordinates["area"].values.shape == (5, 6)
    good = grid.state()
    for change in (
        {"sizes": [1, 5, 7]},
        {"sizes": [1, 5, -6]},
        {"fill": "x"},
        {"name": 3},
        {"dims": ["a" * 5000, "lat", "lon"]},
        {"attributes": {str(index): "x" for index in range(5000)}},
        {
            "coordinates": {
                "lat": {"dims": ["lat"], "values": {"dtype": "|O", "shape": [5], "values": ""}, "attributes": {}}
            }
        },
        {
            "coordinates": {
                "lat": {"dims": ["lat"], "values": {"dtype": "<f8", "shape": [2**40], "values": ""}, "attributes": {}}
            }
        },
    ):
        with pytest.raises((ValueError, TypeError)):
            GridMetadata.from_state({**good, **change})


def test_texts_and_numbers_of_metadata_come_back() -> None:
    coordinates: dict[str, Any] = {
        "station": Coordinate(("station",), np.array(["a", "é"], dtype=object), {"long_name": "where"}),
        "z": Coordinate((), np.asarray(np.int16(7))),
        "x": Coordinate(
            ("x",), np.array([1.5, np.nan], ">f4"), {"valid": np.array([1, 2], np.int16), "several": ["p", "q"]}
        ),
    }
    attributes: dict[str, Any] = {"scale": np.asarray(np.float32(0.1)), "units": "K"}
    found = GridMetadata("u", ("station", "x"), (2, 2), attributes, coordinates, {"title": "t"}, -9)
    back = GridMetadata.from_state(json.loads(json.dumps(found.state())))
    assert back.state() == found.state()
    assert back.coordinates["x"].values.dtype == np.float32 and back.coordinates["z"].values.shape == ()
    assert back.coordinates["station"].values.tolist() == ["a", "é"]
    assert np.asarray(back.attributes["scale"]).dtype == np.float32


def test_arrays_without_a_file_get_axes_of_their_own(tmp_path: Path, tiny: tuple[str, ...]) -> None:
    values = np.random.default_rng(0).normal(size=(130, 2, 5, 6))
    np.save(tmp_path / "a.npy", values)
    argv = ["train", str(tmp_path / "a.npy"), "--out", str(tmp_path / "run"), "--steps", "2", "--channels", "u,v"]
    assert main([*argv, "--layout", "NCHW", *tiny]) in (0, None)
    with xarray.open_dataset(sample(tmp_path / "run", tmp_path / "b.nc")) as found:
        assert found["samples"].dims == ("sample", "channel", "y", "x")
        assert found["channel"].values.tolist() == ["u", "v"]


def test_a_writer_that_is_not_installed_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from wassergan.modality import modality_of

    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    with pytest.raises(UserError, match=r"needs h5netcdf.*wassergan\[netcdf\]"):
        modality_of("field").prepare(tmp_path / "a.nc", 3)


def test_a_stop_on_writing_leaves_no_half_file(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wassergan.data.grids import writing
    from wassergan.modality.writing import write_samples

    def stopped(*_: Any) -> Any:
        raise KeyboardInterrupt

    (tmp_path / "a.nc").write_bytes(b"before")
    monkeypatch.setattr(writing, "_put_samples", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_samples(open_sampler(run), tmp_path / "a.nc", count=3, seed=0)
    assert (tmp_path / "a.nc").read_bytes() == b"before"
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".wassergan")]


def test_info_shows_arrays_axes_and_units(field_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(field_file)]) in (0, None)
    said = "".join(capsys.readouterr())
    assert "sst (time=130, depth=1, lat=5, lon=6) in K" in said and "Samples lie along time" in said
    assert open_source(field_file).shape == (1, 5, 6)
