"""Folders and their sizes on the disk: what is there, and what removing it would free."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, but for links and hidden ones, sorted; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = [each for each in entries if each.is_dir(follow_symlinks=False) and not each.name.startswith(".")]
    except OSError:
        return []
    return sorted(Path(each.path) for each in found)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder and below it; names of one file count once, and no link is followed."""
    seen: dict[tuple[int, int], int] = {}
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                        continue
                    status = entry.stat(follow_symlinks=False)
                    seen[status.st_dev, status.st_ino] = status.st_size
        except OSError:  # removed meanwhile, or not to be read
            continue
    return sum(seen.values())


def freed_by_removing(paths: Iterable[Path]) -> int:
    """Bytes of files all of whose names are among the paths; a file that has another name stays on the disk."""
    names = Counter[tuple[int, int]]()
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    for status in (path.lstat() for path in paths):
        key = (status.st_dev, status.st_ino)
        names[key] += 1
        sizes[key] = (status.st_size, status.st_nlink)
    return sum(size for key, (size, links) in sizes.items() if names[key] == links)
