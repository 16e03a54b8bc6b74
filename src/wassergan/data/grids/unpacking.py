"""Packed bytes of one chunk, unpacked to as many bytes as the chunk has and never more."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.errors import UserError

EXTRA = "install it: pip install 'wassergan[zarr]'"
BLOSC_HEADER = 16  # bytes; the number of unpacked ones stands in four of them from the fourth on
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MOD = 65535


class DamagedChunkError(ValueError):
    """The bytes of a chunk are not what its header says."""


def unzlib(packed: bytes, size: int) -> bytes:
    """A zlib stream of `size` bytes."""
    return _bounded(zlib.decompressobj(), packed, size)


def ungzip(packed: bytes, size: int) -> bytes:
    """A gzip member of `size` bytes."""
    return _bounded(zlib.decompressobj(31), packed, size)


def unbz2(packed: bytes, size: int) -> bytes:
    """A bzip2 stream of `size` bytes."""
    return _bounded(bz2.BZ2Decompressor(), packed, size)


def unlzma(packed: bytes, size: int) -> bytes:
    """An xz stream of `size` bytes; what its dictionary takes is bounded, too."""
    return _bounded(lzma.LZMADecompressor(memlimit=2**27), packed, size)


def _bounded(unpacker: Any, packed: bytes, size: int) -> bytes:
    found: bytes = unpacker.decompress(packed, size + 1)
    return _of_size(found, size)


def _of_size(found: bytes, size: int) -> bytes:
    if len(found) != size:
        raise DamagedChunkError(f"a chunk unpacks to {'more than' if len(found) > size else len(found)} {size} bytes")
    return found


def unzstd(packed: bytes, size: int) -> bytes:
    """A Zstandard frame of `size` bytes, which its header must tell.

    Raises:
        UserError: no unpacker is installed.
    """
    told = _zstd_size(packed)
    if told is not None and told != size:
        raise DamagedChunkError(f"a chunk of {told} bytes where {size} belong")
    if told is None and len(packed) * 2000 < size:
        raise DamagedChunkError("a Zstandard frame that does not tell its size")
    return _of_size(bytes(_numcodecs("zstd").decompress(packed, np.empty(size, np.uint8))), size)


def _zstd_size(packed: bytes) -> int | None:
    """How many bytes a frame says that it unpacks to."""
    if packed[:4] != ZSTD_MAGIC or len(packed) < 6:
        raise DamagedChunkError("no Zstandard frame")
    flags = packed[4]
    single, width = bool(flags & 32), flags >> 6
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
    length = (1 if single else 0, 2, 4, 8)[width]
    if length == 0:
        return None
    return int.from_bytes(packed[start : start + length], "little") + (256 if length == 2 else 0)


def unblosc(packed: bytes, size: int) -> bytes:
    """A Blosc buffer of `size` bytes, which its header must tell.

    Raises:
        UserError: no unpacker is installed.
    """
    if len(packed) < BLOSC_HEADER:
        raise DamagedChunkError("no Blosc buffer")
    told, held = (int.from_bytes(packed[at : at + 4], "little") for at in (4, 12))
    if told != size or held != len(packed):
        raise DamagedChunkError(f"a Blosc buffer of {told} bytes where {size} belong")
    return _of_size(bytes(_numcodecs("blosc").decompress(packed)), size)


def unlz4(packed: bytes, size: int) -> bytes:
    """An LZ4 block of `size` bytes behind four bytes that tell it.

    Raises:
        UserError: no unpacker is installed.
    """
    if int.from_bytes(packed[:4], "little") != size:
        raise DamagedChunkError("an LZ4 block of another size")
    return _of_size(bytes(_numcodecs("lz4").decompress(packed)), size)


def _numcodecs(name: str) -> Any:
    try:
        from importlib import import_module

        return import_module(f"numcodecs.{name}")
    except ImportError as error:
        raise UserError(f"Chunks packed with {name} need numcodecs, which is not installed", hint=EXTRA) from error


def unshuffle(content: bytes, width: int) -> bytes:
    """The bytes of numbers of a width in their places again; a rest that is no number stays behind them."""
    count = len(content) // width
    whole = np.frombuffer(content, np.uint8, count * width).reshape(width, count).T
    return np.ascontiguousarray(whole).tobytes() + content[count * width :]


def without_fletcher32(content: bytes) -> bytes:
    """The bytes before HDF5's checksum, which must be theirs."""
    body, told = content[:-4], int.from_bytes(content[-4:], "little")
    words: NDArray[np.int64] = np.frombuffer(body[: len(body) // 2 * 2], ">u2").astype(np.int64)
    if len(body) % 2:
        words = np.append(words, body[-1] << 8)
    first = int(words.sum()) % _MOD
    second = int((words * (np.arange(len(words), 0, -1) % _MOD)).sum()) % _MOD
    if (told & 0xFFFF) % _MOD != first or (told >> 16) % _MOD != second:
        raise DamagedChunkError("a checksum that is not that of its chunk")
    return body


def without_crc32c(content: bytes) -> bytes:
    """The bytes before a CRC-32C, which must be theirs."""
    body, told = content[:-4], int.from_bytes(content[-4:], "little")
    if len(content) < 4 or crc32c(body) != told:
        raise DamagedChunkError("a checksum that is not that of its chunk")
    return body


def _crc32c_table() -> list[int]:
    found = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return found


_CRC32C = _crc32c_table()


def crc32c(content: bytes) -> int:
    """Castagnoli's checksum; byte by byte, which is enough for the index of a shard."""
    value = 0xFFFFFFFF
    for byte in content:
        value = value >> 8 ^ _CRC32C[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "zlib": unzlib,
    "gzip": ungzip,
    "bz2": unbz2,
    "lzma": unlzma,
    "zstd": unzstd,
    "blosc": unblosc,
    "lz4": unlz4,
}
