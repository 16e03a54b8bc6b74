"""Files that unpack to just less than the limit and are then worked with, and newer kinds of data; for ceilings.py.

What is refused at once takes little. These are taken, so what a verb holds beside the numbers counts, too.
"""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

MIB = 2**20
KEPT_MIB = 90
Write = Callable[[Path], None]
Calls = tuple[tuple[str, ...], ...]

BETWEEN: Calls = (
    ("info", "FILE"),
    ("distance", "FILE", "POINTS"),
    ("fid", "POINTS", "FILE"),
    ("evaluate", "RUN", "--against", "FILE"),
    ("watch", "POINTS", "FILE", "--permutations", "9", "--rows", "50"),
)


def pattern(dtype: str, columns: int = 2) -> NDArray[np.generic]:
    """Rows of few different numbers, which pack well, just below the limit."""
    rows = KEPT_MIB * MIB // (np.dtype(dtype).itemsize * columns)
    return (np.arange(rows * columns) % 7).reshape(rows, columns).astype(dtype)


def packed_npz(dtype: str, columns: int = 2) -> Write:
    """A `.npz` of them."""
    return lambda path: np.savez_compressed(path, a=pattern(dtype, columns))


def packed_idx(path: Path) -> None:
    """An IDX file of bytes."""
    values = pattern("i1")
    with gzip.open(path, "wb", 1) as file:
        file.write(b"\0\0\x09\2" + struct.pack(">II", *values.shape))
        file.write(values.tobytes())


def packed_matlab(path: Path) -> None:
    """MATLAB's version 7."""
    savemat(path, {"x": pattern("f8")}, do_compression=True)


def packed_hdf5(dtype: str) -> Write:
    """In chunks of a MiB."""

    def write(path: Path) -> None:
        values = pattern(dtype)
        with h5py.File(path, "w") as file:
            rows = MIB // (values.itemsize * values.shape[1])
            file.create_dataset("x", data=values, chunks=(rows, values.shape[1]), compression="gzip")

    return write


def long_table(path: Path) -> None:
    """Series of two rows each, one of which is long: in a block they have steps for all."""
    rows = [f"{name},{time},{(name * 7 + time) % 5}" for name in range(300) for time in (0, 1)]
    path.write_text("\n".join(["name,time,value", *rows, "300,0,1", "300,16000,2", "300,1,3"]) + "\n")


def wide_times(path: Path) -> None:
    """Times that no difference of floats holds."""
    path.write_text(
        "name,time,value\n" + "".join(f"{n % 9},{t},{n % 5}\n" for n in range(90) for t in ("-1e308", "1e308", n))
    )


def long_series(path: Path) -> None:
    """Windows of it are many times as large as it is."""
    np.save(path, (np.arange(40_000) % 7).astype("f4"))


def volume(path: Path) -> None:
    """Of bytes, 90 MiB, in one packed array."""
    np.savez_compressed(path, a=(np.arange(KEPT_MIB * MIB) % 5).astype("u1").reshape(90, 1024, 1024))


def pages(path: Path) -> None:
    """A TIFF with half a million pages of nothing."""
    places = 8 + 6 * np.arange(1, 500_001)
    lists = np.zeros((500_000, 6), np.uint8)
    lists[:, 2:] = places.astype("<u4").view(np.uint8).reshape(-1, 4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + lists.tobytes())


def huge_page(path: Path) -> None:
    """A TIFF of 1 KiB whose page has 100 000 x 100 000 pixels."""
    tags = [(256, 4, 100_000), (257, 4, 100_000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, 100_000)]
    tags += [(279, 4, 2**31)]
    body = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags
    )
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + body + bytes(904))


def ordinary(path: Path) -> None:
    """As many rows as an evaluation takes at most: what the work itself needs."""
    np.save(path, np.random.default_rng(0).normal(size=(10_000, 2)))


def kept(tiny: list[str]) -> list[tuple[str, str, Write, Calls]]:
    """What each is, its suffix, what writes it, and the calls."""

    def trained(*flags: str) -> Calls:
        return (("train", "FILE", *flags, "--steps", "1", "--out", "OUT/run", *tiny),)

    given: Calls = (("train", "POINTS", "--condition-array", "FILE", "--steps", "1", "--out", "OUT/run", *tiny),)
    table = ("--series", "name", "--time", "time")
    return [
        ("10 000 ordinary rows", ".npy", ordinary, BETWEEN),
        ("few numbers, 90 MiB of float64", ".npz", packed_npz("f8"), BETWEEN),
        ("few numbers, 90 MiB of bytes", ".npz", packed_npz("i1"), (*BETWEEN, *given)),
        ("few numbers, 90 MiB of float32", ".npz", packed_npz("f4"), (*BETWEEN, *given)),
        ("few numbers in 512 columns, 90 MiB of int16", ".npz", packed_npz("i2", 512), BETWEEN),
        ("few numbers, 90 MiB of bytes", ".idx.gz", packed_idx, (*BETWEEN, *given)),
        ("few numbers, 90 MiB of float64", ".mat", packed_matlab, (*BETWEEN, *given)),
        ("few numbers, 90 MiB of int16", ".h5", packed_hdf5("i2"), (*BETWEEN, *given)),
        ("a long table, one series of which is long", ".csv", long_table, trained(*table)),
        ("a long table of vast times", ".csv", wide_times, trained(*table)),
        ("windows of 8000 steps", ".npy", long_series, trained("--window", "8000")),
        ("a volume of 90 MiB in crops of 2", ".npz", volume, trained("--crop", "2")),
        ("a volume of 90 MiB in crops of 64", ".npz", volume, trained("--crop", "64")),
        ("500 000 pages", ".tif", pages, (("info", "FILE"), *trained())),
        ("a page of 10^10 pixels", ".tif", huge_page, (("info", "FILE"), *trained())),
    ]
