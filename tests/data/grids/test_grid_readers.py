"""Files of named arrays, as xarray, h5py, zarr and scipy write them, against what these read."""

import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import xarray
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import savemat

from wassergan.data import open_source
from wassergan.data.grids import open_gridded
from wassergan.data.readers.marks import DataChangedError
from wassergan.data.readers.streaming import StreamedSource
from wassergan.errors import UserError

ROWS = np.random.default_rng(0).normal(280, 5, (24, 5, 7)).astype("f4")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the libraries that write the fixtures warn of is theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def fields(values: Any = ROWS, **more: Any) -> xarray.Dataset:
    return xarray.Dataset(
        {
            "t2m": (("time", "latitude", "longitude"), values, {"units": "K", "long_name": "2 metre temperature"}),
            **more,
        },
        coords={
            "time": ("time", np.arange(len(values)), {"units": "hours since 2019-03-01", "axis": "T"}),
            "latitude": ("latitude", np.linspace(60, 59, 5, dtype="f4"), {"units": "degrees_north"}),
            "longitude": ("longitude", np.linspace(-10, -8.5, 7, dtype="f4"), {"units": "degrees_east"}),
        },
        attrs={"Conventions": "CF-1.7", "title": "March"},
    )


PACKED = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32767}
CHUNKS = {"zlib": True, "shuffle": True, "fletcher32": True, "chunksizes": (7, 3, 4)}
WRITERS: dict[str, Callable[[xarray.Dataset, Path], object]] = {
    "plain.nc": lambda data, path: data.to_netcdf(path, engine="h5netcdf"),
    "chunks.nc": lambda data, path: data.to_netcdf(path, engine="h5netcdf", encoding={"t2m": CHUNKS}),
    "packed.nc": lambda data, path: data.to_netcdf(path, engine="h5netcdf", encoding={"t2m": {**PACKED, **CHUNKS}}),
    "group.nc": lambda data, path: data.to_netcdf(path, engine="h5netcdf", group="a/b"),
    "unlimited.nc": lambda data, path: data.to_netcdf(path, engine="h5netcdf", unlimited_dims=["time"]),
    "classic.nc": lambda data, path: data.to_netcdf(path, engine="scipy", format="NETCDF3_CLASSIC"),
    "records.nc": lambda data, path: data.to_netcdf(path, engine="scipy", unlimited_dims=["time"]),
    "old.nc": lambda data, path: data.to_netcdf(
        path, engine="scipy", format="NETCDF3_64BIT", unlimited_dims=["time"], encoding={"t2m": PACKED}
    ),
    "two.zarr": lambda data, path: data.to_zarr(path, zarr_format=2, encoding={"t2m": {"chunks": (7, 3, 4)}}),
    "three.zarr": lambda data, path: data.to_zarr(path, zarr_format=3, encoding={"t2m": {"chunks": (7, 3, 4)}}),
}


def read_by_xarray(path: Path) -> xarray.Dataset:
    options: dict[str, Any] = {"decode_times": False}
    if path.suffix == ".zarr":
        return xarray.open_zarr(path, **options)
    return xarray.open_dataset(path, group="a/b" if path.name == "group.nc" else None, **options)


@pytest.mark.parametrize("name", WRITERS)
def test_fields_come_as_xarray_reads_them(tmp_path: Path, name: str) -> None:
    values = ROWS.copy()
    values[3, 4, 5] = values[20, 0, 0] = np.nan
    WRITERS[name](fields(values), tmp_path / name)
    found = open_gridded(tmp_path / name)
    with read_by_xarray(tmp_path / name) as data:
        expected = data["t2m"].values
    assert found.layout == "NHW"
    # Of packed numbers xarray makes float64; these are float32, whose steps are 600 times finer than the packing's.
    np.testing.assert_allclose(
        np.asarray(found.array), expected, rtol=0, atol=2e-5 if "packed old".count(name[:3]) else 0
    )
    picked = np.array([20, 3, 0, 20, 23])
    np.testing.assert_array_equal(found.array[picked], np.asarray(found.array)[picked])
    assert found.metadata is not None
    assert found.metadata.attributes == {"units": "K", "long_name": "2 metre temperature"}
    assert found.metadata.dims == ("latitude", "longitude")
    np.testing.assert_array_equal(found.metadata.coordinates["longitude"].values, np.linspace(-10, -8.5, 7, dtype="f4"))
    assert found.metadata.coordinates["latitude"].attributes["units"] == "degrees_north"


TYPES = ["<f4", ">f4", "<f8", "<i2", ">i4", "u1", "<u2", "<i8"]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_arrays_of_any_type_shape_and_chunks_come_back_from_hdf5_and_zarr(tmp_path: Path, data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(TYPES)))
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=4, max_side=9))
    values = data.draw(arrays.arrays(dtype, shape, elements=arrays.from_dtype(dtype, allow_infinity=False)))
    chunks = tuple(data.draw(st.integers(1, side + 2)) for side in shape)
    packing: dict[str, Any] = data.draw(
        st.sampled_from([{}, {"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}])
    )
    more: dict[str, Any] = data.draw(
        st.sampled_from([{}, {"compression": "gzip", "shuffle": True, "fletcher32": True}])
    )
    path, store = tmp_path / "a.h5", tmp_path / "a.zarr"
    with h5py.File(path, "w", userblock_size=data.draw(st.sampled_from([0, 512]))) as file:
        limits = tuple(max(pair) for pair in zip(shape, chunks, strict=True))
        file.create_dataset("g/x", data=values, chunks=chunks, maxshape=limits, **{**packing, **more})
    order, version = data.draw(st.sampled_from("CF")), data.draw(st.sampled_from([2, 3]))
    options: dict[str, Any] = {"zarr_format": version, **({"order": order} if version == 2 else {})}
    array = zarr.create_array(
        store,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        overwrite=True,
        fill_value=0,
        compressors=data.draw(st.sampled_from(["auto", None])),
        **options,
    )
    array[...] = values
    for name in (f"{path}::g/x", str(store)):
        found = open_gridded(name).array
        np.testing.assert_array_equal(np.asarray(found), values)
        rows = np.array(data.draw(st.lists(st.integers(0, shape[0] - 1), max_size=5)), np.int64)
        np.testing.assert_array_equal(found[rows], values[rows])
        # Types of Zarr's third format have no order of bytes: zarr writes little-endian ones whatever it is given.
        has_order = version == 2 or name != str(store)
        assert np.asarray(found).dtype == (dtype if has_order else dtype.newbyteorder("<"))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(["time", "y", "x"]),
    dtype=st.sampled_from(["i2", "u1", "f4", "f8", "i4"]),
    form=st.sampled_from(["NETCDF4", "NETCDF3_64BIT"]),
    unlimited=st.booleans(),
)
def test_samples_come_first_whatever_the_order_of_the_axes(
    tmp_path: Path, order: list[str], dtype: str, form: Any, unlimited: bool
) -> None:
    if form == "NETCDF3_64BIT" and (dtype == "u1" or (unlimited and order[0] != "time")):
        return  # what that format does not have
    values = np.arange(4 * 2 * 3).reshape(4, 2, 3).astype(dtype)
    data = xarray.Dataset({"v": (("time", "y", "x"), values)}).transpose(*order)
    engine: Any = "h5netcdf" if form == "NETCDF4" else "scipy"
    data.to_netcdf(tmp_path / "a.nc", engine=engine, format=form, unlimited_dims=["time"] if unlimited else [])
    found = open_gridded(tmp_path / "a.nc")
    kept = [["time", "y", "x"].index(name) for name in order if name != "time"]
    np.testing.assert_array_equal(np.asarray(found.array), values.transpose(0, *kept))
    assert found.metadata is not None and list(found.metadata.dims) == [name for name in order if name != "time"]


def test_several_arrays_are_listed_and_one_is_asked_for(tmp_path: Path) -> None:
    other = (("time", "latitude", "longitude"), ROWS + 1, {"units": "m s-1"})
    fields(u10=other, mean=(("time",), np.arange(24.0))).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(UserError) as error:
        open_source(tmp_path / "a.nc")
    assert "t2m (time=24, latitude=5, longitude=7) in K, u10 (time=24, latitude=5, longitude=7) in m s-1" in str(
        error.value
    )
    assert 'key="t2m", or a.nc::t2m' in str(error.value)
    assert np.asarray(open_gridded(f"{tmp_path / 'a.nc'}::u10").array).max() == (ROWS + 1).max()
    assert np.asarray(open_gridded(tmp_path / "a.nc", key="u10").array).max() == (ROWS + 1).max()
    with pytest.raises(UserError, match="Did you mean 't2m'"):
        open_source(tmp_path / "a.nc", key="t2n")
    with pytest.raises(UserError, match="Two arrays are named"):
        open_source(f"{tmp_path / 'a.nc'}::u10", key="t2m")


def test_the_axis_of_samples_is_found_or_asked_for(tmp_path: Path) -> None:
    values = np.arange(6 * 2 * 3 * 4.0).reshape(6, 2, 3, 4)
    data = xarray.Dataset(
        {"u": (("member", "z", "y", "x"), values)}, coords={"z": ("z", [500.0, 850.0], {"axis": "Z", "units": "hPa"})}
    )
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    found = open_gridded(tmp_path / "a.nc")
    assert (found.layout, found.names) == ("NCHW", ("z 500", "z 850"))
    np.testing.assert_array_equal(np.asarray(found.array), values)
    other = open_gridded(tmp_path / "a.nc", sample_dim="y")
    np.testing.assert_array_equal(np.asarray(other.array), values.transpose(2, 0, 1, 3))
    both = open_gridded(tmp_path / "a.nc", sample_dim="member,z")
    np.testing.assert_array_equal(np.asarray(both.array), values.reshape(12, 3, 4))
    with pytest.raises(UserError, match="member, z, y, x"):
        open_gridded(tmp_path / "a.nc", sample_dim="w")
    data.rename(member="a").to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with pytest.raises(UserError, match="not clear along which axis.*sample_dim=.a"):
        open_gridded(tmp_path / "b.nc")
    with pytest.raises(UserError, match="is for NetCDF, Zarr, HDF5 and MATLAB"):
        np.save(tmp_path / "a.npy", values)
        open_source(tmp_path / "a.npy", sample_dim="0")


def test_a_window_and_a_crop_are_cut_from_such_files(tmp_path: Path) -> None:
    xarray.Dataset(
        {"load": (("channel", "time"), np.arange(200.0).reshape(2, 100))}, coords={"channel": ["a", "b"]}
    ).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    source = open_source(tmp_path / "a.nc", window=6)
    assert source.shape == (2, 6) and source.codec.channels == ("a", "b")  # type: ignore[attr-defined]
    with h5py.File(tmp_path / "rock.h5", "w") as file:
        file["rock"] = (np.random.default_rng(0).random((12, 12, 12)) > 0.5).astype("u1")
    assert open_source(tmp_path / "rock.h5", crop=(4, 4, 4), heldout=0.3).shape == (1, 4, 4, 4)


def test_whole_numbers_with_a_fill_value_keep_their_type(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 50, (20, 3, 4)).astype("i2")
    values[:, 1, 2] = np.where(np.arange(20) % 3, values[:, 1, 2], -99)
    data = xarray.Dataset({"n": (("time", "y", "x"), values, {"_FillValue": np.int16(-99)})})
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    source = open_source(tmp_path / "a.nc", heldout=0.2)
    assert source.codec.dtype == "int16"
    back = source.codec.decode_numpy(source.train(torch.arange(16)))
    np.testing.assert_array_equal(back, values[source.split.train_rows(torch.arange(16)).numpy()])
    assert (back == -99).any()


def test_unsigned_numbers_of_classic_files_are_read_as_such(tmp_path: Path) -> None:
    values = np.array([[0, 127, 128, 255]] * 5, "u1") + np.arange(5, dtype="u1")[:, None] % 1
    data = xarray.Dataset({"n": (("time", "x"), values.view("i1"), {"_Unsigned": "true"})})
    data.to_netcdf(tmp_path / "a.nc", engine="scipy")
    np.testing.assert_array_equal(np.asarray(open_gridded(tmp_path / "a.nc").array), values)


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_of_matlab_files_of_version_7(tmp_path: Path, packed: bool) -> None:
    values = np.random.default_rng(0).normal(size=(9, 4, 5))
    whole = np.arange(12, dtype="i2").reshape(6, 2)
    content = {"v": values, "whole": whole, "text": "some", "z": values + 1j, "cell": {"a": 1}, "yes": values > 0}
    savemat(tmp_path / "a.mat", content, do_compression=packed)
    told: list[str] = []
    for name, expected in (("v", values), ("whole", whole), ("yes", values > 0)):
        found = open_gridded(f"{tmp_path / 'a.mat'}::{name}", log=told.append).array
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    assert any("z, complex numbers" in each for each in told)
    np.testing.assert_array_equal(
        open_gridded(f"{tmp_path / 'a.mat'}::v", sample_dim="2").array, np.moveaxis(values, 2, 0)
    )
    savemat(tmp_path / "old.mat", {"v": values[0]}, format="4")
    with pytest.raises(UserError, match="-v7"):
        open_gridded(tmp_path / "old.mat")


def test_arrays_of_matlab_files_of_version_7_3_have_its_axes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(9, 4, 5))
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        own = file.create_dataset("v", data=values.T, chunks=(5, 4, 3), compression="gzip")
        own.attrs["MATLAB_class"] = np.bytes_("double")
        file["note"] = np.frombuffer("some".encode("utf-16-le"), "u2").reshape(4, 1)
        file["note"].attrs["MATLAB_class"] = np.bytes_("char")
        file["#refs#/a"] = np.zeros((2, 2, 2, 2))
    with (tmp_path / "a.mat").open("rb+") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    np.testing.assert_array_equal(open_gridded(tmp_path / "a.mat").array, values)


def test_large_chunked_data_are_streamed_and_train_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wassergan.data import source as limits

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=ROWS, chunks=(5, 5, 7), compression="gzip")
    whole = open_source(tmp_path / "a.h5", heldout=0.25)
    monkeypatch.setattr(limits, "RESIDENT_LIMIT_BYTES", 1024)
    streamed = open_source(tmp_path / "a.h5", heldout=0.25)
    assert isinstance(streamed, StreamedSource) and not isinstance(whole, StreamedSource)
    rows = streamed.split.train_rows(torch.arange(streamed.train_count))
    decoded = streamed.codec.decode_numpy(streamed.train(torch.arange(streamed.train_count)))
    np.testing.assert_allclose(decoded, ROWS[rows.numpy()], rtol=1e-6)


@pytest.mark.parametrize("name", ["a.nc", "a.zarr", "a.h5"])
def test_a_change_of_the_file_is_noticed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=ROWS, chunks=(5, 5, 7), compression="gzip")
    else:
        WRITERS["two.zarr" if name == "a.zarr" else "plain.nc"](fields(), path)
    source = open_source(path)
    source.require_same()
    chunk = next((path / "t2m").glob("[0-9]*")) if name == "a.zarr" else path
    content = chunk.read_bytes()
    chunk.unlink()
    chunk.write_bytes(content)
    with pytest.raises(DataChangedError):
        for _ in range(8):
            source.require_same()


def test_conditions_come_from_such_files(tmp_path: Path) -> None:
    fields().to_netcdf(tmp_path / "a.nc", engine="h5netcdf", encoding={"t2m": CHUNKS})
    coarse = fields().coarsen(latitude=5, longitude=7).mean()
    coarse.to_netcdf(tmp_path / "coarse.nc", engine="h5netcdf")
    source = open_source(tmp_path / "a.nc", condition_array=f"{tmp_path / 'coarse.nc'}::t2m")
    assert source.context is not None and source.context.width == 1
    fine = open_source(ROWS, condition_array=str(tmp_path / "a.nc"))
    assert fine.context is not None and fine.context.width == 35


def test_several_files_and_missing_ones_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not read together.*open_mfdataset"):
        open_source(tmp_path / "a*.nc")
    with pytest.raises(UserError, match="There is no"):
        open_source(tmp_path / "gone.nc")
    (tmp_path / "a.nc").write_text("no such file")
    with pytest.raises(UserError, match="is no NetCDF or HDF5 file"):
        open_source(tmp_path / "a.nc")
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(UserError, match="is no Zarr store"):
        open_source(tmp_path / "a.zarr")


def test_unread_filters_are_told_with_a_way_out(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=ROWS, chunks=(5, 5, 7), compression="lzf")
    with pytest.raises(UserError, match="LZF.*h5repack -f GZIP=4"):
        open_source(tmp_path / "a.h5")


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    fields().to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"needs h5py.*wassergan\[hdf5\]"):
        open_source(tmp_path / "a.nc")


def test_a_zip_of_pictures_is_one_of_pictures_in_folders(tmp_path: Path) -> None:
    from PIL import Image

    for index in range(12):
        folder = tmp_path / "pictures" / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (index, 255 - index, 7)).save(folder / f"{index:02}.png")
    files = sorted((tmp_path / "pictures").rglob("*.png"))
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", kind) as archive:
            for path in files:
                archive.write(path, path.relative_to(tmp_path / "pictures"))
            archive.writestr("inner.zip", b"PK\3\4")
        own = open_source(tmp_path / "a.zip", condition=("folder",))
        other = open_source(tmp_path / "pictures", condition=("folder",))
        rows = torch.arange(12)
        assert torch.equal(own.values(rows), other.values(rows))
        assert own.context is not None and other.context is not None
        assert torch.equal(own.context.at(rows), other.context.at(rows))
