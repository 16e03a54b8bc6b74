"""All access to files: only regular files are read; writes are atomic and follow no link.

A file is written under a random name that is created exclusively in the target's folder, flushed, then renamed. Only
files of this library are removed. `tests/test_door.py` checks that every other module uses this one.
"""

import atexit
import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from io import BufferedReader
from os import PathLike
from pathlib import Path
from secrets import token_hex
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import IO, Any

from wassergan.errors import UserError, WorkError

LONGEST_WRITE_SECONDS = 3600.0
DRAWN_BY = {"Software": "wassergan"}  # a text in every written PNG, by which it is recognised
_COPIED_BYTES = 2**20
LARGEST_TEXT = 2**22  # bytes of a text that is read at once; JSON takes up to 25 times as much memory
LARGEST_AT_ONCE = 2**26  # bytes of a file that is read at once
LONGEST_SUFFIX = 20  # of a temporary name, whose own part is below 60 bytes: both fit wherever the target's name fits
_TEMPORARY = re.compile(r"\.wassergan-(\d+)-[0-9a-f]{16}\.tmp(\.\w+)?")
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC, _NONBLOCK = getattr(os, "O_CLOEXEC", 0), getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_unfinished: set[Path] = set()
_held: ContextVar[dict[Path, Path] | None] = ContextVar(
    "held", default=None
)  # targets, and what is to take their place
fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None
LONGEST_WAIT_SECONDS = 10.0  # for another process that moves files


def as_path(path: str | PathLike[str]) -> Path:
    """A path that a user gives as text or as a path.

    Raises:
        UserError: it is neither.
    """
    if not isinstance(path, str | PathLike):
        raise UserError("A path is text or a pathlib.Path", found=type(path).__name__)
    return Path(path)


def kind_of(path: Path, *, follow: bool = False) -> str:
    """`nothing`, `a file`, `a folder`, `a link`, `a pipe`, `a socket` or `a device`."""
    try:
        mode = (path.stat() if follow else path.lstat()).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a null byte in it
        return "nothing"
    return _KINDS.get(stat.S_IFMT(mode), "a file")


# --- reading


@contextmanager
def reading(path: Path, *, follow: bool = True) -> Iterator[BufferedReader]:
    """Open a regular file to read its bytes; anything else is refused without blocking.

    Args:
        path: of the file.
        follow: follow links; files in a run folder are read without.

    Raises:
        UserError: a folder, a pipe, a socket, a device, or a link if these are not followed.
        OSError: it does not exist or cannot be read.
    """
    # Non-blocking: a pipe without a writer would block for ever.
    flags = os.O_RDONLY | _CLOEXEC | _NONBLOCK | _BINARY | (0 if follow else _NOFOLLOW)
    require_regular(path, follow=follow)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:  # replaced by a link meanwhile
            raise _irregular(path, "a link") from error
        raise
    with open(descriptor, "rb") as file:  # noqa: PTH123  # of a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _irregular(path, kind_of(path, follow=follow))
        yield file


def require_regular(path: Path, *, follow: bool = True) -> Path:
    """Refuse an existing path that is not a regular file; for libraries that open files themselves. Returns the path.

    Raises:
        UserError: says what it is.
    """
    try:
        kind = kind_of(path, follow=follow)
    except OSError as error:  # a cycle of links, a name that is too long, a folder without search permission
        raise UserError(f"{path} cannot be read", found=error.strerror or str(error)) from error
    if kind not in ("a file", "nothing"):
        raise _irregular(path, kind)
    return path


def require_readable(path: Path) -> Path:
    """The same, but folders are allowed."""
    return path if kind_of(path, follow=True) == "a folder" else require_regular(path)


def read_bytes(path: Path, *, follow: bool = True, at_most: int = LARGEST_AT_ONCE) -> bytes:
    """The content of a regular file, which is refused if it has more bytes than the limit; see `reading`.

    Raises:
        UserError: it has more, or is not a regular file.
    """
    with reading(path, follow=follow) as file:
        # Checked on the open file: the path may name another file by now, and the file may still grow.
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > at_most else file.read(at_most + 1)
    if max(size, len(content)) > at_most:
        raise UserError(f"{path} is too large", found=f"more than {at_most:,} bytes", hint="give a smaller one")
    return content


def read_text(path: Path, *, follow: bool = True, errors: str = "strict", at_most: int = LARGEST_TEXT) -> str:
    """The content of a regular file as UTF-8 text with normalised line ends; see `read_bytes`."""
    return read_bytes(path, follow=follow, at_most=at_most).decode("utf-8", errors).replace("\r\n", "\n")


def lock_file(path: Path) -> int:
    """A read-write descriptor of a lock file, which is created if needed; no link is followed.

    Raises:
        UserError: something else is at the path.
        OSError: it cannot be opened or created.
    """
    require_target(path)
    return os.open(path, os.O_RDWR | os.O_CREAT | _CLOEXEC | _NOFOLLOW | _NONBLOCK | _BINARY, 0o644)


def renew(descriptor: int) -> None:
    """Set the time of a lock's file to now."""
    os.utime(descriptor)


def _irregular(path: Path, kind: str) -> UserError:
    return UserError(f"{path} is no regular file", found=kind, hint="name a file")


# --- writing


def require_target(path: Path) -> Path:
    """Refuse an output path that exists and is not a regular file, before any work is done. Returns the path.

    Raises:
        UserError: a link, folder, pipe, socket or device; `-` if standard output is not supported.
    """
    if str(path) == "-":
        raise UserError("Only samples go to standard output", hint="name a file")
    try:
        kind = kind_of(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written", found=error.strerror or str(error), hint="name another") from error
    if kind not in ("nothing", "a file"):
        raise UserError(
            f"{path} is no regular file", found=kind, hint="name a new file, or one that may be replaced, itself"
        )
    return path


def require_writable(path: Path) -> Path:
    """The same, and refuse a folder in which no file can be created. Returns the path.

    Raises:
        UserError: as `require_target`.
        WorkError: no file can be created there.
    """
    require_target(path)
    if not can_write(path.parent):
        raise WorkError(f"{path.parent} cannot be written to", hint="check its permissions, or name another place")
    return path


def make_folder(path: Path) -> None:
    """Create a folder and its parents unless it exists.

    Raises:
        UserError: something else is at the path.
        WorkError: the file system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{path} is no folder", found=error.strerror or "", hint="name another one") from error
    except OSError as error:
        raise WorkError(f"The folder {path} cannot be made", found=error.strerror or str(error)) from error


def can_write(folder: Path) -> bool:
    """Whether files can be created in a folder, or where it would be made; tried, since permissions do not tell."""
    try:
        while kind_of(folder, follow=True) == "nothing" and folder != folder.parent:
            folder = folder.parent
        path = _made(folder / "probe")
    except OSError:
        return False
    _discard(path)
    return True


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it to `path`.

    On any error the temporary file is removed and `path` keeps its former content. A link at `path` is refused, and so
    is anything else that is not a regular file. Within `holding` it is not moved yet.

    Raises:
        UserError: `path` is not a regular file.
        WorkError: the file system refuses (full disk, no permission); says so and what is still valid.
    """
    temporary = None
    try:
        temporary = _made(require_target(path))
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        require_target(path)
        held = _held.get()
        if held is None:
            temporary.replace(path)
            _unfinished.discard(temporary)
            _flush_folder(path.parent)
        else:
            held[path], temporary = temporary, held.get(path)
    except OSError as error:
        raise WorkError(
            f"Could not write {path}",
            found=error.strerror or str(error),
            hint="free some space or check the permissions; what was there before is still valid",
        ) from error
    finally:
        if temporary in _unfinished:
            _discard(temporary)


@contextmanager
def holding(held: dict[Path, Path]) -> Iterator[None]:
    """Inside, what `replacing` writes stays under its temporary name, which `held` tells of each target.

    Whoever asks moves the files, or removes them. `content_of` finds them meanwhile.
    """
    token = _held.set(held)
    try:
        yield
    finally:
        _held.reset(token)


def content_of(path: Path) -> Path:
    """Where the content of a file lies: at its path, unless `holding` holds it."""
    return (_held.get() or {}).get(path, path)


def keep_at_exit(temporaries: Iterable[Path]) -> None:
    """A journal names them: from now on a second signal removes them no more."""
    _unfinished.difference_update(temporaries)


def discard(temporary: Path) -> None:
    """Remove what `holding` held."""
    _discard(temporary)


def move(temporary: Path, path: Path) -> None:
    """Move what was held to its place; if it is no longer there, another process did.

    Raises:
        OSError: the file system refuses.
    """
    require_target(path)
    with suppress(FileNotFoundError):
        require_regular(temporary, follow=False).replace(path)
        _unfinished.discard(temporary)


def flush_folders(folders: Iterable[Path]) -> None:
    """Make names that were made, moved and removed durable."""
    for folder in sorted(set(folders)):
        _flush_folder(folder)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Inside, no other process is in here for this folder; where the system cannot tell, or one hangs, go on."""
    deadline, descriptor = time.monotonic() + LONGEST_WAIT_SECONDS, None
    try:
        with suppress(OSError):  # Windows opens no folders
            descriptor = os.open(folder, os.O_RDONLY | _CLOEXEC)
        while fcntl is not None and descriptor is not None and time.monotonic() < deadline:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:  # a file system that knows no locks
                break
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text through `replacing`; stand-ins for bytes that are not UTF-8 are escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes through `replacing`."""
    with replacing(path) as temporary:
        fill(temporary, content)


def fill(temporary: Path, content: bytes) -> None:
    """Write the content of the path from `replacing`."""
    temporary.write_bytes(content)


@contextmanager
def filling(temporary: Path, mode: str = "wb") -> Iterator[IO[bytes]]:
    """Open the path from `replacing`: to write piece by piece (`wb`), also to read (`wb+`), or to change (`rb+`)."""
    with temporary.open(mode) as file:
        yield file


@contextmanager
def appending(path: Path) -> Iterator[IO[bytes]]:
    """Open one of our regular files for appending, unbuffered; its other hard links keep their content.

    Raises:
        UserError: a link, or not a regular file.
    """
    require_target(path)
    if path.exists() and path.lstat().st_nlink > 1:  # a copy of the run made with hard links
        with replacing(path) as temporary:
            _copy(path, temporary)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NOFOLLOW | _NONBLOCK | _CLOEXEC | _BINARY
    with open(os.open(path, flags, 0o666), "ab", buffering=0) as file:  # noqa: PTH123  # of a descriptor
        yield file


def link_or_copy(existing: Path, path: Path) -> None:
    """Make `path` another name of `existing`, atomically; a copy if the file system has no hard links."""
    with replacing(path) as temporary:
        temporary.unlink()
        try:
            temporary.hardlink_to(require_regular(existing, follow=False))
        except OSError:
            with exclusive(temporary) as descriptor:
                os.write(descriptor, b"")
            _copy(existing, temporary)


def _copy(existing: Path, temporary: Path) -> None:
    with reading(existing, follow=False) as file, filling(temporary) as copy:
        copyfileobj(file, copy, _COPIED_BYTES)


@contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """The descriptor of a newly created file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC | _BINARY, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _made(path: Path) -> Path:
    """An empty file with a random name beside `path`."""
    # The suffix is kept at the end: Pillow and others read the format from it.
    suffix = path.suffix if re.fullmatch(rf"\.\w{{1,{LONGEST_SUFFIX}}}", path.suffix, re.ASCII) else ""
    temporary = path.with_name(f".wassergan-{os.getpid()}-{token_hex(8)}.tmp{suffix}")
    _unfinished.add(temporary)
    try:
        with exclusive(temporary):
            return temporary
    except OSError:
        _unfinished.discard(temporary)
        raise


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new temporary folder, removed with its content."""
    with TemporaryDirectory(prefix="wassergan-") as folder:
        yield Path(folder)


# --- removing


def remove(path: Path) -> None:
    """Remove one of our files if it exists; anything but a regular file stays."""
    if kind_of(path) == "a file":
        path.unlink(missing_ok=True)


def remove_surely(path: Path) -> None:
    """The same, also if a signal comes meanwhile, which is heard afterwards."""
    try:
        remove(path)
    except KeyboardInterrupt:
        remove(path)
        raise


def remove_empty_folder(path: Path) -> None:
    """Remove a folder if it is empty."""
    with suppress(OSError):
        path.rmdir()


def is_temporary(path: Path) -> bool:
    """Whether a file was named by `replacing`."""
    return bool(_TEMPORARY.fullmatch(path.name))


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed `replacing` left in a folder; nobody may be writing there."""
    for path in _temporaries(folder):
        remove(path)


def remove_lost_temporaries(folder: Path) -> None:
    """The same if others may be writing: files that a living process of this machine wrote to in the last hour stay."""
    for path in _temporaries(folder):
        if not _may_be_being_written(path):
            remove(path)


def _temporaries(folder: Path) -> list[Path]:
    if kind_of(folder) != "a folder":
        return []
    return [path for path in folder.iterdir() if is_temporary(path)]


def _may_be_being_written(path: Path) -> bool:
    found = _TEMPORARY.fullmatch(path.name)
    assert found is not None
    try:
        os.kill(int(found[1]), 0)
        return time.time() - path.stat().st_mtime < LONGEST_WRITE_SECONDS
    except PermissionError:  # another user's process
        return True
    except (OSError, OverflowError):
        return False


def _discard(temporary: Path) -> None:
    temporary.unlink(missing_ok=True)
    _unfinished.discard(temporary)


@atexit.register
def _discard_unfinished() -> None:
    """Remove what a second signal left behind."""
    ours = f"-{os.getpid()}-"  # a forked process does not touch its parent's files
    for temporary in [each for each in _unfinished if ours in each.name]:
        with suppress(OSError):
            _discard(temporary)


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable, if the system can flush a folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
