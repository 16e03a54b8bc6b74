"""TIFF files of several pages as volumes, one page for each slice; and such files from volumes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.array_folder import is_array_file
from wassergan.data.readers.limits import require_room
from wassergan.data.readers.paths import is_pattern, matching_files
from wassergan.data.readers.tree import entries_besides
from wassergan.errors import UserError, WasserganError
from wassergan.storage.files import filling, reading, replacing

SUFFIXES = (".tif", ".tiff")
MOST_PAGES = 2**14
# What Pillow calls the numbers of a page, and what they are.
MODES = {"1": "bool", "L": "uint8", "I;16": "uint16", "I;16B": "uint16", "I": "int32", "F": "float32", "RGB": "uint8"}
WRITTEN = ("bool", "uint8", "uint16", "int32", "float32")
_NOTE = 270  # tag of the description
_BYTES = 8  # that a page takes at most while it is unpacked, for each pixel and channel


def is_tiff(path: Path) -> bool:
    """Whether a file is called a TIFF."""
    return path.suffix.lower() in SUFFIXES


def tiffs_of(data: str, log: Callable[[str], None] = lambda sentence: None) -> list[Path]:
    """The TIFF files that a path, a pattern or a folder denotes; none for other data.

    Args:
        data: a path or a pattern.
        log: receives what a folder holds besides.
    """
    path = Path(data)
    if path.is_dir():
        return _tiffs_in(path, log)
    if path.exists():
        return [path] if is_tiff(path) else []
    files = matching_files(data) if is_pattern(data) else []
    return files if files and all(map(is_tiff, files)) else []


def _tiffs_in(folder: Path, log: Callable[[str], None]) -> list[Path]:
    there = sorted(folder.iterdir())
    files = [each for each in there if not each.name.startswith((".", "_")) and is_tiff(each) and each.is_file()]
    if not files or any(map(is_array_file, there)):
        return []
    if passed := entries_besides(there, files).sentence(str(folder)):
        log(passed)
    return files


def read_tiff(path: Path) -> NDArray[Any]:
    """All pages of a file: (pages, height, width), or (pages, height, width, 3) in colour.

    Raises:
        UserError: no TIFF, damaged, pages that differ, numbers of a kind that is not read, or too large.
    """
    from PIL import Image

    try:
        with reading(path) as file:
            _require_few_pages(path, file)
            file.seek(0)
            with Image.open(file, formats=("TIFF",)) as picture:
                return _pages(path, picture)
    except WasserganError:
        raise
    except Exception as error:  # damaged bytes surface as whatever Pillow's parsers raise
        raise UserError(
            f"{path} cannot be read as a TIFF file", found=str(error)[:200] or type(error).__name__
        ) from error


def _require_few_pages(path: Path, file: IO[bytes]) -> None:
    """Refuse too many pages: Pillow looks for each of them among all before it."""
    header = file.read(16)
    order: Literal["little", "big"] = "little" if header[:2] == b"II" else "big"
    # Of the list of a page: bytes of its length, of an entry, and of a place. Source: TIFF 6.0, section 2; BigTIFF.
    of_length, of_entry, of_place = (8, 20, 8) if header[2:3] == b"+" else (2, 12, 4)
    place, seen = int.from_bytes(header[of_place : 2 * of_place], order), set[int]()
    while place and place not in seen:
        seen.add(place)
        if len(seen) > MOST_PAGES:
            raise UserError(f"{path} has too many pages", found=f"more than {MOST_PAGES}")
        file.seek(place)
        entries = int.from_bytes(file.read(of_length), order)
        file.seek(place + of_length + entries * of_entry)
        place = int.from_bytes(file.read(of_place), order)


def _pages(path: Path, picture: Any) -> NDArray[Any]:
    width, height = picture.size
    dtype, shape = _kind(path, picture, 0), (height, width, *((3,) if picture.mode == "RGB" else ()))
    mode, size = picture.mode, picture.size
    count = _count(path, picture)
    numbers = int(np.prod([float(each) for each in shape]))
    require_room(count * numbers * dtype.itemsize + numbers * _BYTES, path)
    found = np.empty((count, *shape), dtype)
    for page in range(count):
        picture.seek(page)
        if (picture.mode, picture.size) != (mode, size):
            raise UserError(
                f"The pages of {path} differ",
                found=f"page {page} of {picture.size[1]}x{picture.size[0]} {picture.mode}, the first of "
                f"{height}x{width} {mode}",
                hint="give pages of one size and type",
            )
        values = np.asarray(picture)
        if values.shape != shape:
            raise UserError(f"A page of {path} cannot be read", found=f"page {page} of shape {values.shape}")
        found[page] = values
    return found


def _kind(path: Path, picture: Any, page: int) -> np.dtype[Any]:
    bits = picture.tag_v2.get(258, (8,))
    formats = picture.tag_v2.get(339, (1,))
    bits, formats = (each if isinstance(each, tuple) else (each,) for each in (bits, formats))
    if picture.mode not in MODES or (picture.mode == "I" and (bits[0] != 32 or formats[0] != 2)):
        raise UserError(
            f"The numbers of {path} are not read",
            found=f"{bits[0]} bits, sample format {formats[0]}, as {picture.mode}",
            hint="save it as 8 or 16 bits without sign, signed 32 bits or 32-bit floats, or give a .npy file",
        )
    return np.dtype(MODES[picture.mode])


def _count(path: Path, picture: Any) -> int:
    count = int(picture.n_frames)
    note = str(picture.tag_v2.get(_NOTE, ""))
    told = [line.partition("=")[2] for line in note.splitlines() if line.startswith("images=")]
    if note.startswith("ImageJ=") and told and told[0].isdecimal() and int(told[0][:9]) > count == 1:
        raise UserError(
            f"{path} is a stack of ImageJ whose pages are not listed",
            found=f"images={told[0][:9]}, and one page",
            hint="save it with a page for each slice, or as .npy",
        )
    return count


def read_tiffs(files: Sequence[Path]) -> NDArray[Any]:
    """Volumes of several files, (files, pages, ...).

    Raises:
        UserError: one cannot be read, or they differ in shape or type.
    """
    first = read_tiff(files[0])
    require_room(first.nbytes * len(files), files[0].parent)
    found = np.empty((len(files), *first.shape), first.dtype)
    found[0] = first
    for index, path in enumerate(files[1:], 1):
        values = read_tiff(path)
        if (values.shape, values.dtype) != (first.shape, first.dtype):
            raise UserError(
                f"{path} differs from {files[0].name}",
                found=f"{values.dtype} {values.shape}, where that is {first.dtype} {first.shape}",
                hint="give volumes of one size and type",
            )
        found[index] = values
    return found


def write_tiff(volume: NDArray[Any], path: Path) -> None:
    """One volume as a file with a page for each slice, packed without loss, atomically.

    Args:
        volume: (pages, height, width), or (pages, height, width, 3) of eight bits.
        path: the file.

    Raises:
        UserError: numbers that a page does not hold.
    """
    from PIL import Image

    require_pages(volume.dtype, volume.shape)
    own = volume.astype(volume.dtype.newbyteorder("="), copy=False)
    pages = [Image.fromarray(np.ascontiguousarray(page)) for page in own]
    with replacing(path) as temporary, filling(temporary, "wb+") as file:
        pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate")


def require_pages(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Refuse volumes that TIFF pages do not hold.

    Raises:
        UserError: names the type or the shape.
    """
    colours = len(shape) == 4 and shape[3] == 3 and dtype == np.uint8
    if dtype.name not in WRITTEN or not (len(shape) == 3 or colours):
        raise UserError(
            "Such volumes are not written as TIFF",
            found=f"{dtype.name} of shape {shape}",
            hint=f"name a file that ends in .npy or .npz; TIFF pages hold {', '.join(WRITTEN)}, or three colours of "
            "uint8 in the last axis",
        )
