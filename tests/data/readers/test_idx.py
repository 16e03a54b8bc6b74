import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from wassergan.data import open_source
from wassergan.data.readers.idx import is_idx, read_idx
from wassergan.errors import UserError

# Type byte and struct code, from the format's own note.
TYPES = {0x08: "B", 0x09: "b", 0x0B: "h", 0x0C: "i", 0x0D: "f", 0x0E: "d"}


def idx_bytes(code: int, shape: tuple[int, ...], values: list[float]) -> bytes:
    header = struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)
    return header + struct.pack(f">{len(values)}{TYPES[code]}", *values)


def picture_file(path: Path, *, count: int = 30) -> bytes:
    levels = np.random.default_rng(0).integers(0, 256, (count, 4, 5))
    content = idx_bytes(0x08, (count, 4, 5), levels.flatten().tolist())  # type: ignore[arg-type]
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return content


@pytest.mark.parametrize("code", TYPES)
@pytest.mark.parametrize("name", ["a-idx2-x", "a.idx", "a-idx2-x.gz"])
def test_every_type_plain_and_gzipped(tmp_path: Path, code: int, name: str) -> None:
    path = tmp_path / name
    content = idx_bytes(code, (2, 3), [1, 2, 3, 4, 5, 100])
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    array = read_idx(path)
    assert array.tolist() == [[1, 2, 3], [4, 5, 100]]
    assert array.dtype.isnative and array.dtype.itemsize == struct.calcsize(TYPES[code])


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "pictures.idx"])
def test_pictures_open_by_their_name(tmp_path: Path, name: str) -> None:
    picture_file(tmp_path / name)
    source = open_source(tmp_path / name)
    assert (source.kind, source.shape, len(source)) == ("image", (1, 4, 5), 30)


def test_other_names_are_no_idx() -> None:
    assert not is_idx(Path("a.npy")) and not is_idx(Path("idx.txt"))


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", b"\x89PNG1234", b"\0\0\x07\x01\0\0\0\0", b"\0\0\x08\x00", b"\0\1\x08\x01"]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.idx"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not an IDX file: it starts with b"):
        read_idx(path)


def test_a_file_without_values_is_refused_whatever_its_other_sizes(tmp_path: Path) -> None:
    for number, shape in enumerate([(0,), (3_675_667_019, 4_185_512_224, 0)]):
        path = tmp_path / f"{number}.idx"
        path.write_bytes(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
        with pytest.raises(UserError, match="holds no values"):
            read_idx(path)


def test_a_file_that_ends_inside_its_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.idx"
    path.write_bytes(b"\0\0\x08\x03\0\0\0\x05")
    with pytest.raises(UserError, match="ends inside its header"):
        read_idx(path)


@pytest.mark.parametrize(("change", "found"), [(-1, "only 599"), (1, "there are more")])
def test_truncated_and_too_long_files_are_refused(tmp_path: Path, change: int, found: str) -> None:
    path = tmp_path / "a.idx"
    content = picture_file(path)
    path.write_bytes(content[:-1] if change < 0 else content + b"\0")
    with pytest.raises(UserError, match=rf"shape \(30, 4, 5\) needs 600 bytes, there are .*{found.split()[-1]}"):
        read_idx(path)


@pytest.mark.parametrize("keep", [3, 15, 100])
def test_a_truncated_gzip_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a-idx3-ubyte.gz"
    picture_file(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="cannot be read"):
        read_idx(path)


def test_a_damaged_gzip_is_refused_whatever_byte_is_hit(tmp_path: Path) -> None:
    path = tmp_path / "a-idx3-ubyte.gz"
    content = picture_file(path)
    good, whole = path.read_bytes(), read_idx(path)
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        try:  # a few header bytes of gzip (time, name) carry nothing
            assert np.array_equal(read_idx(path), whole)
        except UserError:
            pass
    assert len(content) == 616


@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_a_header_that_promises_more_than_a_machine_holds_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for rank in (2, 4, 255):
        content = struct.pack(f">BBBB{rank}I", 0, 0, 8, rank, *[2**32 - 1] * rank)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        with pytest.raises(UserError):
            read_idx(path)


def test_fashion_mnist_reads_as_published(shared_data: Path) -> None:
    source = open_source(shared_data / "fashion_mnist" / "t10k-images-idx3-ubyte.gz")
    assert (len(source), source.shape, source.kind) == (10000, (1, 28, 28), "image")


@pytest.mark.parametrize("code", [0x08, 0x0D])
def test_what_is_unpacked_is_held_once(tmp_path: Path, code: int) -> None:
    import tracemalloc

    content = struct.pack(">BBBBI", 0, 0, code, 1, 2**23 // struct.calcsize(TYPES[code])) + bytes(range(256)) * 2**15
    (tmp_path / "a.idx.gz").write_bytes(gzip.compress(content, 1))
    tracemalloc.start()
    try:
        assert read_idx(tmp_path / "a.idx.gz").nbytes == 2**23
        assert tracemalloc.get_traced_memory()[1] < 1.4 * 2**23
    finally:
        tracemalloc.stop()
