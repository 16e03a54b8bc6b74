"""Zip files of pictures: members are listed once and unpacked one at a time; nothing is written anywhere."""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from wassergan.data.readers.limits import require_room
from wassergan.data.readers.marks import FileMark, reading_marked
from wassergan.errors import UserError, WasserganError

SUFFIX = ".zip"
LOCAL, END, END64, LOCATOR64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
LONGEST_COMMENT = 2**16
BYTES_PER_ENTRY = 40  # of memory for each of a list's bytes, at most
ENCRYPTED = 1
PIECE = 2**16
KINDS = 0o170000  # of a Unix mode, where a link or a device shows
REGULAR = (0, 0o100000)


def zip_members(mark: FileMark) -> Iterator[tuple[str, int, int, bool]]:
    """Name, first byte of its header, size unpacked, and whether it is a file, of each member.

    Raises:
        UserError: no zip file, damaged, too long a list of members, or a member that is encrypted.
    """
    path = mark.path
    try:
        with reading_marked(mark) as file:
            require_room(_list_bytes(file, mark.size) * BYTES_PER_ENTRY, path)
            with ZipFile(file) as archive:
                for member in archive.infolist():
                    if member.flag_bits & ENCRYPTED:
                        raise UserError(
                            f"{path} is encrypted", found=f"{member.filename!r} has a password", hint="unpack it first"
                        )
                    yield member.filename, member.header_offset, member.file_size, _is_file(member)
    except WasserganError:
        raise
    except (BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
        raise UserError(
            f"{path} cannot be read as a zip file", found=str(error)[:200], hint="write it again"
        ) from error


def _is_file(member: ZipInfo) -> bool:
    """Whether a member is a file that is unpacked here: no folder, link or device, stored or deflated."""
    is_regular = (member.external_attr >> 16) & KINDS in REGULAR
    return is_regular and not member.is_dir() and member.compress_type in (ZIP_STORED, ZIP_DEFLATED)


def _list_bytes(file: IO[bytes], size: int) -> int:
    """Bytes of the list of members, which is read at once.

    Raises:
        BadZipFile: there is none.
    """
    file.seek(max(0, size - LONGEST_COMMENT - 22))
    tail = file.read(LONGEST_COMMENT + 22)
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + 22:
        raise BadZipFile("no list of members at its end")
    found = int.from_bytes(tail[at + 12 : at + 16], "little")
    if at >= 20 and tail[at - 20 : at - 16] == LOCATOR64:
        file.seek(min(size, int.from_bytes(tail[at - 12 : at - 4], "little")))
        record = file.read(56)
        found = max(found * (found != 0xFFFFFFFF), int.from_bytes(record[40:48], "little"))
    if found > size:
        raise BadZipFile("a list of members that is longer than the file")
    return found


def unzipped(mark: FileMark, file: IO[bytes], offset: int, size: int) -> bytes:
    """The content of a member of `size` bytes whose header begins at `offset`.

    Raises:
        DataChangedError: the file became shorter.
        OSError: it is damaged, or unpacks to more.
    """
    file.seek(offset)
    header = file.read(30)
    if header[:4] != LOCAL or len(header) < 30:
        raise OSError("no member of a zip file")
    method, names = int.from_bytes(header[8:10], "little"), struct.unpack("<HH", header[26:30])
    file.seek(sum(names), os.SEEK_CUR)
    if method == ZIP_STORED:
        content = file.read(size)
        if len(content) < size:
            raise mark.changed("it became shorter")
        return content
    unpacker, parts, left = zlib.decompressobj(-15), [], size + 1
    while left and not unpacker.eof:
        packed = unpacker.unconsumed_tail or file.read(PIECE)
        if not packed:
            break
        try:
            part = unpacker.decompress(packed, left)
        except zlib.error as error:
            raise OSError(str(error)) from error
        parts.append(part)
        left -= len(part)
    content = b"".join(parts)
    if len(content) != size:
        raise OSError(f"a member of {size:,} bytes that unpacks to {'more' if len(content) > size else len(content)}")
    return content
