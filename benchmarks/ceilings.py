"""How much memory every verb takes for files that promise, or unpack to, far more than they are.

    python benchmarks/ceilings.py [--only PATTERN] [--keep | --owed] [--folder FOLDER]

Each file is small on disk, or a hole of 4 GiB. Each verb that reads files of its kind gets it in a process of its own,
a fork of one that has imported everything, under a limit of 100 MiB (WASSERGAN_LARGEST_MIB). It must end with code 0 or
2 and one sentence, and its resident memory may grow by 200 MiB at most. Writes docs/results/ceilings.json and .md;
exits with 1 if a file took more, or ended otherwise. With `--keep` only the lines of these files change; with `--owed`
those are tried of which there is no line yet.
"""

# ruff: noqa: E402, E501  # a trial is a line

import argparse
import contextlib
import fcntl
import gzip
import io
import json
import os
import re
import resource
import signal
import struct
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
LIMIT_MIB, CEILING_MIB, SECONDS = 100, 200, 240
os.environ["WASSERGAN_LARGEST_MIB"] = str(LIMIT_MIB)

import numpy as np
import openpyxl
import pyarrow
import torch
from grid_bombs import bombs
from kept_bombs import kept
from PIL import Image
from pyarrow import feather, parquet

from wassergan.cli.main import main as wassergan_main

# What the verbs load when they are called: the growth of a call is to be that of its file.
HEAVY = (
    *(
        "wassergan.runs.train",
        "wassergan.runs.evaluate",
        "wassergan.runs.visualize",
        "wassergan.runs.export",
        "wassergan.runs.compare",
    ),
    *("wassergan.plots", "wassergan.report.page", "wassergan.cli.distance"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg"),
)
for _name in HEAVY:
    import_module(_name)

MIB = 2**20
HOLE = 4 * 2**30
TINY = [
    "--latent-dim",
    "2",
    "--generator-widths",
    "8",
    "--critic-widths",
    "8",
    "--batch-size",
    "8",
    "--critic-steps",
    "1",
    "--no-tensorboard",
    "--threads",
    "1",
]
RESULTS = Path(__file__).parents[1] / "docs" / "results" / "ceilings.json"
Write = Callable[[Path], None]


@dataclass(frozen=True)
class Trial:
    """A file, and how it is called: `FILE`, `RUN` (a sound run), `POINTS` (sound data) and `OUT` stand for paths."""

    name: str
    suffix: str
    write: Write
    calls: tuple[tuple[str, ...], ...]

    @property
    def title(self) -> str:
        """The name with the suffix, once."""
        return self.name if not self.suffix or self.suffix in self.name else f"{self.name} ({self.suffix})"


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    Args:
        name: of the file.
        call: the verb with its arguments.
        file_mib: what the file takes on disk.
        code: how it ended; below zero by a signal.
        grown_mib: by how much its resident memory grew at most.
        seconds: that it took.
        said: its last line.
    """

    name: str
    call: str
    file_mib: float
    code: int
    grown_mib: float
    seconds: float
    said: str

    @property
    def held(self) -> bool:
        """Whether it ended as it should."""
        is_said = self.code == 0 or self.said.startswith("wassergan: ")
        return self.code in (0, 2) and self.grown_mib < CEILING_MIB and is_said


AS_DATA = (
    ("info", "FILE"),
    ("train", "FILE", "--steps", "1", "--out", "OUT/run", *TINY),
    ("distance", "FILE", "POINTS"),
    ("evaluate", "RUN", "--against", "FILE"),
)
AS_LABELS = (
    ("train", "POINTS", "--labels", "FILE", "--condition", "label", "--steps", "1", "--out", "OUT/run", *TINY),
)
AS_SCHEMA = (("info", "TABLE", "--schema", "FILE"),)
IN_RUN = (
    ("report", "FILE"),
    ("info", "FILE"),
    ("compare", "FILE", "RUN"),
    ("resume", "FILE", "--steps", "6"),
    ("evaluate", "FILE"),
)


# --- what many have in common


def hole(start: bytes = b"", *, size: int = HOLE) -> Write:
    """A file that begins like that and has nothing behind it, for 4 GiB."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(start)
            file.truncate(size)

    return write


def content(made: Callable[[], bytes]) -> Write:
    return lambda path: path.write_bytes(made()) and None


def gz(start: bytes, repeated: bytes, mib: int, end: bytes = b"") -> Write:
    """A gzip of so many MiB of the same; its members follow each other."""

    def write(path: Path) -> None:
        block = gzip.compress(repeated * (8 * MIB // len(repeated)), 9)
        with path.open("wb") as file:
            file.write(gzip.compress(start))
            for _ in range(mib // 8):
                file.write(block)
            file.write(gzip.compress(end))

    return write


def zipped(members: dict[str, Iterator[bytes]]) -> Write:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, parts in members.items():
                with archive.open(name, "w", force_zip64=True) as member:
                    for part in parts:
                        member.write(part)

    return write


def npy(shape: tuple[int, ...], descr: Any = "<f8", *, version: int = 1, length: int | None = None) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    start = b"\x93NUMPY" + bytes([version, 0])
    return start + struct.pack("<H" if version == 1 else "<I", len(text) if length is None else length) + text


def zeros(mib: int, start: bytes = b"") -> Iterator[bytes]:
    yield start
    for _ in range(mib):
        yield bytes(MIB)


# --- pictures


def png(width: int, height: int, *chunks: tuple[bytes, bytes], rows: bytes | None = None, kind: int = 2) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    channels = {0: 1, 2: 3, 6: 4}[kind]
    if rows is None:
        packer = zlib.compressobj(9)
        line = bytes(1 + width * channels)
        rows = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)), *chunks, (b"IDAT", rows)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in (*parts, (b"IEND", b"")))


def bomb(mib: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(mib)) + packer.flush()


def folder_of(name: str, made: Callable[[], bytes], count: int = 12) -> Write:
    """A folder of the same picture."""

    def write(path: Path) -> None:
        path.mkdir()
        whole = made()
        for number in range(count):
            (path / f"{number}{name}").write_bytes(whole)

    return write


def tar_of(name: str, made: Callable[[], bytes], count: int = 12) -> Write:
    def write(path: Path) -> None:
        whole = made()
        with tarfile.open(path, "w") as archive:
            for number in range(count):
                member = tarfile.TarInfo(f"{number}{name}")
                member.size = len(whole)
                archive.addfile(member, io.BytesIO(whole))

    return write


def tar_header(kind: bytes, size: int) -> bytes:
    """512 bytes that announce a member of a kind."""
    member = tarfile.TarInfo("a.png")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def pax(name: bytes, size: int) -> bytes:
    """A note of the next member, so long."""
    body = b" " + name + b"=" + b"x" * size + b"\n"
    body = str(len(body) + 7).encode() + body
    return tar_header(b"x", len(body)) + body + bytes(-len(body) % 512)


def saved(form: str, size: tuple[int, int], mode: str = "RGB", **options: Any) -> Callable[[], bytes]:
    def made() -> bytes:
        file = io.BytesIO()
        Image.new(mode, size).save(file, form, **options)
        return file.getvalue()

    return made


def jpeg_profile(parts: int) -> Callable[[], bytes]:
    """A JPEG with so many parts of a colour profile, 64 kB each."""

    def made() -> bytes:
        plain = saved("JPEG", (8, 8))()
        body = b"ICC_PROFILE\0" + bytes([1, min(parts, 255)]) + bytes(65_000)
        return (
            plain[:2]
            + b"".join(b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body for _ in range(parts))
            + plain[2:]
        )

    return made


def tiff_tags(count: int) -> Callable[[], bytes]:
    """A TIFF whose tag says that it has so many values."""

    def made() -> bytes:
        tags = [
            (256, 3, 1, 8),
            (257, 3, 1, 8),
            (258, 3, 1, 8),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (273, 4, 1, 8),
            (277, 3, 1, 1),
            (278, 3, 1, 8),
            (279, 4, 1, 64),
            (34675, 7, count, 8),
        ]
        body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *each) for each in tags) + bytes(4)
        return b"II*\0" + struct.pack("<I", 72) + bytes(64) + body

    return made


# --- tables


def parquet_of(table: Callable[[], pyarrow.Table], **options: Any) -> Write:
    return lambda path: parquet.write_table(table(), path, **options)


def repeated(value: Any, count: int) -> Callable[[], pyarrow.Table]:
    """A table with one value, so many times: a dictionary of one entry, and runs."""

    def made() -> pyarrow.Table:
        values = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(count, np.int32)), pyarrow.array([value]))
        return pyarrow.table({"a": values, "b": pyarrow.array(np.zeros(count, np.int8))})

    return made


def many_columns(count: int) -> Callable[[], pyarrow.Table]:
    return lambda: pyarrow.table({f"c{number}": pyarrow.array([1.0, 2.0]) for number in range(count)})


def arrow_of(table: Callable[[], pyarrow.Table], compression: str | None) -> Write:
    return lambda path: feather.write_feather(table(), path, compression=compression, chunksize=2**30)


def xlsx(part: str, start: bytes, repeated_part: bytes, mib: int, end: bytes) -> Write:
    """A workbook one of whose parts is so long."""

    def write(path: Path) -> None:
        book = openpyxl.Workbook()
        book.active.append(["a", "b"])
        for number in range(30):
            book.active.append([number, f"t{number}"])
        file = io.BytesIO()
        book.save(file)
        with zipfile.ZipFile(file) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in plain.namelist():
                if name != part:
                    archive.writestr(name, plain.read(name))
            with archive.open(part, "w", force_zip64=True) as member:
                member.write(start)
                for _ in range(mib):
                    member.write(repeated_part * (MIB // len(repeated_part)))
                member.write(end)

    return write


DIMENSION = b'<dimension ref="A1:B2"/>'
SHEET = b'<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
STRINGS = b'<?xml version="1.0"?><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
STYLES = b'<?xml version="1.0"?><styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs>'


SIZED = SHEET.replace(b"<sheetData>", DIMENSION + b"<sheetData>")
ALL = SHEET.replace(b"<sheetData>", b'<dimension ref="A1:XFD1048576"/><sheetData>')
ROWS = b'<row r="1"><c><v>1</v></c></row><row r="2"><c><v>1</v></c></row></sheetData><mergeCells>'


TEXTS = (
    b'<Override PartName="/xl/sharedStrings.xml" '
    b'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
)


def workbook(parts: dict[str, bytes]) -> Write:
    """A workbook some of whose parts are these."""

    def write(path: Path) -> None:
        book = openpyxl.Workbook()
        book.active.append(["a", "b"])
        file = io.BytesIO()
        book.save(file)
        with zipfile.ZipFile(file) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in {*plain.namelist(), *parts}:
                whole = parts.get(name) or plain.read(name)
                if name == "[Content_Types].xml" and "xl/sharedStrings.xml" in parts:
                    whole = whole.replace(b"</Types>", TEXTS)
                archive.writestr(name, whole)

    return write


def sheet_of(row: bytes, numbers: Sequence[int], start: bytes = SIZED) -> Write:
    body = b"".join(row % number for number in numbers)
    return workbook({"xl/worksheets/sheet1.xml": start + body + b"</sheetData></worksheet>"})


def unique_rows(mib: int) -> bytes:
    count = mib * MIB // 9
    return b"a,b\n" + b"\n".join(b"%07x,1" % number for number in range(count)) + b"\n"


# --- runs


def run_with(**parts: Callable[[Path], None]) -> Callable[[Path, Path], None]:
    """A copy of the sound run with some of its files made otherwise."""

    def write(path: Path, sound: Path) -> None:
        for each in sound.rglob("*"):
            target = path / each.relative_to(sound)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.mkdir(exist_ok=True) if each.is_dir() else target.write_bytes(each.read_bytes())
        for name, make in parts.items():
            target = path / name.replace("__", "/").replace("_dot_", ".")
            target.unlink(missing_ok=True)
            target.parent.mkdir(exist_ok=True)
            make(target)

    return write


def long_log(mib: int) -> Write:
    line = b'{"step": 1, "seconds": 1.0, "gap": 0.5, "sliced_w1": 0.1, "sliced_w1_floor": 0.1}\n'
    return content(lambda: line * (mib * MIB // len(line)))


def json_of(repeated_part: bytes, mib: int, start: bytes = b"[", end: bytes = b"0]") -> Write:
    return content(lambda: start + repeated_part * (mib * MIB // len(repeated_part)) + end)


def checkpoint(change: Callable[[Any], None]) -> Write:
    def write(path: Path) -> None:
        from wassergan.storage.checkpoint import load_checkpoint

        whole = load_checkpoint(SOUND["run"] / "checkpoints" / "latest.pt")
        change(whole)
        torch.save(whole, path)

    return write


def huge(whole: Any) -> None:
    whole["shape"] = [10**6, 10**4, 10**4]


def layers(whole: Any) -> None:
    whole["settings"] |= {"generator_widths": (1,) * 10_000, "critic_widths": (1,) * 10_000}


def pack(whole: Any) -> None:
    whole["settings"]["pack"] = 10**8


def lists(whole: Any) -> None:
    whole["notes"] = [[] for _ in range(480_000)]


def stride(whole: Any) -> None:
    for name in whole["trainer"]["average"]:
        whole["trainer"]["average"][name] = torch.zeros(1).expand(10**5, 10**5)


def meta(whole: Any) -> None:
    for name in whole["trainer"]["average"]:
        whole["trainer"]["average"][name] = torch.zeros(10**5, 10**5, device="meta")


def sparse(whole: Any) -> None:
    for name in whole["trainer"]["average"]:
        whole["trainer"]["average"][name] = torch.sparse_coo_tensor(
            torch.zeros(2, 1).long(), torch.ones(1), (10**6,) * 2
        )


def wide(whole: Any) -> None:
    whole["settings"]["generator_widths"] = (10**9,)


def container(whole: Any) -> None:
    for name, value in whole["estimator"]["likeness"].items():
        if isinstance(value, torch.Tensor):
            whole["estimator"]["likeness"][name] = value.new_zeros(1).expand(10**5, 10**5)


def estimator(change: Callable[[Any], None]) -> Write:
    def write(path: Path) -> None:
        from wassergan.storage.checkpoint import load_checkpoint

        whole = load_checkpoint(SOUND["estimator"])
        change(whole)
        torch.save(whole, path)

    return write


def load_estimator(path: str) -> int:
    """Open a saved estimator and draw from it, with the exit code and the sentence of a verb."""
    from wassergan import UserError, WassersteinGAN

    try:
        WassersteinGAN.load(path).sample(3)
    except UserError as error:
        print(f"wassergan: {error}")
        return 2
    return 0


SOUND: dict[str, Path] = {}


def trials() -> list[Trial]:
    """All of them."""
    grown = [
        (".csv", b"a,b\n1,2\n"),
        (".csv", b""),
        (".tsv", b"a\tb\n"),
        (".npy", npy((10**9,))),
        (".npy", b""),
        (".npz", b"PK\3\4"),
        (".parquet", b"PAR1"),
        (".arrow", b"ARROW1\0\0"),
        (".feather", b"FEA1"),
        (".tar", b""),
        (".jsonl", b""),
        (".xlsx", b"PK\3\4"),
        (".idx", struct.pack(">HBBI", 0, 8, 1, 2**32 - 1)),
        (".csv.gz", gzip.compress(b"a,b\n1,2\n")),
        ("-ubyte.gz", gzip.compress(b"\0\0\x08\1")),
    ]
    made = [
        Trial(f"a hole of 4 GiB{suffix}" + (", headed" if start else ""), suffix, hole(start), AS_DATA)
        for suffix, start in grown
    ]
    made += [
        Trial("one line of 9 GB", ".csv.gz", gz(b"", b"a", 9000), AS_DATA),
        Trial("one line of 9 GB behind a header", ".csv.gz", gz(b"a,b\n1,2\n", b"7", 9000), AS_DATA),
        Trial("one quoted cell of 9 GB", ".csv.gz", gz(b'a,b\n1,"', b"7\n", 9000), AS_DATA),
        Trial("empty lines, 9 GB", ".csv.gz", gz(b"a,b\n1,2\n", b"\n", 9000), AS_DATA),
        Trial("comments, 9 GB", ".csv.gz", gz(b"# a\na,b\n1,2\n", b"# 1\n", 9000), AS_DATA),
        Trial("rows, 9 GB", ".csv.gz", gz(b"a,b\n", b"1,2\n", 9000), AS_DATA),
        Trial("short rows, 96 MiB", ".csv.gz", gz(b"a,b\n", b"1,2\n", 96), AS_DATA),
        Trial("empty cells, 96 MiB", ".csv.gz", gz(b"," * 15_000 + b"a\n", b"," * 15_000 + b"1\n", 96), AS_DATA),
        Trial("different cells, 96 MiB", ".csv.gz", content(lambda: gzip.compress(unique_rows(96), 1)), AS_DATA),
        Trial("different cells, 96 MiB, plain", ".csv", content(lambda: unique_rows(96)), AS_DATA),
        Trial(
            "16 000 columns",
            ".csv",
            content(lambda: b",".join(b"c%d" % i for i in range(16_000)) + (b"\n" + b"1," * 15_999 + b"1") * 90),
            AS_DATA,
        ),
        Trial("UTF-16, 9 GB", ".csv.gz", gz(b"\xff\xfe", b"a\0", 9000), AS_DATA),
        # arrays
        Trial("a header of 4 GiB, version 2", ".npy", hole(npy((4,), version=2, length=2**32 - 1)), AS_DATA),
        Trial("a header of 4 GiB, version 3", ".npy", hole(npy((4,), version=3, length=2**32 - 1)), AS_DATA),
        Trial(
            "a header of 4 GiB within a zip",
            ".npz",
            zipped({"a.npy": zeros(4095, npy((4,), version=2, length=2**32 - 1))}),
            AS_DATA,
        ),
        Trial("a type of 2 GB", ".npy", content(lambda: npy((1,), "|S2000000000") + bytes(99)), AS_DATA),
        Trial("zeros, 4 GB", ".npz", zipped({"a.npy": zeros(4095, npy((4095 * MIB // 8,)))}), AS_DATA),
        Trial("zeros, 90 MB", ".npz", zipped({"a.npy": zeros(90, npy((90 * MIB // 32, 4)))}), AS_DATA),
        Trial(
            "names, 4 GB",
            ".npz",
            zipped({"a.npy": iter([npy((9, 2)) + bytes(144)]), "n.npy": zeros(4095, npy((2,), "<U536000000"))}),
            AS_DATA,
        ),
        Trial("100 000 members", ".npz", zipped({f"{n}.npy": iter([npy((0,))]) for n in range(100_000)}), AS_DATA),
        Trial("zeros, 4 GB", "-ubyte.gz", gz(struct.pack(">HBBII", 0, 8, 2, 4000, MIB), b"\0", 4000), AS_DATA),
        # Parquet and Arrow
        Trial(
            "one number, 10^9 times",
            ".parquet",
            parquet_of(lambda: pyarrow.table({"a": pyarrow.array(np.zeros(10**8, np.int8))})),
            AS_DATA,
        ),
        Trial("one text of 1 MB, 10^6 times", ".parquet", parquet_of(repeated("x" * MIB, 10**6)), AS_DATA),
        Trial("one text of 1 MB, 10^4 times", ".parquet", parquet_of(repeated("x" * MIB, 10**4)), AS_DATA),
        Trial(
            "a text of 1 GB, zstd",
            ".parquet",
            parquet_of(lambda: pyarrow.table({"a": ["x" * 2**30], "b": [1]}), compression="zstd", use_dictionary=False),
            AS_DATA,
        ),
        Trial(
            "texts of 1 kB that begin alike",
            ".parquet",
            parquet_of(
                lambda: pyarrow.table({"a": ["x" * 1000] * 900_000, "b": [1] * 900_000}),
                compression="zstd",
                use_dictionary=False,
                column_encoding={"a": "DELTA_BYTE_ARRAY", "b": "PLAIN"},
            ),
            AS_DATA,
        ),
        Trial("20 000 columns", ".parquet", parquet_of(many_columns(20_000)), AS_DATA),
        Trial(
            "lists, 10^8 values",
            ".parquet",
            parquet_of(
                lambda: pyarrow.table(
                    {"a": pyarrow.ListArray.from_arrays([0, 10**8], np.zeros(10**8, np.int8)), "b": [1]}
                )
            ),
            AS_DATA,
        ),
        Trial(
            "zeros, 1 GB, zstd", ".feather", arrow_of(lambda: pyarrow.table({"a": np.zeros(2**27)}), "zstd"), AS_DATA
        ),
        Trial(
            "texts, 1 GB, lz4", ".feather", arrow_of(lambda: pyarrow.table({"a": ["x" * MIB] * 1000}), "lz4"), AS_DATA
        ),
        # spreadsheets
        Trial(
            "cells, 96 MiB",
            ".xlsx",
            xlsx(
                "xl/worksheets/sheet1.xml", SHEET, b'<row><c t="n"><v>1</v></c></row>', 96, b"</sheetData></worksheet>"
            ),
            AS_DATA[:2],
        ),
        Trial(
            "one row, 96 MiB",
            ".xlsx",
            xlsx("xl/worksheets/sheet1.xml", SHEET + b"<row>", b"<c/>", 96, b"</row></sheetData></worksheet>"),
            AS_DATA[:2],
        ),
        Trial(
            "shared texts, 96 MiB", ".xlsx", xlsx("xl/sharedStrings.xml", STRINGS, b"<si/>", 96, b"</sst>"), AS_DATA[:2]
        ),
        Trial(
            "styles, 48 MiB",
            ".xlsx",
            xlsx("xl/styles.xml", STYLES, b"<xf/>", 48, b"</cellXfs></styleSheet>"),
            AS_DATA[:2],
        ),
        Trial(
            "cells, 30 MiB, its size told",
            ".xlsx",
            xlsx(
                "xl/worksheets/sheet1.xml", SIZED, b'<row><c t="n"><v>1</v></c></row>', 30, b"</sheetData></worksheet>"
            ),
            AS_DATA,
        ),
        Trial(
            "one row, 96 MiB, its size told",
            ".xlsx",
            xlsx("xl/worksheets/sheet1.xml", SIZED + b"<row>", b"<c/>", 96, b"</row></sheetData></worksheet>"),
            AS_DATA[:2],
        ),
        Trial(
            "one row behind comments, 24 MiB",
            ".xlsx",
            xlsx(
                "xl/worksheets/sheet1.xml",
                SIZED + b"<row>",
                b"<c/>" * 200 + b"<!--<row >-->",
                24,
                b"</row></sheetData></worksheet>",
            ),
            AS_DATA[:2],
        ),
        Trial(
            "merged cells, 40 MiB",
            ".xlsx",
            xlsx(
                "xl/worksheets/sheet1.xml", SIZED + ROWS, b'<mergeCell ref="A1:A2"/>', 40, b"</mergeCells></worksheet>"
            ),
            AS_DATA[:2],
        ),
        Trial("rows far apart", ".xlsx", sheet_of(b'<row r="%d"><c><v>1</v></c></row>', (1, 2, 10**6, 2**31)), AS_DATA),
        Trial(
            "cells far apart", ".xlsx", sheet_of(b'<row r="%d"><c r="XFD1"><v>1</v></c></row>', range(1, 999)), AS_DATA
        ),
        Trial(
            "a dimension of all cells", ".xlsx", sheet_of(b'<row r="%d"><c><v>1</v></c></row>', (1, 2), ALL), AS_DATA
        ),
        Trial(
            "one shared text of 30 kB, 10^5 times",
            ".xlsx",
            workbook(
                {
                    "xl/worksheets/sheet1.xml": SIZED
                    + b'<row><c t="s"><v>0</v></c></row>' * 10**5
                    + b"</sheetData></worksheet>",
                    "xl/sharedStrings.xml": STRINGS + b"<si><t>" + b"x" * 30_000 + b"</t></si></sst>",
                }
            ),
            AS_DATA[:3],
        ),
        Trial(
            "entities that unfold",
            ".xlsx",
            workbook(
                {
                    "xl/worksheets/sheet1.xml": b"<!DOCTYPE a [<!ENTITY e '"
                    + b"<c/>" * 20_000
                    + b"'>]>"
                    + SIZED
                    + (b"<row>" + b"&e;" * 90 + b"</row></sheetData></worksheet>")
                }
            ),
            AS_DATA[:2],
        ),
        Trial("a sheet of 4 GB", ".xlsx", xlsx("xl/worksheets/sheet1.xml", SHEET, b"<row/>", 4000, b""), AS_DATA[:2]),
        # labels and schemas
        Trial("empty lists, 8 MiB", ".json", json_of(b"[],", 8), AS_LABELS + AS_SCHEMA),
        Trial("empty objects, 8 MiB", ".json", json_of(b"{},", 8), AS_LABELS + AS_SCHEMA),
        Trial("numbers, 8 MiB", ".json", json_of(b"0.1,", 8), AS_LABELS + AS_SCHEMA),
        Trial("objects of one field, 4 MiB", ".json", json_of(b'{"a":1},', 4, b"[", b'{"a":1}]'), AS_LABELS),
        Trial("objects of one field, lines, 4 MiB", ".jsonl", json_of(b'{"a":1}\n', 4, b"", b""), AS_LABELS),
        Trial("wide letters, 8 MiB", ".json", json_of(b"x", 8, '"\U0001f600'.encode(), b'"'), AS_LABELS + AS_SCHEMA),
        Trial("nothing, 4 GiB", ".json", hole(b"["), AS_LABELS + AS_SCHEMA),
        # pictures
        *(
            Trial(f"{what}, {where}", ".tar" if where == "a shard" else "", make(name, whole), AS_DATA[:3])
            for where, make in (("a folder", folder_of), ("a shard", tar_of))
            for what, name, whole in PICTURES
        ),
        Trial("a tar name of 4 GiB", ".tar", hole(tar_header(b"L", 2**32 - 1)), AS_DATA),
        Trial("a tar note of 4 GiB", ".tar", hole(tar_header(b"x", 2**32 - 1)), AS_DATA),
        Trial("a global tar note of 4 GiB", ".tar", hole(tar_header(b"g", 2**32 - 1)), AS_DATA),
        Trial("a sparse tar member", ".tar", content(lambda: tar_header(b"S", 512) + bytes(2048)), AS_DATA),
        Trial("a tar member of 4 GiB", ".tar", hole(tar_header(b"0", 2**32 - 1)), AS_DATA),
        Trial(
            "10^6 empty tar members", ".tar", content(lambda: tar_header(b"0", 0) * 300_000 + bytes(1024)), AS_DATA[:3]
        ),
        Trial(
            "a tar name of 60 MiB", ".tar", content(lambda: tar_header(b"L", 60 * MIB) + bytes(60 * MIB)), AS_DATA[:3]
        ),
        Trial(
            "300 tar notes of 1 MiB",
            ".tar",
            content(lambda: b"".join(pax(b"a%d" % number, MIB) + tar_header(b"0", 0) for number in range(60))),
            AS_DATA[:3],
        ),
        Trial("tar headers that overlap", ".tar", hole(tarfile.TarInfo("a.png").tobuf()), AS_DATA[:2]),
    ]
    made += [Trial(name, suffix, write, AS_DATA) for name, suffix, write in bombs()]
    made += [Trial(*each) for each in kept(TINY)]
    made += [
        Trial(f"an estimator: {change.__name__}", ".pt", estimator(change), (("load", "FILE"),))
        for change in (huge, layers, pack, lists, stride, meta, sparse, wide, container)
    ]
    made += [
        Trial("an estimator of 4 GiB", ".pt", hole(b"PK\3\4"), (("load", "FILE"),)),
        Trial("an estimator of 4 GiB without a head", ".pt", hole(), (("load", "FILE"),)),
    ]
    sound = SOUND["run"]

    def run(name: str, **parts: Write) -> Trial:
        return Trial(name, "", lambda path: run_with(**parts)(path, sound), IN_RUN)

    made += [
        run("a log of 170 MB", log_dot_jsonl=long_log(170)),
        run("a log of one object of 60 MiB", log_dot_jsonl=json_of(b'"a":1,', 60, b"{", b'"step":1}\n')),
        run("a log of 170 MB of short lines", log_dot_jsonl=json_of(b'{"step":1}\n', 170, b"", b"")),
        run("metrics, a hole of 1 GB", metrics_dot_json=hole(b'{"protocol":', size=10**9)),
        run("environment, a hole of 1 GB", environment_dot_json=hole(b'{"python":"', size=10**9)),
        run("environment, 4 GiB", environment_dot_json=hole()),
        run("a log of one line, 4 GiB", log_dot_jsonl=hole(b'{"step": 1')),
        run("a log of braces", log_dot_jsonl=json_of(b"[", 60, b"", b"")),
        run("metrics of lists, 15 MiB", metrics_dot_json=json_of(b"[],", 15, b'{"a":[', b"0]}")),
        run("metrics, 4 GiB", metrics_dot_json=hole(b"{")),
        run(
            "metrics of lists, 60 MiB",
            metrics_dot_json=json_of(
                b"[],", 60, b'{"protocol":{"step":1},"verdict":{"flags":[]},"metrics":[{"name":"a"}],"a":[', b"0]}"
            ),
        ),
        run("settings of lists, 60 MiB", settings_dot_json=json_of(b"[],", 60, b'{"a":[', b"0]}")),
        run("settings, 4 GiB", settings_dot_json=hole(b"{")),
        run("environment of lists, 15 MiB", environment_dot_json=json_of(b"[],", 15, b'{"a":[', b"0]}")),
        run("a grid of 4 GiB", samples__step_000000003_dot_png=hole(b"\x89PNG\r\n\x1a\n")),
        run(
            "a grid of 31 MiB", samples__step_000000003_dot_png=content(lambda: b"\x89PNG\r\n\x1a\n" + bytes(31 * MIB))
        ),
        run("a lock of 4 GiB", _dot_lock=hole(b'{"host"')),
        run("a mark of 4 GiB", _dot_wassergan=hole(b"wassergan run ")),
        run("a checkpoint of 4 GiB", checkpoints__latest_dot_pt=hole(b"PK\3\4")),
        *(
            run(f"a checkpoint: {change.__name__}", checkpoints__latest_dot_pt=checkpoint(change))
            for change in (huge, layers, pack, lists, stride, meta, sparse)
        ),
    ]
    return made


PICTURES: list[tuple[str, str, Callable[[], bytes]]] = [
    ("PNG, 9000 x 9000", ".png", lambda: png(9000, 9000)),
    ("PNG, 9000 x 9000, see-through", ".png", lambda: png(9000, 9000, kind=6)),
    ("PNG, 100 000 x 100 000", ".png", lambda: png(100_000, 100_000, rows=b"")),
    ("PNG, profile of 1 GB", ".png", lambda: png(8, 8, (b"iCCP", b"a\0\0" + bomb(1000)))),
    ("PNG, text of 1 GB", ".png", lambda: png(8, 8, (b"zTXt", b"a\0\0" + bomb(1000)))),
    ("PNG, 200 texts of 60 MB", ".png", lambda: png(8, 8, *[(b"zTXt", b"a\0\0" + bomb(60))] * 200)),
    ("PNG, 60 texts of 1 MiB", ".png", lambda: png(8, 8, *[(b"iTXt", b"a\0\1\0\0\0" + bomb(1))] * 60)),
    ("PNG, 100 000 chunks", ".png", lambda: png(8, 8, *[(b"tEXt", b"a\0b")] * 100_000)),
    ("PNG, private chunks of 20 MB", ".png", lambda: png(8, 8, *[(b"prVt", bytes(4 * MIB))] * 5)),
    ("PNG, data of 1 GB behind 8 rows", ".png", lambda: png(8, 8, rows=bomb(1000))),
    ("JPEG, 9000 x 9000", ".jpg", saved("JPEG", (9000, 9000))),
    ("JPEG, 60 000 x 1400, progressive", ".jpg", saved("JPEG", (60_000, 1400), progressive=True)),
    ("JPEG, profile of 300 parts", ".jpg", jpeg_profile(300)),
    ("WebP, 9000 x 9000", ".webp", saved("WEBP", (9000, 9000), lossless=True)),
    ("GIF, 9000 x 9000", ".gif", saved("GIF", (9000, 9000), "P")),
    ("TIFF, 9000 x 9000, deflate", ".tif", saved("TIFF", (9000, 9000), compression="tiff_adobe_deflate")),
    ("TIFF, profile of 4 GB", ".tif", tiff_tags(2**32 - 1)),
    (
        "BMP, 30 000 x 30 000",
        ".bmp",
        lambda: b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0),
    ),
]


# --- measuring


def grown(call: Sequence[str]) -> tuple[int, float, float, str]:
    """A call in a fork: its exit code, by how many MiB its memory grew, its seconds, and what it said last."""
    with tempfile.TemporaryFile("w+", errors="replace") as told:
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            code = 70
            with contextlib.suppress(BaseException):
                os.dup2(told.fileno(), 1)
                os.dup2(told.fileno(), 2)
                Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
                held = resident("VmRSS") * 2**10
                resource.setrlimit(resource.RLIMIT_DATA, (held + 16 * 2**30, held + 16 * 2**30))
                signal.alarm(SECONDS)
                before = resident("VmRSS")
                code = load_estimator(call[1]) if call[0] == "load" else wassergan_main(list(call))
                peak = resident("VmHWM")
                sys.stdout.flush()
                sys.stderr.flush()
                os.write(told.fileno(), f"\n#{(peak - before) / 2**10}".encode())
            os._exit(code)
        _, status, usage = os.wait4(child, 0)
        told.seek(0)
        said, _, measured = told.read().rpartition("\n#")
        lines = [line for line in (said or measured).splitlines() if line.strip()]
        mib = float(measured) if said or measured.replace(".", "").isdigit() else usage.ru_maxrss / 2**10
        code = os.waitstatus_to_exitcode(status)
        return code, round(mib, 1), round(time.monotonic() - begun, 1), (lines or [""])[-1][:300]


def resident(what: str) -> int:
    """In KiB."""
    (found,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(found.split()[1])


def outcomes(trial: Trial, folder: Path) -> Iterator[Outcome]:
    """All calls of a trial; its file is gone afterwards."""
    path = folder / ("hostile" + trial.suffix)
    trial.write(path)
    every = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    size = sum(each.stat().st_blocks * 512 for each in every) / MIB
    for number, call in enumerate(trial.calls):
        out = folder / f"out{number}"
        words = {
            "FILE": str(path),
            "RUN": str(SOUND["run"]),
            "POINTS": str(SOUND["points"]),
            "TABLE": str(SOUND["table"]),
        }
        told = [words.get(word, word.replace("OUT", str(out))) for word in call]
        code, mib, seconds, said = grown(told)
        said = said.replace(str(folder), "FOLDER")
        yield Outcome(trial.title, " ".join(call[:4]), round(size, 2), code, mib, seconds, said)
        remove(out)
    remove(path)


def remove(path: Path) -> None:
    if path.is_dir():
        for each in sorted(path.rglob("*"), reverse=True):
            each.rmdir() if each.is_dir() else each.unlink()
        path.rmdir()
    path.unlink(missing_ok=True)


def make_sound(folder: Path) -> None:
    """A run, the points that it was trained on, and a table."""
    SOUND.update(run=folder / "sound", points=folder / "points.npy", table=folder / "table.csv")
    np.save(SOUND["points"], np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32))
    SOUND["table"].write_text("a,b\n" + "".join(f"{number},{number % 3}\n" for number in range(60)))
    if wassergan_main(["train", str(SOUND["points"]), "--steps", "5", "--out", str(SOUND["run"]), *TINY]) != 0:
        raise SystemExit("the sound run did not come to its end")
    wassergan_main(["evaluate", str(SOUND["run"])])
    from wassergan import WassersteinGAN

    SOUND["estimator"] = folder / "estimator.pt"
    estimator = WassersteinGAN(steps=5, batch_size=8, latent_dim=2, generator_widths=(8,), critic_widths=(8,))
    estimator.fit(np.load(SOUND["points"])).save(SOUND["estimator"])


def main() -> None:
    """Every trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="trials whose name, with the suffix, matches")
    parser.add_argument("--keep", action="store_true", help="leave what the results hold of other files")
    parser.add_argument("--owed", action="store_true", help="trials that the results hold nothing of, which they keep")
    parser.add_argument("--folder", type=Path, help="where the files are made")
    options = parser.parse_args()
    options.keep |= options.owed
    made = {each["name"] for each in json.loads(RESULTS.read_text())} if options.owed and RESULTS.exists() else set()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make_sound(folder)
        found: list[Outcome] = []
        for trial in trials():
            if trial.title in made or not re.search(options.only, trial.title):
                continue
            for outcome in outcomes(trial, folder):
                found.append(outcome)
                if options.keep:
                    write_results([outcome], keep=True)
                mark = "      " if outcome.held else "BROKE "
                print(
                    f"{mark}{outcome.grown_mib:8.1f} MiB {outcome.seconds:6.1f} s  {outcome.code:3d}  {outcome.name}: {outcome.call}: {outcome.said[:140]}",
                    flush=True,
                )
    if not (options.only or options.keep):
        from results import stamp

        write_results(found)
        stamp("ceilings")
    sys.exit(any(not each.held for each in found))


def write_results(found: Sequence[Outcome], *, keep: bool = False) -> None:
    """The table, one line for each file: the worst of its calls."""
    known = {each.title: number for number, each in enumerate(trials())}
    with RESULTS.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another part of the trials may run beside
        file.seek(0)
        text = file.read()
        former = [Outcome(**each) for each in json.loads(text)] if keep and text else []
        new = {(each.name, each.call) for each in found}
        found = [*[each for each in former if (each.name, each.call) not in new], *found]
        found = [each for each in found if each.name in known]
        found.sort(key=lambda each: (known[each.name], each.call))
        file.truncate(0)
        file.write(json.dumps([asdict(each) for each in found], indent=1) + "\n")
        file.flush()
        write_table(
            found, RESULTS.with_suffix(".md"), [name for name in known if name not in {each.name for each in found}]
        )


def write_table(found: Sequence[Outcome], path: Path, absent: Sequence[str]) -> None:
    """One line for each file, and the names of those that were not tried."""
    names = list(dict.fromkeys(each.name for each in found))
    lines = [
        "# Memory for hostile files",
        "",
        f"`python benchmarks/ceilings.py`: {len(names)} files, {len(found)} calls, {sum(each.held for each in found)} held. "
        f"Each call may grow by {CEILING_MIB} MiB under a limit of {LIMIT_MIB} MiB.",
        "",
        "| file | on disk, MiB | calls | grown at most, MiB | codes | held |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        calls = [each for each in found if each.name == name]
        codes = ", ".join(map(str, sorted({each.code for each in calls})))
        lines.append(
            f"| {name} | {calls[0].file_mib} | {len(calls)} | {max(each.grown_mib for each in calls)} | {codes} | {'yes' if all(each.held for each in calls) else 'no'} |"
        )
    if absent:
        lines += ["", f"Not tried ({len(absent)}): {', '.join(absent)}."]
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
