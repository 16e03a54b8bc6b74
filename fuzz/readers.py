"""Everything that reads a file from outside, as functions of bytes: each may raise `UserError` and nothing else.

    pip install atheris                               # in an environment of its own, beside wassergan
    python fuzz/readers.py csv -runs=1000000          # coverage-guided, by libFuzzer; its flags follow the name
    python fuzz/readers.py --seeds                    # writes fuzz/corpus anew
    python fuzz/readers.py csv --replay FILE          # one input, with its traceback

Checksums are put right where they would keep a fuzzer out: members of zip files are given as their content alone, and
the headers of tar files are summed anew. The test suite replays the corpus and some mutations of it.
"""

import contextlib
import gzip
import io
import json
import os
import shutil
import struct
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WASSERGAN_LARGEST_MIB", "64")

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
MEMORY = "/dev/shm"

FUZZED = len(sys.argv) > 1 and sys.argv[1] != "--seeds" and "--replay" not in sys.argv and __name__ == "__main__"
if FUZZED:
    import atheris

    # Before: what is imported inside is instrumented, which takes minutes for these.
    for each in ("torch", "scipy.stats", "sklearn", "matplotlib.figure", "pyarrow.parquet", "pandas", "ot"):
        import_module(each)
    # Zip files are the input of two readers, and of others only how it comes.
    archives = ["zipfile"] if sys.argv[1] in ("npz_archive", "checkpoint_file") else []
    with atheris.instrument_imports(include=["wassergan", "gzip", *archives]):
        for each in ("wassergan.data", "wassergan.runs.export", "wassergan.monitor", "wassergan.runs.train"):
            import_module(each)

import numpy as np
import torch

from wassergan import TrainSettings, UserError, open_export
from wassergan.data import ArrayConditions, open_source
from wassergan.data.readers import images
from wassergan.data.tables import schema_of
from wassergan.data.tables.date_finding import most_fit, read_all
from wassergan.data.tables.formats import form_from_state
from wassergan.data.tables.rules.book import RuleBook
from wassergan.data.tables.rules.grammar import parse_rules
from wassergan.data.tables.schema import ColumnSpec
from wassergan.data.tables.text_columns import dates_of, numbers_of
from wassergan.monitor import W1Monitor
from wassergan.monitor.state import MonitorState
from wassergan.report.watch import write_watch_page
from wassergan.session.restore import sampler_of
from wassergan.session.state import CheckpointState
from wassergan.storage.checkpoint import another_checkpoint, load_checkpoint, save_checkpoint
from wassergan.storage.corruption import corruption_errors
from wassergan.storage.lock import held
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.run_log import RunLog, read_log


class InLine:
    """In place of a pool of threads, whose start takes ten times as long as a picture of 30 pixels."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> "InLine":
        return self

    def __exit__(self, *_: object) -> None: ...

    map = staticmethod(map)


TARGETS: dict[str, Callable[[bytes], None]] = {}
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY if Path(MEMORY).is_dir() else None))


def target(function: Callable[[bytes], None]) -> Callable[[bytes], None]:
    TARGETS[function.__name__] = function
    return function


def written(name: str, content: bytes) -> Path:
    path = FOLDER / name.partition("::")[0]
    path.write_bytes(content)
    return FOLDER / name


def opened(name: str, content: bytes, **options: Any) -> None:
    source = open_source(str(written(name, content)), **options)
    source.train_sample(2)
    source.heldout(torch.arange(1))


@target
def npy(content: bytes) -> None:
    opened("a.npy", content)


@target
def npy_folder(content: bytes) -> None:
    """One file of a folder, between two that are alike."""
    folder = FOLDER / "arrays"
    folder.mkdir(exist_ok=True)
    for name in ("a", "c"):
        np.save(folder / f"{name}.npy", np.zeros((2, 3), "f4"))
    (folder / "b.npy").write_bytes(content)
    source = open_source(str(folder), heldout=0.4)
    source.train_sample(2)


@target
def condition_array(content: bytes) -> None:
    """The conditions of as many samples as the corpus has, and conditions to draw under."""
    samples, path = np.arange(24.0).reshape(6, 4), str(written("given.npy", content))
    given = np.arange(36.0).reshape(6, 2, 3)
    conditions = open_source(samples, condition_array=given, heldout=0.2).conditions
    assert isinstance(conditions, ArrayConditions)
    with contextlib.suppress(UserError):
        conditions.given(path, draws=2).vectors(0, 2, seed=0)
    source = open_source(samples, condition_array=path, heldout=0.2)
    source.train_batch(torch.arange(2))


@target
def netcdf(content: bytes) -> None:
    """NetCDF-4 and HDF5."""
    opened("a.nc", content, heldout=0.4)


@target
def netcdf_classic(content: bytes) -> None:
    opened("b.nc", content, heldout=0.4)


@target
def hdf5(content: bytes) -> None:
    opened("a.h5::g/u", content, heldout=0.4)


@target
def mat(content: bytes) -> None:
    opened("a.mat", content, heldout=0.4)


@target
def zarr_array(content: bytes) -> None:
    """The description of an array of version 2, with one chunk beside it."""
    _store("described.zarr", content, zlib.compress(np.arange(96, dtype="f4").tobytes()))


@target
def zarr_json(content: bytes) -> None:
    """That of version 3."""
    folder = FOLDER / "third.zarr"
    (folder / "c" / "0" / "0").mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_bytes(content)
    (folder / "c" / "0" / "0" / "0").write_bytes(np.arange(96, dtype="f4").tobytes())
    source = open_source(str(folder), heldout=0.4)
    source.train_sample(2)


@target
def zarr_chunk(content: bytes) -> None:
    """A chunk of an array."""
    _store("packed.zarr", json.dumps(_zarr_array()).encode(), content)


def _store(name: str, array: bytes, chunk: bytes) -> None:
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    (folder / ".zarray").write_bytes(array)
    (folder / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["time", "y", "x"], "units": "K"}')
    (folder / "0.0.0").write_bytes(chunk)
    source = open_source(str(folder), heldout=0.4)
    source.train_sample(2)


def _zarr_json() -> dict[str, Any]:
    own = {"zarr_format": 3, "node_type": "array", "shape": [8, 3, 4], "data_type": "float32", "fill_value": "NaN"}
    grid = {"name": "regular", "configuration": {"chunk_shape": [8, 3, 4]}}
    keys = {"name": "default", "configuration": {"separator": "/"}}
    codecs = [
        {"name": "transpose", "configuration": {"order": [2, 1, 0]}},
        {"name": "bytes", "configuration": {"endian": "little"}},
    ]
    dims = {"dimension_names": ["time", "y", "x"], "attributes": {"units": "K", "_FillValue": "AAAAAAAA+H8="}}
    return {**own, "chunk_grid": grid, "chunk_key_encoding": keys, "codecs": codecs, **dims}


def _zarr_array() -> dict[str, Any]:
    own = {"zarr_format": 2, "shape": [8, 3, 4], "chunks": [8, 3, 4], "dtype": "<f4", "fill_value": 0.5, "order": "C"}
    return {**own, "filters": None, "compressor": {"id": "zlib", "level": 1}}


@target
def zip_pictures(content: bytes) -> None:
    source = open_source(str(written("a.zip", content)), size=(4, 4), heldout=0.5)
    source.values(torch.arange(1))


@target
def npz(content: bytes) -> None:
    """The content of the archive's only member."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED if content[:1] == b"\0" else zipfile.ZIP_STORED) as archive:
        archive.writestr("a.npy", content)
    opened("a.npz", packed.getvalue())


@target
def npz_archive(content: bytes) -> None:
    opened("b.npz", content)


@target
def tiff(content: bytes) -> None:
    opened("stack.tif", content, crop=(2, 2, 2))


@target
def idx(content: bytes) -> None:
    opened("a-ubyte", content)


@target
def idx_gz(content: bytes) -> None:
    opened("a-ubyte.gz", gzip.compress(content, 1))


@target
def csv(content: bytes) -> None:
    opened("a.csv", content)


@target
def csv_gz(content: bytes) -> None:
    opened("a.csv.gz", content)


@target
def long_table(content: bytes) -> None:
    opened("long.csv", content, series="id", time="t")


@target
def windows(content: bytes) -> None:
    opened("long.npy", content, window=3)


@target
def texts(content: bytes) -> None:
    """Texts of one column, a line each, as numbers and as dates; what is taken is written and read without an error."""
    levels = list(dict.fromkeys(content.decode("utf-8", errors="replace").split("\n")))
    for find in (numbers_of, dates_of):
        found = find(levels, ColumnSpec())
        if found is not None:
            written = found.form.texts(found.values[np.isfinite(found.values)])
            found.form.read(written)
            form_from_state(json.loads(json.dumps(found.form.state())))
    most_fit(levels)


@target
def formats(content: bytes) -> None:
    """A date format in the first line, and texts that may be in it."""
    pattern, *levels = content.decode("utf-8", errors="replace").split("\n")
    schema_of({"columns": {"a": {"kind": "date", "format": pattern}}})
    for level in levels:
        read_all([level], pattern)


@target
def rules(content: bytes) -> None:
    """Rules of a schema, one a line."""
    for line in content.decode("utf-8", errors="replace").split("\n"):
        with contextlib.suppress(UserError):
            parse_rules([line])


@target
def rule_book(content: bytes) -> None:
    """What a checkpoint holds of rules."""
    with contextlib.suppress(ValueError, RecursionError):
        state = json.loads(content)
        with corruption_errors("the rules"):
            RuleBook.from_state(state)


@target
def schema(content: bytes) -> None:
    rows = b"x,1,2020-01-01,1.5\ny,2.5,2020-01-02,7\nx,,2021-01-01,12\ny,7,2020-03-01,23\n"
    written("table.csv", b"name,age,day,at\n" + rows * 4)
    open_source(str(FOLDER / "table.csv"), schema=written("schema.json", content))


@target
def parquet(content: bytes) -> None:
    opened("a.parquet", content)


@target
def excel(content: bytes) -> None:
    opened("a.xlsx", content)


@target
def excel_sheet(content: bytes) -> None:
    """The content of the only sheet of a workbook that is sound otherwise."""
    packed = io.BytesIO()
    with zipfile.ZipFile(CORPUS / "excel" / "kinds") as sound, zipfile.ZipFile(packed, "w") as archive:
        for name in sound.namelist():
            archive.writestr(name, content if name == "xl/worksheets/sheet1.xml" else sound.read(name))
    opened("b.xlsx", packed.getvalue())


@target
def arrow(content: bytes) -> None:
    opened("a.arrow", content)


@target
def picture(content: bytes) -> None:
    folder = FOLDER / "pictures"
    folder.mkdir(exist_ok=True)
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(content)
    (folder / "c.png").write_bytes(_plain_picture(7))  # equal pictures alone are refused
    source = open_source(str(folder), size=(4, 4), heldout=0.5)
    source.values(torch.arange(2))


@cache
def _plain_picture(level: int) -> bytes:
    from PIL import Image

    return _bytes(lambda file: Image.new("L", (4, 4), level).save(file, "png"))


def labelled(content: bytes, name: str) -> None:
    folder = FOLDER / "labelled"
    folder.mkdir(exist_ok=True)
    for number in range(4):
        (folder / f"{number}.png").write_bytes(_plain_picture(number))
    open_source(str(folder), labels=written(name, content), heldout=0.5)


@target
def labels_json(content: bytes) -> None:
    labelled(content, "labels.json")


@target
def labels_jsonl(content: bytes) -> None:
    labelled(content, "labels.jsonl")


@target
def labels_csv(content: bytes) -> None:
    labelled(content, "labels.csv")


@target
def shard_label(content: bytes) -> None:
    """What stands beside a picture in a tar file: fields, or a class where they are no JSON."""
    path = FOLDER / "labelled.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(4):
            label = content if number % 2 else b'{"a": 0}'
            for name, part in (
                (f"{number}.png", _plain_picture(number)),
                (f"{number}.json", label),
                (f"{number}.cls", label),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(part)
                archive.addfile(member, io.BytesIO(part))
    with contextlib.suppress(UserError):
        open_source(str(path), condition=["cls"], heldout=0.5)
    open_source(str(path), condition=["a"], heldout=0.5)


@target
def shard(content: bytes) -> None:
    """A tar file whose headers add up."""
    blocks = bytearray(content)
    for start in range(0, len(blocks) - 511, 512):
        if blocks[start + 257 : start + 262] == b"ustar" or start == 0:
            blocks[start + 148 : start + 156] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(blocks[start : start + 512])
    source = open_source(str(written("a.tar", bytes(blocks))), size=(4, 4), heldout=0.5)
    source.values(torch.arange(1))


@cache
def _archive_without_pickle(path: Path) -> tuple[bytes, str]:
    """A seed's archive without its pickle, and the pickle's name: few storages, as each costs time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as seed, zipfile.ZipFile(packed, "w") as archive:
        pickled = next(name for name in seed.namelist() if name.endswith("data.pkl"))
        for member in seed.infolist():
            if member.filename != pickled:
                archive.writestr(member, seed.read(member))
    return packed.getvalue(), pickled


def _drawing(path: Path) -> None:
    with corruption_errors("The checkpoint", another_checkpoint()):
        # The seeds hold what drawing needs, and nothing of the data.
        state = CheckpointState.from_content({"best": {}, "fingerprint": {}, **load_checkpoint(path)})
    sampler_of(state, device="cpu")


@target
def checkpoint(content: bytes) -> None:
    """The pickled part of a checkpoint, with the storages of the seed beside it."""
    storages, pickled = _archive_without_pickle(CORPUS / "checkpoint_file" / "opened")
    packed = io.BytesIO(storages)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(pickled, content)
    _drawing(written("a.pt", packed.getvalue()))


@target
def checkpoint_file(content: bytes) -> None:
    _drawing(written("b.pt", content))


@target
def export(content: bytes) -> None:
    open_export(written("a.safetensors", content))


@target
def settings(content: bytes) -> None:
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(content)
        if isinstance(value, dict):
            TrainSettings.from_mapping(value)


@target
def log(content: bytes) -> None:
    path = written("log.jsonl", content)
    read_log(path)
    RunLog(path).cut_after(3)
    assert all(isinstance(record["step"], int) and record["step"] <= 3 for record in read_log(path))


@target
def lock(content: bytes) -> None:
    folder = FOLDER / "locked"
    folder.mkdir(exist_ok=True)
    (folder / ".lock").write_bytes(content)
    with held(folder):
        pass
    assert not RunFolder(folder).holds_run()


@target
def monitor_state(content: bytes) -> None:
    """The pickled part of a monitor's state, with the storages of the seed beside it; what is taken goes on."""
    folder = FOLDER / "monitor"
    folder.mkdir(exist_ok=True)
    packed, pickled = _archive_without_pickle(CORPUS / "monitor_state_file" / "two")
    state = io.BytesIO(packed)
    with zipfile.ZipFile(state, "a") as archive:
        archive.writestr(pickled, content)
    _watching(folder, state.getvalue())


@target
def monitor_state_file(content: bytes) -> None:
    folder = FOLDER / "monitor"
    folder.mkdir(exist_ok=True)
    _watching(folder, content)


def _watching(folder: Path, content: bytes) -> None:
    (folder / "state.pt").write_bytes(content)
    state, monitor = MonitorState(folder), _monitor()
    state.load(monitor)
    report = monitor.check(np.arange(12.0).reshape(6, 2))
    state.save(monitor, report)
    write_watch_page(folder / "page.html", "a", monitor.alpha, state.history, report.facts())
    again = MonitorState(folder)
    assert again.load(_monitor()) and again.history == state.history


def _monitor() -> W1Monitor:
    return W1Monitor(np.arange(24.0).reshape(12, 2) % 7, permutations=9, rows=4, projections=2, alpha=0.2)


def survives(name: str, content: bytes) -> bool:
    """Whether a reader took it; False if it refused it as it should. Anything else is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            TARGETS[name](content)
        except UserError:
            return False
    return True


def _rule_book() -> bytes:
    rows = "".join(
        f"{i % 7},{i % 7 + 1 + i % 3},{2 * (i % 7) + 1 + i % 3},{'xy'[i % 2]},{'uv'[i % 2]}\n" for i in range(40)
    )
    path = written("ruled.csv", b"a,b,c,d,e\n" + rows.encode())
    codec = open_source(str(path), schema=schema_of({"rules": ["a < b", "c = a + b", "d, e"]})).codec
    return json.dumps(codec.state()["rules"]).encode()


def seeds() -> dict[str, dict[str, bytes]]:
    """Small valid files for each reader."""
    import pyarrow
    from PIL import Image
    from pyarrow import parquet as parquet_file

    numbers = np.random.default_rng(0)
    arrays = {
        "f4": numbers.normal(size=(6, 2)).astype("f4"),
        "u1": numbers.integers(0, 256, (12, 2, 2), dtype=np.uint8),
    }
    packed = {name: _bytes(lambda file, each=each: np.save(file, each)) for name, each in arrays.items()}
    frame = pyarrow.table({"a": [1.0, 2.5, 3.0, 9.0] * 3, "b": ["x", "y", None, "x"] * 3, "c": [1, 2, 3, 4] * 3})
    plain = frame.select(["a", "c"])
    text = b"a,b,c,d\n" + b"1,x,2020-01-01,true\n2.5,y,2020-02-01,false\n3,x,,true\n4,,2021-01-01,false\n" * 3
    pixels = numbers.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    pictures = {
        suffix: _bytes(lambda file, suffix=suffix: Image.fromarray(pixels).save(file, suffix))
        for suffix in ("png", "jpeg", "webp", "bmp", "tiff", "gif")
    }
    pictures["deep"] = _bytes(lambda file: Image.fromarray(pixels[..., 0].astype(np.uint16) * 16).save(file, "png"))
    rows = [f'{{"file_name": "{number}.png", "label": {number % 2}}}' for number in range(4)]
    body = struct.pack(">HBBIII", 0, 8, 3, 12, 2, 2) + arrays["u1"].tobytes()

    def tar(file: io.BytesIO) -> None:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name in ("one.png", "two.png", "ü" * 70 + ".png"):
                member = tarfile.TarInfo(name)
                kind = "webp" if name == "two.png" else "jpeg" if name == "one.png" else "png"
                member.size = len(pictures[kind])
                archive.addfile(member, io.BytesIO(pictures[kind]))

    def zipped(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, kind in (("a/one.jpg", "jpeg"), ("two.bmp", "bmp"), ("b/three.png", "png")):
                archive.writestr(zipfile.ZipInfo(name), pictures[kind], zipfile.ZIP_DEFLATED)

    whole, opened_part, pickled, exported, described = _run_files()
    watched, watched_pickle = _monitor_files()
    workbook = _bytes(lambda file: _write_excel(frame, file))
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        cells = archive.read("xl/worksheets/sheet1.xml")
    return {
        "npy": packed,
        "npy_folder": {"f4": _bytes(lambda file: np.save(file, np.arange(6, dtype="f4").reshape(2, 3)))},
        "condition_array": {"f8": _bytes(lambda file: np.save(file, np.arange(36.0).reshape(6, 2, 3)))},
        **_grids(),
        "zip_pictures": {"three": _bytes(zipped)},
        "npz": packed,
        "npz_archive": {"two": _bytes(lambda file: np.savez(file, **arrays))},  # type: ignore[arg-type]
        "tiff": _stacks(),
        "idx": {"u1": body},
        "idx_gz": {"u1": body},
        "csv": {"kinds": text, "tabs": text.replace(b",", b"\t"), "quoted": b'a;"b ""x"""\n1;"2\n"\n3;4\n' * 4,
            "dialect": b'sep=;\r\n# by hand\r\n"a, b";"c";\r\n' + b'"1,5";"$2";\r\n"2,25";"$1,300";\r\n' * 6},
        "csv_gz": {"kinds": gzip.compress(text)},
        "long_table": {"visits": _visits()},
        "windows": {"i2": _bytes(lambda file: np.save(file, np.arange(120, dtype="i2").reshape(60, 2)))},
        "texts": {
            "money": b"$1,234.50\n-$3.00\n$0.25",
            "german": b"1.234,50\n7,00\n-3,25",
            "brackets": "(12)\n7\n12 kg\n3 \u20ac\n1e+05".encode(),
            "moments": b"2023-10-08 19:56:00+02:00\n2023-12-03 13:32:00+01:00",
            "written": b"Sun Oct  8 17:56:00 2023\nMon Oct  9 17:56:00 2023",
            "rarer": b"2023-W40-7\n5 PM\n8-Oct-23\n2023-Q4\n20240519",
        },
        "formats": {
            "weeks": b"%G-W%V-%u\n2023-W40-7\n2022-W53-1",
            "hours": b"%Y-%m-%d %I %p\n2023-10-08 05 PM",
            "locale": b"%c\nSun Oct  8 17:56:00 2023",
            "parts": b"%-d.%-m.%y %H:%M:%S%.f%:z\n8.10.23 17:56:00.5+02:00",
        },
        "rules": {
            "sums": b"total = a + b - 2 * c\nlow < high\nstart <= end - 3 days\ndays = end - start",
            "tests": b"price < 100 if class == 'eco'\nx missing if y in ['a', 'b']\nb, city\n`a b` = 1.2 * (c + 7)",
        },
        "rule_book": {"some": _rule_book()},
        "schema": {
            "all": json.dumps(
                {
                    "columns": {
                        "name": "category",
                        "age": {"kind": "number", "low": 0, "high": 9, "missing": ["?", ""]},
                        "at": {"kind": "angle", "low": 0, "high": 24},
                        "day": {"kind": "date", "format": "%Y-%m-%d"},
                    },
                    "missing": ["?", ""],
                    "delimiter": ",",
                    "encoding": "utf-8",
                }
            ).encode()
        },
        "parquet": {name: _bytes(lambda file, each=each: parquet_file.write_table(each, file))
                    for name, each in {"kinds": frame, "numbers": plain}.items()},
        "arrow": {name: _bytes(lambda file, each=each: _write_arrow(each, file))
                  for name, each in {"kinds": frame, "numbers": plain}.items()},
        "excel": {"kinds": workbook},
        "excel_sheet": {"kinds": cells},
        "picture": pictures,
        "labels_json": {
            "stylegan": b'{"labels": [["0.png", 1], ["3.png", 0], ["2.png", 1], ["1.png", 0]]}',
            "vectors": b'[["0.png", [0, 1]], ["3.png", [1, 0]], ["2.png", [1, 0]], ["1.png", [0, 1]]]',
            "names": b'{"0.png": "a", "3.png": "b", "2.png": "a", "1.png": "b"}',
        },
        "labels_jsonl": {"four": "\n".join(rows).encode()},
        "labels_csv": {"four": b"f,label\n3.png,a\n1.png,b\n0.png,b\n2.png,a\n"},
        "shard_label": {"field": b'{"a": 1, "b": [2]}', "text": b'{"a": "x"}'},
        "shard": {"three": _bytes(tar)},
        "checkpoint": {"opened": pickled},
        "checkpoint_file": {"run": whole, "opened": opened_part},
        "monitor_state": {"two": watched_pickle},
        "monitor_state_file": {"two": watched},
        "export": {"run": exported},
        "settings": {"run": described},
        "log": {"two": b'{"step": 0, "sliced_w1": 0.5}\n{"step": 4, "sliced_w1": 0.25}\n'},
        "lock": {"one": b'{"host": "a", "machine": "b", "process": 3, "since": "2026", "launch": "", "token": "x"}'},
    }  # fmt: skip


def _grids() -> dict[str, dict[str, bytes]]:
    """Fields with coordinates, packed and plain, in each format of named arrays."""
    import h5netcdf
    import h5py
    from scipy.io import netcdf_file, savemat

    fields = np.random.default_rng(0).normal(size=(8, 3, 4)).astype("f4")

    def netcdf(file: io.BytesIO) -> None:
        with h5netcdf.File(file, "w") as found:
            found.dimensions = {"time": None, "y": 3, "x": 4}
            found.resize_dimension("time", 8)
            found.create_variable("y", ("y",), data=np.arange(3.0)).attrs["units"] = "m"
            packed = {"chunks": (4, 3, 4), "compression": "gzip", "shuffle": True, "fletcher32": True}
            own = found.create_variable("u", ("time", "y", "x"), "i2", fillvalue=np.int16(-9), **packed)
            own[...] = np.rint(fields * 10).astype("i2")
            own.attrs.update({"scale_factor": 0.1, "units": "K", "coordinates": "y"})

    def hdf5(file: io.BytesIO) -> None:
        with h5py.File(file, "w") as found:
            found["g/u"] = fields
            found["names"] = np.array(["a", "b"], dtype=object)
            found["g"].attrs["k"] = 3.0

    def classic(file: io.BytesIO) -> None:
        inner = io.BytesIO()
        found = netcdf_file(inner, "w", version=2)
        for name, size in (("time", None), ("y", 3), ("x", 4)):
            found.createDimension(name, size)
        for name, scale in (("u", 10), ("v", 20)):
            own = found.createVariable(name, "i2", ("time", "y", "x"))
            own[:] = np.rint(fields * scale).astype("i2")
            own.scale_factor, own.units = 1 / scale, b"K"
        found.variables["u"].coordinates = b"v"
        found.flush()
        file.write(inner.getvalue())  # which is closed with it

    return {
        "netcdf": {"packed": _bytes(netcdf)},
        "netcdf_classic": {"records": _bytes(classic)},
        "hdf5": {"groups": _bytes(hdf5)},
        "mat": {
            "plain": _bytes(lambda file: savemat(file, {"u": fields, "note": "x"})),
            "packed": _bytes(lambda file: savemat(file, {"u": fields}, do_compression=True)),
        },
        "zarr_array": {"fields": json.dumps(_zarr_array()).encode()},
        "zarr_json": {"fields": json.dumps(_zarr_json()).encode()},
        "zarr_chunk": {"zlib": zlib.compress(fields.tobytes())},
    }


def _stacks() -> dict[str, bytes]:
    """Volumes of six pages: grey levels, two phases, floats packed."""
    from PIL import Image

    def stack(pages: Any, **more: Any) -> bytes:
        first, *rest = (Image.fromarray(page) for page in pages)
        return _bytes(lambda file: first.save(file, "TIFF", save_all=True, append_images=rest, **more))

    grey = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    return {
        "u1": stack(grey),
        "u2": stack(grey.astype(np.uint16) * 200),
        "bool": stack(grey > 99),
        "f4": stack(grey.astype(np.float32) / 3, compression="tiff_adobe_deflate"),
    }


def _visits() -> bytes:
    """Twelve series of two to four steps, with a static column, levels and a missing cell."""
    rows = [
        f"p{each},2024-01-0{1 + step},{'fm'[each % 2]},{each + step / 2},{'' if each == step else 'xyz'[step % 3]}"
        for each in range(12)
        for step in range(2 + each % 3)
    ]
    return "\n".join(["id,t,sex,pulse,ward", *rows, ""]).encode()


def _bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _write_arrow(table: Any, file: io.BytesIO) -> None:
    import pyarrow

    with pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _write_excel(table: Any, file: io.BytesIO) -> None:
    import datetime

    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append([*table.column_names, "day", "sure", "clock"])
    for number, row in enumerate(table.to_pylist()):
        moment = datetime.datetime(2020, 1, 1 + number, 7)
        sheet.append([*row.values(), moment, number % 2 == 0, moment.time()])
    book.save(file)


def _monitor_files() -> tuple[bytes, bytes]:
    """The state of a monitor after two batches, and its pickle."""
    folder = FOLDER / "seed"
    folder.mkdir()
    monitor, state = _monitor(), MonitorState(folder)
    for batch in (0.0, 3.0):
        state.save(monitor, monitor.check(np.arange(12.0).reshape(6, 2) + batch))
    with zipfile.ZipFile(state.path) as archive:
        pickled = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    return state.path.read_bytes(), pickled


def _run_files() -> tuple[bytes, ...]:
    """A checkpoint; the part of one that its generator is opened from, and its pickle; an export; settings."""
    from wassergan import export_run
    from wassergan.runs.train import train_run

    np.save(FOLDER / "points.npy", np.random.default_rng(0).normal(size=(40, 2)).astype("f4"))
    os.chdir(FOLDER)  # no path of this machine gets into the seeds
    tiny = TrainSettings(
        data="points.npy", steps=1, latent_dim=2, generator_widths=(2,), critic_widths=(2,), batch_size=4,
        critic_steps=1, tensorboard=False, previews=False,
    )  # fmt: skip
    train_run(tiny, FOLDER / "run")
    latest = FOLDER / "run" / "checkpoints" / "latest.pt"
    content = load_checkpoint(latest)
    content["settings"]["data"] = "points.npy"
    save_checkpoint(latest, content)
    kept = {key: content[key] for key in ("settings", "shape", "kind", "codec", "conditions", "fingerprint", "best")}
    save_checkpoint(
        FOLDER / "part.pt", kept | {"trainer": {key: content["trainer"][key] for key in ("average", "critic")}}
    )
    with zipfile.ZipFile(FOLDER / "part.pt") as archive:
        pickled = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    export_run(FOLDER / "run", FOLDER / "run.safetensors", format_name="safetensors", checkpoint="latest")
    files = ("run.safetensors", "run/settings.json")
    return (
        latest.read_bytes(),
        (FOLDER / "part.pt").read_bytes(),
        pickled,
        *((FOLDER / each).read_bytes() for each in files),
    )


def main() -> None:
    name = sys.argv[1]
    if name == "--seeds":
        for reader, files in seeds().items():
            (CORPUS / reader).mkdir(parents=True, exist_ok=True)
            for file, content in files.items():
                (CORPUS / reader / file).write_bytes(content)
    elif "--replay" in sys.argv:
        for path in map(Path, sys.argv[3:]):
            print(path, "taken" if survives(name, path.read_bytes()) else "refused")
    else:
        images.ThreadPoolExecutor = InLine  # type: ignore[attr-defined]
        argv = [sys.argv[0], *sys.argv[2:], str(CORPUS / name)]
        atheris.Setup(argv, lambda content: survives(name, content) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(FOLDER)
