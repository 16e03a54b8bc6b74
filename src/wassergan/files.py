"""Files that survive a kill at any moment: written under a temporary name, flushed, then moved into place."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wassergan.errors import WorkError

LONGEST_WRITE_SECONDS = 3600.0
DRAWN_BY = {"Software": "wassergan"}  # a text of every PNG that is written, by which it is known again
_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp(\.\w+)?")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it to disk and move it over `path`.

    On any error the temporary file is removed and `path` keeps its former content.

    Raises:
        WorkError: the file system refuses (full disk, no permission); says so and what is still valid.
    """
    # The suffix is kept at the end: Pillow and others read the format from it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise WorkError(
            f"Could not write {path}",
            found=error.strerror or str(error),
            mend="free some space or check the permissions; what was there before is still valid",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_temporary(path: Path) -> bool:
    """Whether a file was named by `replacing`."""
    return bool(_TEMPORARY.fullmatch(path.name))


def remove_temporaries(folder: Path) -> None:
    """Remove what `replacing` left in a folder, at any depth, when it was killed; nobody may be writing there."""
    for path in filter(is_temporary, folder.rglob(".*")):
        path.unlink(missing_ok=True)


def remove_lost_temporaries(folder: Path) -> None:
    """The same where others may be writing: what a living process of this machine wrote to in the last hour stays."""
    for path in filter(is_temporary, folder.rglob(".*")):
        if not _may_be_being_written(path):
            path.unlink(missing_ok=True)


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


def link_or_copy(existing: Path, path: Path) -> None:
    """Make `path` another name of `existing`, at once; a copy where the file system has no hard links."""
    with replacing(path) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            temporary.hardlink_to(existing)
        except OSError:
            temporary.write_bytes(existing.read_bytes())


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system allows a folder to be flushed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
