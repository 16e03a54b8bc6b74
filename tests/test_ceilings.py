"""Small files that promise, or unpack to, far more than they are: refused without the memory for it.

`benchmarks/ceilings.py` tries more of them, with every verb.
"""

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pytest
from pyarrow import feather, parquet
from scipy.io import savemat

from wassergan.storage import memory

CEILING_MIB, LIMIT_MIB, HOLE = 200, 100, 2**31
MEASURED = """
import json, sys
from pathlib import Path
from wassergan.cli.main import main
import wassergan.data, pyarrow.parquet, pyarrow.feather, PIL.Image, openpyxl

def resident(what):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(what))

for argv in json.loads(sys.stdin.read()):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    code = main(argv)
    print(json.dumps([code, (resident("VmHWM") - before) / 1024]), flush=True)
    sys.stderr.write("---\\n")
"""


def hole(start: bytes) -> Callable[[Path], None]:
    """So it begins; the rest takes no room on the disk."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(start)
            file.truncate(HOLE)

    return write


def long_header(version: int) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<I", HOLE - 12)


def one_text_many_times(path: Path) -> None:
    texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(20_000, np.int32)), pyarrow.array(["x" * 2**20]))
    parquet.write_table(pyarrow.table({"a": texts, "b": pyarrow.array(np.zeros(20_000, np.int8))}), path)


def long_list(path: Path) -> None:
    lists = pyarrow.ListArray.from_arrays([0, 10**8], np.zeros(10**8, np.int8))
    parquet.write_table(pyarrow.table({"a": lists, "b": ["x"]}), path)


def packed_zeros(path: Path) -> None:
    feather.write_feather(pyarrow.table({"a": np.zeros(2**26)}), path, compression="zstd", chunksize=2**30)


def different_cells(path: Path) -> None:
    path.write_text("a,b\n" + "\n".join(f"{number:x},1" for number in range(1_500_000)) + "\n")


def empty_array(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2**34, 8), "f4", chunks=(1024, 8))


def zeros_in_chunks(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (2**26,), "f4", chunks=(2**20,), compression="gzip")
        for start in range(0, 2**26, 2**20):
            data[start : start + 2**20] = 0


def chunk_that_grows(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (16, 1), "f4", chunks=(16, 1), compression="gzip")
        data.id.write_direct_chunk((0, 0), zlib.compress(bytes(2**29), 9))


def zeros_in_matlab(path: Path) -> None:
    savemat(path, {"x": np.zeros(2**25)}, do_compression=True)


def long_list_of_members(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HOLE)
        file.seek(HOLE)
        file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, HOLE - 100, 100, 0))


HOSTILE: dict[str, Callable[[Path], None]] = {
    "version 2.npy": hole(long_header(2)),
    "version 3.npy": hole(long_header(3)),
    "numbers.idx": hole(struct.pack(">HBBI", 0, 8, 1, HOLE - 8)),
    "padding-ubyte.gz": hole(b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
    "text.parquet": one_text_many_times,
    "list.parquet": long_list,
    "zeros.feather": packed_zeros,
    "cells.csv": different_cells,
    "empty.h5": empty_array,
    "zeros.nc": zeros_in_chunks,
    "grows.h5": chunk_that_grows,
    "zeros.mat": zeros_in_matlab,
    "members.zip": long_list_of_members,
}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux for the peak")
def test_hostile_data_are_refused_below_the_ceiling(tmp_path: Path) -> None:
    for name, write in HOSTILE.items():
        write(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED],
        input=json.dumps([["info", str(tmp_path / name)] for name in HOSTILE]),
        env={**os.environ, memory.VARIABLE: str(LIMIT_MIB)},
        capture_output=True,
        text=True,
        check=False,
    )
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(results) == len(HOSTILE), done.stderr[-3000:]
    for name, (code, mib), said in zip(HOSTILE, results, done.stderr.split("---\n"), strict=False):
        assert (code, "wassergan: " in said) == (2, True), (name, code, said[-500:])
        assert mib < CEILING_MIB, (name, mib, said[-500:])
    for name in HOSTILE:
        (tmp_path / name).unlink()
