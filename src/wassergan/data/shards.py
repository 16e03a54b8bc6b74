"""Tar shards of pictures, as WebDataset writes them: indexed once, members read where they lie, nothing unpacked."""

import io
import os
import tarfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wassergan.data.folders import PICTURE_SUFFIXES
from wassergan.data.images import ImageOptions, picture_source
from wassergan.data.source import Source
from wassergan.errors import UserError

LARGEST_MEMBER_BYTES = 2**28
LONGEST_EXTENSION_BYTES = 2**20
_PICTURES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_ENDINGS = tuple(PICTURE_SUFFIXES)
_KEEP_NAME = (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK)


def shard_source(
    paths: Sequence[Path], name: str, options: ImageOptions, *, report: Callable[[str], None] = lambda message: None
) -> Source:
    """The PNG, JPEG and WebP members of tar files. User units: uint8, (n, H, W) grey or (n, H, W, 3).

    Members of other kinds (labels, captions) are passed over.

    Args:
        paths: the shards.
        name: what to call them.
        options: as for a folder of pictures.
        report: told how many pictures there are, and what was decided or skipped.

    Raises:
        UserError: a shard is damaged or hostile, there are no pictures, or as a folder of pictures raises.
    """
    pictures = index_shards(paths)
    if not len(pictures):
        raise UserError(f"No PNG, JPEG or WebP pictures in {name}", found=f"{len(paths)} tar files")
    report(f"Found {len(pictures)} pictures in {len(paths)} tar files.")
    return picture_source(pictures, name, options, report=report)


@dataclass(frozen=True)
class ShardMember:
    """A picture in a tar file: `size` bytes from `offset`."""

    path: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.name!r} in {self.path}"

    @property
    def parent(self) -> Path:
        """The tar file."""
        return self.path

    def open(self) -> BinaryIO:
        """Its bytes, as a file."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise OSError(f"{self.path} became shorter while it was read")
        return io.BytesIO(content)


class ShardPictures:
    """Where each picture of some tar files lies: 32 bytes and a name for each.

    Args:
        paths: the tar files.
        places: (n, 3) which of them, the first byte and the number of bytes of each picture.
        names: names, UTF-8, end to end.
        ends: (n,) where each name ends.
        chosen: (k,) which of the n; all unless given.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        places: NDArray[np.int64],
        names: bytes,
        ends: NDArray[np.int64],
        chosen: NDArray[np.int64] | None = None,
    ) -> None:
        self._paths, self._places, self._names, self._ends = paths, places, names, ends
        self._chosen = np.arange(len(places)) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, place: int, /) -> ShardMember:
        row = int(self._chosen[place])
        start = int(self._ends[row - 1]) if row else 0
        name = self._names[start : int(self._ends[row])].decode("utf-8", "surrogateescape")
        shard, offset, size = self._places[row].tolist()
        return ShardMember(self._paths[shard], name, offset, size)

    def __iter__(self) -> Iterator[ShardMember]:
        return (self[place] for place in range(len(self)))

    def subset(self, places: NDArray[np.int64]) -> "ShardPictures":
        """The pictures at some places (k,)."""
        return ShardPictures(self._paths, self._places, self._names, self._ends, self._chosen[places].astype(np.int64))


def index_shards(paths: Sequence[Path]) -> ShardPictures:
    """Find the pictures in tar files by their headers alone, in the order of the files and of their members.

    Raises:
        UserError: a file cannot be read, is no tar file, is damaged, or holds a name or a size that none should have.
    """
    places, ends, names = array("q"), array("q"), bytearray()
    for number, path in enumerate(paths):
        for name, offset, size in _picture_members(path):
            places.extend((number, offset, size))
            names += name.encode("utf-8", "surrogateescape")
            ends.append(len(names))
    return ShardPictures(list(paths), np.array(places, np.int64).reshape(-1, 3), bytes(names), np.array(ends, np.int64))


def _picture_members(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, first byte and size of each picture in a tar file."""
    for name, offset, size in _members(path):
        if not name.lower().endswith(_ENDINGS):
            continue
        parts = name.split("/")
        if parts[-1].startswith("."):
            continue
        if parts[0] == "" or ".." in parts or "\0" in name:
            raise UserError(
                f"{path} holds a name that no picture should have", found=repr(name), mend="do not trust this file"
            )
        if size > LARGEST_MEMBER_BYTES:
            raise UserError(f"A picture in {path} is too large", found=f"{name!r} has {size} bytes")
        yield name, offset, size


def _members(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, first byte and size of each regular member; read header by header, since the shards may be large."""
    try:
        with path.open("rb", buffering=0) as file:
            total = os.fstat(file.fileno()).st_size
            place, name, length = 0, "", None
            while block := os.pread(file.fileno(), tarfile.BLOCKSIZE, place):
                if not block.strip(b"\0"):
                    return
                kind, own_name, size = _header(block)
                start = place + tarfile.BLOCKSIZE
                extends = kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)
                size = size if extends or length is None else length
                if size < 0 or start + size > total or (extends and size > LONGEST_EXTENSION_BYTES):
                    raise UserError(f"{path} is damaged or cut short", found=f"the header at byte {place}")
                if extends:
                    name, length = _extension(kind, os.pread(file.fileno(), size, start), name, length)
                elif kind not in _KEEP_NAME:
                    if kind in _PICTURES:
                        yield name or own_name, start, size
                    name, length = "", None
                place = start + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    except (OSError, tarfile.TarError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be read as a tar file", found=str(error), mend="write it again") from error


def _header(block: bytes) -> tuple[bytes, str, int]:
    """Kind, name and size of a header; `tarfile` knows more of them, and takes ten times as long.

    Raises:
        ValueError: it is no header.
    """
    if len(block) < tarfile.BLOCKSIZE or sum(block) - sum(block[148:156]) + 256 != _octal(block[148:156]):
        raise ValueError("a header does not add up")
    # Sizes over 8 GiB stand in binary, marked by the first bit.
    size = int.from_bytes(block[125:136], "big") if block[124] == 0x80 else _octal(block[124:136])
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    full = prefix + b"/" + name if prefix else name
    return block[156:157], full.decode("utf-8", "surrogateescape"), size


def _octal(field: bytes) -> int:
    return int(field.strip(b" \0") or b"0", 8)


def _extension(kind: bytes, content: bytes, name: str, length: int | None) -> tuple[str, int | None]:
    """The name and the size that an extended header gives to the member after it."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return content.split(b"\0")[0].decode("utf-8", "surrogateescape"), length
    while content:  # records of "length keyword=value\n", the length counting itself (POSIX.1-2001, pax)
        digits = content.split(b" ", 1)[0]
        record = content[: int(digits)]
        if len(record) != int(digits) or not record.endswith(b"\n"):
            raise ValueError("an extended header does not add up")
        keyword, _, value = record[len(digits) + 1 : -1].partition(b"=")
        if keyword == b"path":
            name = value.decode("utf-8", "surrogateescape")
        elif keyword == b"size":
            length = int(value)
        content = content[len(record) :]
    return name, length
