"""Tar shards of pictures, as WebDataset writes them, and zip files: indexed once, members read where they lie."""

import io
import os
import tarfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wassergan.data.naming import FOLDER, TableBeside
from wassergan.data.readers.decoding import FORMATS_TOLD
from wassergan.data.readers.images import ImageOptions, picture_source
from wassergan.data.readers.marks import FileMark, reading_marked
from wassergan.data.readers.paths import PICTURE_SUFFIXES
from wassergan.data.readers.tree import HIDDEN, SPECIAL, SYSTEM, PassedOver, is_hidden, is_left_by_system
from wassergan.data.readers.zips import SUFFIX, unzipped, zip_members
from wassergan.data.records import parsed_object
from wassergan.data.source import Source
from wassergan.errors import UserError, encodable

LARGEST_MEMBER_BYTES = 2**28
LARGEST_LABEL_BYTES = 2**20
LONGEST_EXTENSION_BYTES = 2**20
LABEL, CLASS, FIELDS = "label", "cls", "json"  # a condition, and suffixes of WebDataset
_PICTURES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_ENDINGS = tuple(PICTURE_SUFFIXES)
_KEEP_NAME = (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK)


def shard_source(
    paths: Sequence[Path], name: str, options: ImageOptions, *, log: Callable[[str], None] = lambda message: None
) -> Source:
    """The pictures in tar and zip files. User units: uint8 or uint16, (n, H, W) grey or (n, H, W, 3).

    Members of other kinds are labels of the picture of the same key, as far as a condition asks for them.

    Args:
        paths: the shards.
        name: what to call them.
        options: as for a folder of pictures.
        log: receives how many pictures there are, and what was decided or skipped.

    Raises:
        UserError: a shard is damaged or hostile, there are no pictures, or as a folder of pictures raises.
    """
    passed = PassedOver()
    pictures, beside = index_shards(paths, passed)
    if not len(pictures):
        raise UserError(f"No pictures ({FORMATS_TOLD}) in {name}", found=f"{len(paths)} {_kind(paths)} files")
    log(f"Found {len(pictures)} pictures in {len(paths)} {_kind(paths)} file{'' if len(paths) == 1 else 's'}.")
    _tell_several(pictures, log)
    source = picture_source(pictures, name, options, log=log)
    return replace(source, names=MemberNames(pictures, beside, source.reader.rows, passed))


def is_zip(path: Path) -> bool:
    """Whether the name is that of a zip file."""
    return path.suffix.lower() == SUFFIX


def _kind(paths: Sequence[Path]) -> str:
    return " and ".join(sorted({path.suffix.lower().removeprefix(".") for path in paths}))


def _tell_several(pictures: "ShardPictures", log: Callable[[str], None]) -> None:
    """Say where samples hold several pictures, such as a photograph and a mask: all of them are learnt."""
    keys = np.fromiter((hash(member.key) for member in pictures), np.int64, len(pictures))
    if len(np.unique(keys)) < len(pictures):
        suffixes = Counter(member.suffix for member in pictures)
        kinds = ", ".join(f"{count} of .{suffix}" for suffix, count in sorted(suffixes.items()))
        log(f"Some samples hold several pictures ({kinds}): each is a picture of its own.")


@dataclass(frozen=True)
class ShardMember:
    """A picture in a tar file, `size` bytes from `offset`; or in a zip file, where its header begins there."""

    mark: FileMark
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.name!r} in {self.path}"

    @property
    def path(self) -> Path:
        """The tar file."""
        return self.mark.path

    @property
    def parent(self) -> Path:
        """The same."""
        return self.path

    @property
    def key(self) -> tuple[Path, str]:
        """What members of one sample share: the path up to the first dot of the last name, as in WebDataset."""
        above, _, last = self.name.rpartition("/")
        return self.path, f"{above}/{last.split('.', 1)[0]}"

    @property
    def suffix(self) -> str:
        """All behind the first dot of the last name, in lower case."""
        return self.name.rpartition("/")[2].partition(".")[2].lower()

    def stream(self) -> BinaryIO:
        """Its bytes, as a file.

        Raises:
            DataChangedError: the tar file is no longer the one that was indexed.
        """
        with reading_marked(self.mark) as file:
            if is_zip(self.path):
                return io.BytesIO(unzipped(self.mark, file, self.offset, self.size))
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise self.mark.changed("it became shorter")
        return io.BytesIO(content)


class ShardPictures:
    """Where each picture of some tar files lies: 32 bytes and a name for each.

    Args:
        marks: the tar files.
        places: (n, 3) which of them, the first byte and the number of bytes of each picture.
        names: names, UTF-8, end to end.
        ends: (n,) where each name ends.
        chosen: (k,) which of the n; all unless given.
    """

    def __init__(
        self,
        marks: Sequence[FileMark],
        places: NDArray[np.int64],
        names: bytes,
        ends: NDArray[np.int64],
        chosen: NDArray[np.int64] | None = None,
    ) -> None:
        self.marks, self._places, self._names, self._ends = marks, places, names, ends
        self._chosen = np.arange(len(places)) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, position: int, /) -> ShardMember:
        row = int(self._chosen[position])
        start = int(self._ends[row - 1]) if row else 0
        name = self._names[start : int(self._ends[row])].decode("utf-8", "surrogateescape")
        shard, offset, size = self._places[row].tolist()
        return ShardMember(self.marks[shard], name, offset, size)

    def __iter__(self) -> Iterator[ShardMember]:
        return (self[offset] for offset in range(len(self)))

    @property
    def places(self) -> NDArray[np.int64]:
        """(n,) of which of all that were found each is."""
        return self._chosen

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n,) bytes that each has in its file."""
        sizes: NDArray[np.int64] = self._places[self._chosen, 2]
        return sizes

    def everything(self) -> "ShardPictures":
        """All that were found, those left out too."""
        return ShardPictures(self.marks, self._places, self._names, self._ends)

    def subset(self, places: NDArray[np.int64]) -> "ShardPictures":
        """The pictures at some places (k,)."""
        return ShardPictures(self.marks, self._places, self._names, self._ends, self._chosen[places].astype(np.int64))


@dataclass(frozen=True)
class MemberNames:
    """What the pictures of some tar files are called, and the members that belong to them.

    Args:
        pictures: all that were found.
        beside: other members: labels, captions.
        rows: (n,) which pictures are rows of the source; None where another may stand in for one.
        passed: what was found and is not used.
    """

    pictures: ShardPictures
    beside: ShardPictures
    rows: NDArray[np.int64] | None
    passed: PassedOver

    def found(self) -> list[str]:
        """Paths of all that were found: the tar file's name, and the member's in it."""
        return [f"{member.path.name}/{member.name}" for member in self.pictures.everything()]

    def kept(self) -> NDArray[np.int64] | None:
        """Indices of the rows of the source; None if another picture may replace one."""
        return self.rows

    def columns(self, wanted: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Of the names wanted: the folder in the tar file, the member of that suffix, or that field of the `.json`.

        Raises:
            UserError: a picture has none, or it cannot be read.
        """
        suffixes = {member.suffix for member in self.beside} if set(wanted) - {FOLDER} else set()
        found: dict[str, Sequence[Any]] = {}
        for name in wanted:
            if name == FOLDER:
                found[name] = self._folders()
            elif name.lower() in suffixes - {FIELDS}:
                found[name] = self._contents(name.lower())
            elif name == LABEL and CLASS in suffixes:
                found[name] = self._contents(CLASS)
            elif FIELDS in suffixes:
                found[name] = self._fields(name)
        return found

    def tables(self) -> list[TableBeside]:
        """None: labels lie in the tar files."""
        return []

    def _folders(self) -> list[str]:
        """The folder that each lies in; where none lies in any, the tar file is one."""
        folders = [encodable(PurePosixPath(member.name).parent.name) for member in self.pictures.everything()]
        if any(folders):
            return folders
        return [encodable(member.path.name) for member in self.pictures.everything()]

    def _members(self, suffix: str) -> list[ShardMember]:
        """The member of a suffix that belongs to each picture."""
        members: dict[tuple[Path, str], ShardMember] = {}
        for member in self.beside:
            if member.suffix == suffix and members.setdefault(member.key, member) != member:
                raise UserError(
                    f"A sample has several .{suffix}",
                    found=f"{member.name!r} more than once in {member.path}",
                    hint="leave one for each picture",
                )
        without = [member for member in self.pictures.everything() if member.key not in members]
        if without:
            raise UserError(
                f"{len(without)} of {len(self.pictures.everything())} pictures have no .{suffix} beside them",
                found=f"the first: {without[0]}",
                hint="add them, or take these pictures out",
            )
        self.passed.forget(f".{suffix.rpartition('.')[2]}")
        return [members[member.key] for member in self.pictures.everything()]

    def _contents(self, suffix: str) -> list[Any]:
        texts = [_text(member) for member in self._members(suffix)]
        if all(text.isdecimal() and text.isascii() and len(text) <= 18 and str(int(text)) == text for text in texts):
            return list(map(int, texts))
        return texts

    def _fields(self, name: str) -> list[Any]:
        members = self._members(FIELDS)
        values = [parsed_object(_bytes(member), str(member)).get(name) for member in members]
        for member, value in zip(members, values, strict=True):
            if value is None or isinstance(value, list | dict):
                raise UserError(
                    f"{member} does not say what {name} is",
                    found="nothing" if value is None else "a list or an object",
                    hint="name a field that each picture has, with text or a number",
                )
        return values


def _bytes(member: ShardMember) -> bytes:
    try:
        return member.stream().read()
    except OSError as error:
        raise UserError(f"{member} cannot be read", found=str(error)) from error


def _text(member: ShardMember) -> str:
    try:
        text = _bytes(member).decode("utf-8-sig").strip()
    except UnicodeError as error:
        raise UserError(f"{member} is no text", found=str(error), hint="write it as UTF-8") from error
    if not text:
        raise UserError(f"{member} is empty", hint="write a label into it")
    return text


class _Index:
    """Members, as they are found."""

    def __init__(self) -> None:
        self._places, self._ends, self._names = array("q"), array("q"), bytearray()

    def add(self, shard: int, name: str, offset: int, size: int) -> None:
        self._places.extend((shard, offset, size))
        self._names += name.encode("utf-8", "surrogateescape")
        self._ends.append(len(self._names))

    def members(self, marks: Sequence[FileMark]) -> ShardPictures:
        places = np.array(self._places, np.int64).reshape(-1, 3)
        return ShardPictures(marks, places, bytes(self._names), np.array(self._ends, np.int64))


def index_shards(paths: Sequence[Path], passed: PassedOver | None = None) -> tuple[ShardPictures, ShardPictures]:
    """Find the pictures in tar and zip files, and what else is in them, by headers alone, in their order.

    Raises:
        UserError: a file cannot be read, is no tar file, is damaged, or holds a name or a size that none should have.
    """
    passed = passed or PassedOver()
    pictures, beside = _Index(), _Index()
    marks = [FileMark.of(path) for path in paths]
    for number, path in enumerate(paths):
        for name, offset, size, is_regular in zip_members(marks[number]) if is_zip(path) else _members(marks[number]):
            if _is_passed(path, name, is_regular, passed):
                continue
            is_picture = name.lower().endswith(_ENDINGS)
            if is_picture and size > LARGEST_MEMBER_BYTES:
                raise UserError(f"A picture in {path} is too large", found=f"{name!r} has {size} bytes")
            if is_picture:
                pictures.add(number, name, offset, size)
                continue
            passed.add_file(f"{path.name}/{name}")
            if size <= LARGEST_LABEL_BYTES:
                beside.add(number, name, offset, size)
    return pictures.members(marks), beside.members(marks)


def _is_passed(path: Path, name: str, is_regular: bool, passed: PassedOver) -> bool:
    """Whether a member is nothing that is used; `passed` is told of what might have been."""
    parts = name.split("/")
    if not is_regular:
        if name.lower().endswith(_ENDINGS):
            passed.add(SPECIAL, f"{path.name}/{name}")
        return True
    for kind, is_such in ((HIDDEN, is_hidden), (SYSTEM, is_left_by_system)):
        if any(is_such(part) for part in parts if part not in (".", "..")):
            passed.add(kind, f"{path.name}/{name}")
            return True
    if parts[0] == "" or ".." in parts or "\0" in name:
        raise UserError(
            f"{path} holds a name that no picture should have", found=repr(name), hint="do not trust this file"
        )
    return False


def _members(mark: FileMark) -> Iterator[tuple[str, int, int, bool]]:
    """Name, first byte and size of each member, and whether it is a file; header by header: shards may be large."""
    path = mark.path
    try:
        with reading_marked(mark) as file:
            total = os.fstat(file.fileno()).st_size
            offset, name, length = 0, "", None
            while block := os.pread(file.fileno(), tarfile.BLOCKSIZE, offset):
                if not block.strip(b"\0"):
                    return
                kind, own_name, size = _header(block)
                start = offset + tarfile.BLOCKSIZE
                extends = kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)
                size = size if extends or length is None else length
                if size < 0 or start + size > total or (extends and size > LONGEST_EXTENSION_BYTES):
                    raise UserError(f"{path} is damaged or cut short", found=f"the header at byte {offset}")
                if extends:
                    name, length = _extension(kind, os.pread(file.fileno(), size, start), name, length)
                elif kind not in _KEEP_NAME:
                    yield name or own_name, start, size, kind in _PICTURES
                    name, length = "", None
                offset = start + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    except (OSError, tarfile.TarError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be read as a tar file", found=str(error), hint="write it again") from error


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
