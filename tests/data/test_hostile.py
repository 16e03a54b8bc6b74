"""Files from strangers: none runs code, writes outside, or fills the memory; each is refused in a sentence."""

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from wassergan.data import open_source
from wassergan.data.readers import limits
from wassergan.errors import UserError
from wassergan.report.page import _copies
from wassergan.runs.export import open_export
from wassergan.session.restore import open_sampler
from wassergan.storage import memory
from wassergan.storage.checkpoint import load_checkpoint

MIB = 2**20


class Hostile:
    """Unpickling it would make the folder that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (os.mkdir, (str(self.path),))


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, "16")


def npy_header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def with_pickled_type(mark: Path) -> pyarrow.Table:
    """What older releases of pyarrow would unpickle to learn the type of a column."""
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Hostile(mark)),
    }
    field = pyarrow.field("a", pyarrow.float64(), metadata=metadata)
    return pyarrow.table([pyarrow.array(np.arange(30.0))], schema=pyarrow.schema([field]))


def arrow_file(table: pyarrow.Table, path: Path) -> None:
    with pyarrow.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


def pickles(folder: Path, mark: Path) -> dict[str, Path]:
    objects = np.array([Hostile(mark)] * 30, dtype=object)
    paths = {name: folder / f"a.{name}" for name in ("npy", "npz", "parquet", "arrow", "csv", "tar")}
    np.save(paths["npy"], objects, allow_pickle=True)
    np.savez(paths["npz"], a=objects)
    parquet.write_table(with_pickled_type(mark), paths["parquet"])
    arrow_file(with_pickled_type(mark), paths["arrow"])
    paths["csv"].write_bytes(pickle.dumps(Hostile(mark)))
    paths["tar"].write_bytes(pickle.dumps(Hostile(mark)))
    for name in ("x-ubyte", "y.npy", "z.npz"):
        paths[name] = folder / name
        paths[name].write_bytes(pickle.dumps(Hostile(mark)))
    return paths


# pyarrow below 21 warns that it runs none.
@pytest.mark.filterwarnings("ignore:pyarrow.PyExtensionType is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:pickle-based deserialization:RuntimeWarning")
@pytest.mark.parametrize("kind", ["npy", "npz", "parquet", "arrow", "csv", "tar", "x-ubyte", "y.npy", "z.npz"])
def test_no_pickle_in_any_format_is_run(tmp_path: Path, kind: str) -> None:
    mark = tmp_path / "ran"
    path = pickles(tmp_path, mark)[kind]
    knows_label = kind in ("parquet", "arrow") and hasattr(pytest.importorskip("pyarrow"), "PyExtensionType")
    if kind in ("parquet", "arrow") and not knows_label:  # a strange label: taken for the numbers that they are
        assert open_source(str(path)).train_count == 27
    else:
        with pytest.raises(UserError):
            open_source(str(path))
    assert not mark.exists()


BOMBS: dict[str, Callable[[], bytes]] = {
    "header.npy": lambda: npy_header((10**9,)),
    "overflow.npy": lambda: npy_header((2**62, 2**62)),
    "zeros.npz": lambda: zipped({"a.npy": npy_header((17 * MIB // 8,)) + bytes(17 * MIB)}),
    "promise.npz": lambda: zipped({"a.npy": npy_header((10**9,)) + bytes(99)}),
    "second.npz": lambda: zipped({"a.npy": npy_header((4,)) + bytes(32), "b.npy": npy_header((10**9,))}),
    "zeros-ubyte.gz": lambda: gzip.compress(struct.pack(">HBBII", 0, 8, 2, 17, MIB) + bytes(17 * MIB), 1),
    "promise-ubyte.gz": lambda: gzip.compress(struct.pack(">HBBIII", 0, 8, 3, 60000, 28000, 28000)),
    "promise-ubyte": lambda: struct.pack(">HBBIII", 0, 8, 3, 60000, 28000, 28000),
    "axes-ubyte": lambda: struct.pack(">HBB", 0, 8, 255) + struct.pack(">I", 1) * 255 + b"\1",
    "lines.csv.gz": lambda: gzip.compress(b"a,b\n" + (b"1," + b"2" * 61 + b"\n") * (17 * MIB // 64), 1),
    "field.csv": lambda: b"a,b\n1," + b"2" * (2 * MIB),
    "columns.csv": lambda: b",".join(b"c%d" % i for i in range(20_000)) + b"\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(BOMBS[name]())
    with pytest.raises(UserError):
        open_source(str(tmp_path / name))


def test_the_limit_is_told_and_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(17 * MIB // 8, dtype=np.float64))
    with pytest.raises(
        UserError, match=r"would fill too much memory: 17,825,\d+ bytes.*set WASSERGAN_LARGEST_MIB to 18"
    ):
        open_source(str(path))
    monkeypatch.setenv(memory.VARIABLE, "18")
    assert len(open_source(str(path))) == 17 * MIB // 8
    monkeypatch.setenv(memory.VARIABLE, "much")
    with pytest.raises(UserError, match="WASSERGAN_LARGEST_MIB must be a whole number of MiB: 'much'"):
        open_source(str(path))
    monkeypatch.delenv(memory.VARIABLE)
    assert memory.largest_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@pytest.mark.parametrize("where", ["folder", "shard"])
def test_a_picture_of_ten_thousand_million_pixels_is_refused_by_its_header(tmp_path: Path, where: str) -> None:
    content = png_header(100_000, 100_000)
    if where == "folder":
        (tmp_path / "a.png").write_bytes(content)
        data = tmp_path
    else:
        data = tmp_path / "a.tar"
        with tarfile.open(data, "w") as archive:
            member = tarfile.TarInfo("a.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(UserError, match="cannot be read.*pixels"):
        open_source(str(data))


def test_the_limit_of_pictures_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"allowed are 349,525.*set WASSERGAN_LARGEST_MIB to 4578"):
        limits.require_pixels(10_000, 10_000)
    monkeypatch.setenv(memory.VARIABLE, "4578")
    limits.require_pixels(10_000, 10_000)


@pytest.mark.parametrize("kind", ["EPS", "PPM", "ICO", "PCX", "TGA"])
def test_what_only_calls_itself_a_picture_is_not_decoded_as_what_it_is(tmp_path: Path, kind: str) -> None:
    for name in ("a.png", "b.png", "c.png"):  # Pillow hands EPS to Ghostscript, which runs programs
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name, kind)
    with pytest.raises(UserError, match="cannot be read"):
        open_source(str(tmp_path), heldout=0.4)


def test_a_deep_schema_and_one_of_strange_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    for content in ("[" * 100_000, '{"columns": ' * 50_000, '{"columns": {"a": {"kind": "number", "low": 1e999}}}',
                    '{"columns": {"a": {"kind": "number", "low": NaN}}}', '{"encoding": "a\\u0000b"}',
                    '{"columns": {"a": {"kind": "number", "high": 1' + "0" * 400 + "}}}", " " * 2**25):  # fmt: skip
        (tmp_path / "schema.json").write_text(content)
        with pytest.raises(UserError):
            open_source(str(tmp_path / "a.csv"), schema=tmp_path / "schema.json", heldout=0.4)


def test_a_damaged_arrow_file_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    arrow_file(pyarrow.table({"a": ["one", "two", "three"] * 5, "b": list(range(15))}), path)
    whole = path.read_bytes()
    offsets = np.cumsum([0] + [3, 3, 5] * 5).astype("<i4").tobytes()
    assert whole.count(offsets) == 1
    wrong = np.frombuffer(offsets, "<i4").copy()
    wrong[7] = 2**30
    path.write_bytes(whole.replace(offsets, wrong.tobytes()))
    with pytest.raises(UserError, match="cannot be read as an Arrow"):
        open_source(str(path))


def checkpoint_with(finished_run: Path, path: Path, **changes: object) -> Path:
    content = load_checkpoint(finished_run / "checkpoints" / "latest.pt")
    content["settings"] |= changes
    (path / "checkpoints").mkdir(parents=True)
    torch.save(content, path / "checkpoints" / "latest.pt")
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"generator_widths": (10**9,)},
        {"critic_widths": (8, 10**7, 10**7)},
        {"latent_dim": 10**12},
        {"latent_dim": "3"},
        {"generator_widths": "8"},
        {"network": "conv", "maps": 10**6},
        {"network": 3},
    ],
)
def test_a_checkpoint_whose_settings_do_not_fit_its_weights_is_refused(
    tmp_path: Path, finished_run: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(UserError):
        open_sampler(checkpoint_with(finished_run, tmp_path / "run", **changes), device="cpu")


def test_a_compressed_checkpoint_is_refused_unread(tmp_path: Path, finished_run: Path) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(finished_run / "checkpoints" / "latest.pt") as archive:
        path.write_bytes(zipped({name: archive.read(name) for name in archive.namelist()}))
    with pytest.raises(UserError, match="is compressed, as none is"):
        load_checkpoint(path)


def test_an_export_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for text in ("[" * 100_000, "3", "{}", json.dumps({"version": 1, "settings": {"nonsense": 1}})):
        save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors", metadata={"wassergan": text})
        with pytest.raises(UserError):
            open_export(tmp_path / "a.safetensors")


def test_a_page_embeds_nothing_from_outside_its_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "evaluation").mkdir(parents=True)
    for place in (tmp_path / "secret.png", tmp_path / "secret.txt", run / "evaluation" / "near.png", run / "key.txt"):
        place.write_bytes(b"\x89PNG\r\n\x1a\n")
    (run / "link.png").symlink_to(tmp_path / "secret.png")
    for outside in ("../secret.png", "../secret.txt", str(tmp_path / "secret.png"), "key.txt", "link.png"):
        assert _copies({"memorisation": {"picture": outside}}, run) is None
    assert _copies({"memorisation": {"picture": "evaluation/near.png"}}, run)


@pytest.mark.parametrize("place", ["a folder", "a shard"])
def test_the_file_of_a_picture_is_bounded_wherever_it_lies(tmp_path: Path, place: str) -> None:
    # A private chunk of 3 MiB behind 64 pixels: of such files four threads hold a copy or two each.
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG")
    chunk = b"prVt" + bytes(3 * MIB)
    long = struct.pack(">I", 3 * MIB) + chunk + struct.pack(">I", zlib.crc32(chunk))
    content = file.getvalue()[:-12] + long + file.getvalue()[-12:]
    path = tmp_path / ("pictures" if place == "a folder" else "a.tar")
    if place == "a folder":
        path.mkdir()
        for number in range(9):
            (path / f"{number}.png").write_bytes(content)
    else:
        with tarfile.open(path, "w") as archive:
            for number in range(9):
                member = tarfile.TarInfo(f"{number}.png")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    with pytest.raises(UserError, match=r"its file has 3,145,\d+ bytes, allowed are 2,097,152; if you trust it, set"):
        open_source(path)
