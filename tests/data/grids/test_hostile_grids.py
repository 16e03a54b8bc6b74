"""Small files that promise, unpack to, or lead to, what they should not: refused in a sentence."""

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from wassergan.data import open_source
from wassergan.data.grids import unpacking
from wassergan.errors import UserError
from wassergan.storage import memory

HUGE = 2**40


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, "64")


def read(path: Path | str) -> None:
    source = open_source(path, heldout=0.4)
    source.train_sample(2)


def empty_promise(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (HUGE, 8), "f4", chunks=(1024, 8))


def one_vast_chunk(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2**24, 8), "f4", chunks=(2**24, 8), compression="gzip")


def packed_zeros(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros((2**25,), "f4"), chunks=(2**20,), compression="gzip")


def chunk_that_grows(path: Path) -> None:
    """A chunk of 64 bytes by its shape that unpacks to 64 MiB."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (16, 1), "f4", chunks=(16, 1), compression="gzip")
        data.id.write_direct_chunk((0, 0), zlib.compress(bytes(2**26), 9))


def external_numbers(path: Path) -> None:
    (path.parent / "secret").write_bytes(bytes(range(160)))
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (40,), "f4", external=[(str(path.parent / "secret"), 0, 160)])


def virtual_numbers(path: Path) -> None:
    with h5py.File(path.parent / "other.h5", "w") as file:
        file["y"] = np.arange(40.0)
    layout = h5py.VirtualLayout((40,), "f8")
    layout[:] = h5py.VirtualSource(str(path.parent / "other.h5"), "y", (40,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)


def external_link(path: Path) -> None:
    with h5py.File(path.parent / "other.h5", "w") as file:
        file["y"] = np.arange(40.0)
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink(str(path.parent / "other.h5"), "/y")


def objects(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.array(["a", "bb"] * 20, dtype=object)


HDF5: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty_promise": (empty_promise, "would fill too much memory"),
    "one_vast_chunk": (one_vast_chunk, "would fill too much memory"),
    "packed_zeros": (packed_zeros, "would fill too much memory"),
    "chunk_that_grows": (chunk_that_grows, "is damaged.*more than 64 bytes"),
    "external_numbers": (external_numbers, "holds no arrays of numbers"),
    "virtual_numbers": (virtual_numbers, "holds no arrays of numbers"),
    "external_link": (external_link, "holds no arrays of numbers"),
    "objects": (objects, "holds no arrays of numbers"),
}


@pytest.mark.parametrize("name", HDF5)
def test_hostile_hdf5_files(tmp_path: Path, name: str) -> None:
    write, message = HDF5[name]
    write(tmp_path / "a.h5")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.h5")


def test_what_lies_elsewhere_is_told(tmp_path: Path) -> None:
    external_link(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["z"] = np.arange(40.0)
        file["loop/again"] = file["/"]
    told: list[str] = []
    open_source(tmp_path / "a.h5", log=told.append)
    assert "Passed over in a.h5: x, a link." in told


def test_damaged_chunks_are_seen(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(40, 3))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(10, 3), fletcher32=True)
    content = bytearray((tmp_path / "a.h5").read_bytes())
    content[content.index(values[25].tobytes()) + 3] ^= 1
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(UserError, match="is damaged.*checksum"):
        read(tmp_path / "a.h5")


def array_json(**more: object) -> bytes:
    own = {"zarr_format": 2, "shape": [40, 2], "chunks": [10, 2], "dtype": "<f8", "fill_value": 0, "order": "C"}
    return json.dumps({**own, "filters": None, "compressor": None, **more}).encode()


ZARR = {
    "vast": (array_json(shape=[HUGE, 2], chunks=[10, 2]), "would fill too much memory"),
    "vast grid": (array_json(shape=[2**61, 2**61], chunks=[1, 1]), "promises too many chunks"),
    "vast chunk": (array_json(chunks=[2**30, 2]), "would fill too much memory"),
    "no chunk": (array_json(chunks=[0, 2]), "no shape that an array has"),
    "negative": (array_json(shape=[-4, 2]), "is damaged"),
    "objects": (array_json(dtype="|O"), "holds no arrays of numbers"),
    "pickles": (array_json(filters=[{"id": "pickle"}]), "holds no arrays of numbers"),
    "unknown": (array_json(compressor={"id": "mine"}), "holds no arrays of numbers"),
    "no JSON": (b"{" * 9000, "is damaged"),
    "deep JSON": (b'{"a":' * 100_000, "is damaged"),
}


@pytest.mark.parametrize("name", ZARR)
def test_hostile_zarr_arrays(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    content, message = ZARR[name]
    (folder / ".zarray").write_bytes(content)
    for row in range(4):
        (folder / f"{row}.0").write_bytes(np.arange(20.0).tobytes())
    with pytest.raises(UserError, match=message):
        read(folder)


@pytest.mark.parametrize("what", ["chunk", "folder", "metadata"])
def test_links_out_of_a_zarr_folder_are_refused(tmp_path: Path, what: str) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "0").write_bytes(np.arange(20.0).tobytes())
    (secret / ".zarray").write_bytes(array_json(dimension_separator="/"))
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    if what == "metadata":
        (folder / ".zarray").symlink_to(secret / ".zarray")
    else:
        (folder / ".zarray").write_bytes(array_json(dimension_separator="/"))
    if what == "folder":
        (folder / "0").symlink_to(secret)
    else:
        (folder / "0").mkdir()
        (folder / "0" / "0").symlink_to(secret / "0")
    with pytest.raises(UserError, match="link"):
        read(folder)


@pytest.mark.parametrize(
    ("unpack", "packed"),
    [
        (unpacking.unzlib, zlib.compress(bytes(2**24))),
        (unpacking.ungzip, zlib.compress(bytes(2**24), wbits=31)),
        (unpacking.unbz2, __import__("bz2").compress(bytes(2**24))),
        (unpacking.unlzma, __import__("lzma").compress(bytes(2**24))),
        (unpacking.unzstd, bytes(__import__("numcodecs").Zstd().encode(bytes(2**24)))),
        (unpacking.unblosc, bytes(__import__("numcodecs").Blosc().encode(bytes(2**24)))),
        (unpacking.unlz4, bytes(__import__("numcodecs").LZ4().encode(bytes(2**24)))),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_no_more_is_unpacked_than_belongs(unpack: Callable[[bytes, int], bytes], packed: bytes) -> None:
    assert unpack(packed, 2**24) == bytes(2**24)
    for size in (2**24 - 1, 64, 2**24 + 1):
        with pytest.raises(ValueError):
            unpack(packed, size)


def test_checksums_are_those_of_their_definitions() -> None:
    assert unpacking.crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4, in its usual check value
    body = b"abcdefgh"  # Fletcher-32 of this text, as in its published test vectors, of words of big-endian bytes
    first = second = 0
    for at in range(0, len(body), 2):
        first = (first + int.from_bytes(body[at : at + 2], "big")) % 65535
        second = (second + first) % 65535
    assert unpacking.without_fletcher32(body + (second << 16 | first).to_bytes(4, "little")) == body


def png(level: int = 1) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (level, 2, 3)).save(file, "png")
    return file.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def with_flag(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)


def test_hostile_zip_files(tmp_path: Path) -> None:
    good = {f"{index}.png": png(index) for index in range(6)}
    with pytest.raises(UserError, match="a name that no picture should have"):
        read(zipped(tmp_path / "a.zip", {**good, "../../out.png": png()}))
    with_flag(zipped(tmp_path / "b.zip", good))
    with pytest.raises(UserError, match="is encrypted"):
        read(tmp_path / "b.zip")
    bomb = zipped(tmp_path / "c.zip", {**good, "9.png": bytes(2**26)})
    content = bytearray(bomb.read_bytes())
    where = content.rindex(b"PK\1\2")
    content[where + 24 : where + 28] = struct.pack("<I", 300)  # it says 300 bytes, and unpacks to 64 MiB
    bomb.write_bytes(content)
    with pytest.raises(UserError, match="9.png"):
        read(bomb)
    with pytest.raises(UserError, match="too large"):
        read(zipped(tmp_path / "d.zip", {**good, "9.png": bytes(2**28 + 1)}))
    with pytest.raises(UserError, match="No pictures"):
        read(zipped(tmp_path / "e.zip", {"inner.zip": (tmp_path / "b.zip").read_bytes()}))
    link = zipfile.ZipInfo("7.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for name, each in good.items():
            archive.writestr(name, each)
        archive.writestr(link, "/etc/passwd")
    assert len(open_source(tmp_path / "f.zip", heldout=0.4)) == 6


def test_a_hole_is_no_list_of_members(tmp_path: Path) -> None:
    with (tmp_path / "a.zip").open("wb") as file:
        file.truncate(2**31)
        file.seek(0, os.SEEK_END)
        file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 2**31 - 100, 100, 0))
    with pytest.raises(UserError, match="would fill too much memory"):
        read(tmp_path / "a.zip")


def mat(dims: tuple[int, ...], numbers: bytes, *, promised: int | None = None) -> bytes:
    """A MATLAB file with one packed array of doubles."""
    own = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack(f"<II{len(dims)}i", 5, 4 * len(dims), *dims)
    own += bytes(-len(own) % 8) + struct.pack("<HH4s", 1, 1, b"u\0\0\0")
    own += struct.pack("<II", 9, len(numbers) if promised is None else promised) + numbers
    packed = zlib.compress(struct.pack("<II", 14, len(own)) + own, 9)
    return b"MATLAB 5.0".ljust(124) + b"\0\1IM" + struct.pack("<II", 15, len(packed)) + packed


def test_hostile_matlab_files(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(mat((10, 2), np.arange(20.0).tobytes()))
    read(path)
    path.write_bytes(mat((2**20, 16), bytes(2**27)))
    with pytest.raises(UserError, match="would fill too much memory"):
        read(path)
    path.write_bytes(mat((10, 2), bytes(2**20), promised=2**32 - 8))
    with pytest.raises(UserError, match="damaged"):
        read(path)
    path.write_bytes(mat((2**30, 2**30), bytes(160)))
    with pytest.raises(UserError, match="would fill too much memory"):
        read(path)
    path.write_bytes(mat((10, -2), bytes(160)))
    with pytest.raises(UserError, match="cannot be read as a MATLAB file"):
        read(path)


def test_hostile_headers_of_classic_files(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"

    def header(length: int, begin: int = 200) -> bytes:
        found = b"CDF\2" + struct.pack(">I", 0) + struct.pack(">II", 10, 2)
        found += struct.pack(">I4sI", 1, b"t\0\0\0", length) + struct.pack(">I4sI", 1, b"x\0\0\0", 2)
        found += struct.pack(">II", 0, 0) + struct.pack(">II", 11, 1) + struct.pack(">I4s", 1, b"u\0\0\0")
        return found + struct.pack(">IIIIIIIQ", 2, 0, 1, 0, 0, 6, 0, begin)

    own = header(10)
    path.write_bytes(own.ljust(200, b"\0") + np.arange(20, dtype=">f8").tobytes())
    read(path)
    path.write_bytes(header(2**31).ljust(400, b"\0"))
    with pytest.raises(UserError, match="holds less than its header says"):
        read(path)
    path.write_bytes(own[:40])
    with pytest.raises(UserError, match="cannot be read as a NetCDF file"):
        read(path)
    path.write_bytes(b"CDF\2" + struct.pack(">III", 0, 10, 2**31))
    with pytest.raises(UserError, match="entries"):
        read(path)


def test_packing_that_no_numbers_have(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(40, dtype="i2")
        file["x"].attrs["scale_factor"] = np.inf
    with pytest.raises(UserError, match="scale_factor inf"):
        read(tmp_path / "a.h5")
