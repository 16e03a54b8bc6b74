"""Files of named arrays and zip files that promise, or unpack to, far more than they are; for ceilings.py."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

MIB, HOLE = 2**20, 4 * 2**30
Write = Callable[[Path], None]


def deflated(mib: int, start: bytes = b"", wbits: int = 15) -> bytes:
    """So many MiB of zeros behind a start, packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return packer.compress(start) + b"".join(packer.compress(bytes(MIB)) for _ in range(mib)) + packer.flush()


def hole(start: bytes) -> Write:
    """So it begins; the rest of 4 GiB takes no room on the disk."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(start)
            file.truncate(HOLE)

    return write


# --- HDF5 and NetCDF-4


def hdf5(fill: Callable[[h5py.File], object], **options: Any) -> Write:
    def write(path: Path) -> None:
        with h5py.File(path, "w", **options) as file:
            fill(file)

    return write


def promise(file: h5py.File) -> None:
    file.create_dataset("x", (2**40, 8), "f4", chunks=(1024, 8))


def vast_chunk(file: h5py.File) -> None:
    file.create_dataset("x", (2**30 - 1,), "f4", chunks=(2**30 - 1,), compression="gzip")


def zeros_in_chunks(file: h5py.File) -> None:
    data = file.create_dataset("x", (2**28,), "f4", chunks=(2**20,), compression="gzip")
    packed = deflated(4)
    for start in range(0, 2**28, 2**20):
        data.id.write_direct_chunk((start,), packed)


def growing_chunk(file: h5py.File) -> None:
    data = file.create_dataset("x", (40, 1), "f4", chunks=(40, 1), compression="gzip")
    data.id.write_direct_chunk((0, 0), deflated(1000))


def growing_twice(file: h5py.File) -> None:
    data = file.create_dataset("x", (40, 1), "f4", chunks=(40, 1), compression="gzip", shuffle=True, fletcher32=True)
    data.id.write_direct_chunk((0, 0), deflated(1000, zlib.compress(bytes(160))))


def tiny_chunks(file: h5py.File) -> None:
    file.create_dataset("x", (2**31, 2**31), "i1", chunks=(1, 1))


def many_chunks(file: h5py.File) -> None:
    file.create_dataset("x", data=np.zeros((200_000, 1), "i1"), chunks=(1, 1))


def many_arrays(file: h5py.File) -> None:
    for number in range(12_000):
        file.create_dataset(f"x{number}", data=np.zeros(3))


def deep_groups(file: h5py.File) -> None:
    group = file
    for _ in range(5000):
        group = group.create_group("g")
    group["x"] = np.arange(40.0)


def many_attributes(file: h5py.File) -> None:
    data = file.create_dataset("x", data=np.arange(40.0))
    for number in range(30_000):
        data.attrs[f"a{number}"] = number


def long_attributes(file: h5py.File) -> None:
    data = file.create_dataset("x", data=np.arange(40.0))
    for number in range(100):
        data.attrs.create(f"a{number}", np.zeros(MIB, "i1"))


def long_texts(file: h5py.File) -> None:
    data = file.create_dataset("x", data=np.arange(40.0))
    text = "x" * (MIB - 100)
    for number in range(100):
        data.attrs[f"a{number}"] = text


def wide_records(file: h5py.File) -> None:
    file.create_dataset("x", (40,), np.dtype([(f"f{number}", "f8") for number in range(500)]))


def long_axis(file: h5py.File) -> None:
    """Two short rows beside an axis of a GiB of zeros."""
    axis = file.create_dataset("lat", (2**27,), "f8", chunks=(2**17,), compression="gzip")
    packed = deflated(1)
    for start in range(0, 2**27, 2**17):
        axis.id.write_direct_chunk((start,), packed)
    axis.make_scale("lat")
    data = file.create_dataset("x", (40, 5), "f4")
    data[:] = np.random.default_rng(0).normal(size=(40, 5))
    data.dims[1].attach_scale(axis)


def texts_of_a_gigabyte(file: h5py.File) -> None:
    file.create_dataset("name", data=np.array(["x" * (16 * MIB)] * 8, dtype=object))
    file["x"] = np.random.default_rng(0).normal(size=(40, 5))


# --- classic NetCDF


def classic(*, length: int = 40, dims: int = 2, begin: int = 200, kind: int = 6) -> bytes:
    """The header of an array (t, x), x of two."""
    found = b"CDF\2" + struct.pack(">I", 0) + struct.pack(">II", 10, dims)
    found += struct.pack(">I4sI", 1, b"t\0\0\0", length) + struct.pack(">I4sI", 1, b"x\0\0\0", 2)
    found += struct.pack(">II", 0, 0) + struct.pack(">II", 11, 1) + struct.pack(">I4s", 1, b"u\0\0\0")
    return found + struct.pack(">IIIIIIIQ", 2, 0, 1, 0, 0, kind, 0, begin)


def long_attributes_of_classic(path: Path) -> None:
    """Ten attributes of 16 MiB."""
    with path.open("wb") as file:
        file.write(b"CDF\2" + struct.pack(">IIIII", 0, 0, 0, 12, 10))
        for number in range(10):
            file.write(struct.pack(">I4sII", 1, b"%d\0\0\0" % number, 2, 2**24) + bytes(2**24))
        file.write(struct.pack(">II", 0, 0))


# --- Zarr


def zarr(array: Mapping[str, object], files: Mapping[str, Callable[[Path], object]]) -> Write:
    """A folder of version 2: what its .zarray says otherwise, and its other files."""
    own = {"zarr_format": 2, "shape": [40, 2], "chunks": [10, 2], "dtype": "<f8", "fill_value": 0, "order": "C"}

    def write(path: Path) -> None:
        path.mkdir()
        (path / ".zarray").write_text(json.dumps({**own, "filters": None, "compressor": None, **array}))
        for row in range(4):
            (path / f"{row}.0").write_bytes(np.arange(20.0).tobytes())
        for name, make in files.items():
            make(path / name)

    return write


def packed_zarr(codec: Any, mib: int) -> Write:
    """Chunks of 160 bytes by their shape that unpack to so many MiB."""

    def write(path: Path) -> None:
        packed = bytes(codec.encode(bytes(mib * MIB)))
        chunks = {f"{row}.0": lambda at: at.write_bytes(packed) for row in range(4)}
        zarr({"compressor": codec.get_config()}, chunks)(path)

    return write


def many_groups(path: Path) -> None:
    path.mkdir()
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    for number in range(12_000):
        (path / f"g{number}").mkdir()
        (path / f"g{number}" / ".zgroup").write_text('{"zarr_format": 2}')


def many_files(path: Path) -> None:
    zarr({"shape": [200_000, 1], "chunks": [1, 1], "dtype": "|i1"}, {})(path)
    for number in range(30_000):
        (path / f"{number}.0").write_bytes(b"\0")


def text_of(part: bytes, mib: int, start: bytes, end: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(start + part * (mib * MIB // len(part)) + end)


# --- MATLAB


def element(kind: int, content: bytes, promised: int | None = None) -> bytes:
    size = len(content) if promised is None else promised
    return struct.pack("<II", kind, size) + content + bytes(-len(content) % 8)


def array_start(dims: tuple[int, ...], kind: int = 6, name: bytes = b"u") -> bytes:
    own = struct.pack("<IIII", 6, 8, kind, 0) + element(5, struct.pack(f"<{len(dims)}i", *dims))
    return own + element(1, name)


MATLAB = b"MATLAB 5.0".ljust(124) + b"\0\1IM"


def matlab(dims: tuple[int, ...], mib: int, *, promised: int | None = None) -> Write:
    """One packed array of zeros."""

    def write(path: Path) -> None:
        size = mib * MIB if promised is None else promised
        start = array_start(dims) + struct.pack("<II", 9, size)
        packed = deflated(mib, struct.pack("<II", 14, min(2**32 - 8, len(start) + size)) + start)
        path.write_bytes(MATLAB + struct.pack("<II", 15, len(packed)) + packed)

    return write


def many_matlab_arrays(path: Path) -> None:
    own = array_start((1, 1)) + element(9, bytes(8))
    path.write_bytes(MATLAB + element(14, own) * 200_000)


def nested_matlab(path: Path) -> None:
    """Cells within cells."""
    own = element(14, array_start((1, 1), name=b"") + element(9, bytes(8)))
    for _ in range(3000):
        own = element(14, array_start((1, 1), kind=1, name=b"") + own)
    path.write_bytes(MATLAB + own)


def long_matlab_name(path: Path) -> None:
    path.write_bytes(MATLAB + element(14, array_start((2, 2), name=b"x" * (90 * MIB)) + element(9, bytes(32))))


# --- zip files of pictures


def picture(size: tuple[int, int] = (8, 6), form: str = "png") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, form)
    return file.getvalue()


def zipped(members: Callable[[], Iterable[tuple[str, bytes]]], packing: int = zipfile.ZIP_DEFLATED) -> Write:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", packing) as archive:
            for name, content in members():
                archive.writestr(name, content)

    return write


def small() -> list[tuple[str, bytes]]:
    return [(f"{number}.png", picture()) for number in range(6)]


def understated(path: Path) -> None:
    """A member of 300 bytes by the list that unpacks to a GiB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in small():
            archive.writestr(name, content)
        with archive.open("9.png", "w", force_zip64=False) as member:
            for _ in range(1000):
                member.write(bytes(MIB))
    content = bytearray(path.read_bytes())
    where = content.rindex(b"PK\1\2")
    content[where + 24 : where + 28] = struct.pack("<I", 300)
    path.write_bytes(content)


def overlapping(path: Path) -> None:
    """Ten thousand names of one member of 200 MiB."""
    body, name = deflated(200, wbits=-15), b"0.png"
    shared = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(body), 200 * MIB, len(name), 0)
    local = b"PK\3\4" + shared + name + body
    entry = b"PK\1\2" + struct.pack("<H", 20) + shared[:-4] + struct.pack("<HHHHHII", 8, 0, 0, 0, 0, 0, 0)
    listed = b"".join(entry + b"%04d.png" % at for at in range(10_000))
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 10_000, 10_000, len(listed), len(local), 0)
    path.write_bytes(local + listed + end)


def list_that_is_a_hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HOLE - 200)
        file.seek(HOLE - 200)
        file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, HOLE - 300, 100, 0))


def codecs() -> dict[str, Any]:
    import numcodecs

    return {
        "zlib": numcodecs.Zlib(9),
        "zstd": numcodecs.Zstd(),
        "Blosc": numcodecs.Blosc(),
        "LZ4": numcodecs.LZ4(),
        "bz2": numcodecs.BZ2(),
        "LZMA": numcodecs.LZMA(),
    }


def bombs() -> list[tuple[str, str, Write]]:
    """What each is, its suffix, and what writes it."""
    signature = b"\x89HDF\r\n\x1a\n"
    latest: dict[str, Any] = {"libver": "latest"}
    found: list[tuple[str, str, Write]] = [
        ("a hole of 4 GiB, headed", ".h5", hole(signature)),
        ("a hole of 4 GiB, headed", ".nc", hole(b"CDF\5")),
        ("a hole of 4 GiB", ".nc", hole(b"")),
        ("a hole of 4 GiB, headed", ".mat", hole(MATLAB)),
        ("a hole of 4 GiB behind an array", ".mat", hole(MATLAB + element(14, array_start((2**15, 2**14)), 2**32 - 8))),
        ("a hole of 4 GiB, headed", ".zip", hole(b"PK\3\4")),
        ("a list of members of 4 GiB", ".zip", list_that_is_a_hole),
        ("32 TB that were not written", ".h5", hdf5(promise)),
        ("a chunk of 4 GiB", ".h5", hdf5(vast_chunk)),
        ("zeros, 1 GiB, in chunks", ".nc", hdf5(zeros_in_chunks)),
        ("a chunk that grows to 1 GB", ".h5", hdf5(growing_chunk)),
        ("a chunk that grows twice", ".h5", hdf5(growing_twice)),
        ("2^62 chunks", ".h5", hdf5(tiny_chunks)),
        ("200 000 chunks of a byte", ".h5", hdf5(many_chunks)),
        ("12 000 arrays", ".h5", hdf5(many_arrays)),
        ("5000 groups within each other", ".h5", hdf5(deep_groups, **latest)),
        ("30 000 attributes", ".h5", hdf5(many_attributes, **latest)),
        ("100 attributes of 1 MiB", ".h5", hdf5(long_attributes, **latest)),
        ("100 texts of 1 MiB", ".h5", hdf5(long_texts, **latest)),
        ("records of 500 fields", ".h5", hdf5(wide_records)),
        ("an axis of 1 GiB", ".nc", hdf5(long_axis)),
        ("names of 16 MiB", ".nc", hdf5(texts_of_a_gigabyte)),
        ("a classic array of 32 GB", ".nc", hole(classic(length=2**31))),
        ("a classic array of 4 GiB of zeros", ".nc", hole(classic(length=2**27))),
        ("classic attributes of 160 MiB", ".nc", long_attributes_of_classic),
        ("a classic list of 2^32 axes", ".nc", hole(b"CDF\2" + struct.pack(">III", 0, 10, 2**32 - 1))),
        ("32 TB that were not written", ".zarr", zarr({"shape": [2**40, 2]}, {})),
        ("a chunk of 16 GiB", ".zarr", zarr({"chunks": [2**30, 2]}, {})),
        ("a chunk that is a hole of 4 GiB", ".zarr", zarr({}, {"1.0": hole(b"")})),
        ("attributes that are a hole of 4 GiB", ".zarr", zarr({}, {".zattrs": hole(b"{")})),
        ("attributes of lists, 60 MiB", ".zarr", zarr({}, {".zattrs": text_of(b"[],", 60, b'{"a":[', b"0]}")})),
        ("attributes of lists, 8 MiB", ".zarr", zarr({}, {".zattrs": text_of(b"[],", 8, b'{"a":[', b"0]}")})),
        ("12 000 groups", ".zarr", many_groups),
        ("30 000 chunks of a byte", ".zarr", many_files),
        *((f"chunks that grow to 200 MiB, {name}", ".zarr", packed_zarr(each, 200)) for name, each in codecs().items()),
        ("zeros, 1 GB", ".mat", matlab((2**20, 128), 1024)),
        ("an array of 2^60 numbers", ".mat", matlab((2**30, 2**30), 1)),
        ("a promise of 4 GiB", ".mat", matlab((10, 2), 300, promised=2**32 - 8)),
        ("200 000 arrays", ".mat", many_matlab_arrays),
        ("3000 cells within each other", ".mat", nested_matlab),
        ("a name of 90 MiB", ".mat", long_matlab_name),
        ("a picture of 9000 x 9000", ".zip", zipped(lambda: [*small(), ("9.png", picture((9000, 9000)))])),
        ("200 000 empty members", ".zip", zipped(lambda: ((f"{at}.png", b"") for at in range(200_000)))),
        ("a member of 1 GB", ".zip", zipped(lambda: [*small(), ("9.png", bytes(1000 * MIB))])),
        ("a member that says less", ".zip", understated),
        ("10 000 names of a member", ".zip", overlapping),
    ]
    return found
