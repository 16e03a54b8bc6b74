"""A table whose rows name files, sorted into the order of the files."""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.paths import PICTURE_SUFFIXES
from wassergan.data.tables import AnyColumn, RawTable, TextColumn, TypedColumn
from wassergan.errors import UserError

FILE_HEADERS = frozenset(
    {
        *("file", "filename", "file_name", "filepath", "file_path", "fname", "path", "image", "image_name", "img"),
        *("image_id", "image_path", "img_path", "picture"),
    }
)
NAMING_SHARE = 0.5  # of a column's texts that are files' names: it names files, maybe some of them wrongly
_SHOWN = 3
Parts = tuple[str, ...]


def row_order(table: RawTable, found: Sequence[str], *, log: Callable[[str], None]) -> "Order":
    """The row of a table for each file: by a column that names files, else by position.

    The column is found by what it holds. It may give paths, paths below another folder, or names alone, with or
    without suffix; each file must be named once, and nothing else.

    Args:
        table: of labels.
        found: paths of the files below the folder or in the archives that were searched.
        log: receives by what rows and files were brought together.

    Raises:
        UserError: files without a row, rows without a file, a name that occurs twice or matches several files, or,
            without names, different numbers of rows and files.
    """
    chosen = _best([_match(column, found) for column in table.columns if _texts(column) is not None])
    if chosen is None or not _names_files(chosen):
        _refuse_strangers(table, found)
        return _by_position(table, found, log)
    _require_one_to_one(table, chosen, found)
    log(f"Labels of {table.name} are joined by name: its column {chosen.column} names the files.")
    return Order(np.array([chosen.rows[name][0] for name in chosen.files], np.int64), chosen.column)


@dataclass(frozen=True)
class Order:
    """Rows in the order of the files.

    Args:
        rows: (n,) the row of each file.
        column: that names the files; empty where rows go by position.
    """

    rows: NDArray[np.int64]
    column: str = ""


def taken(table: RawTable, rows: NDArray[np.int64], *, without: str = "") -> RawTable:
    """Some rows of a table, in the order given, without one of its columns."""
    columns = tuple(_taken(column, rows) for column in table.columns if not without or column.name != without)
    return replace(table, columns=columns, rows=len(rows), arrow=None, first_line=0)


def _taken(column: AnyColumn, rows: NDArray[np.int64]) -> AnyColumn:
    arrays = {
        each.name: getattr(column, each.name)[rows]
        for each in fields(column)
        if isinstance(getattr(column, each.name), np.ndarray)
    }
    return replace(column, **arrays)


@dataclass(frozen=True)
class _Match:
    """The common names of a column's texts and the files.

    Args:
        column: its name.
        files: the name of each file, in such words.
        rows: name → the rows in which it stands.
        texts: of the rows, as they stand there.
    """

    column: str
    files: list[Parts]
    rows: dict[Parts, list[int]]
    texts: list[str]

    @property
    def common(self) -> int:
        """Names that occur both in the table and among the files."""
        return len(self.rows.keys() & set(self.files))

    @property
    def is_whole(self) -> bool:
        """Whether each file has one row, and each row one file."""
        return len(self.rows) == len(self.texts) == len(self.files) == self.common


def _best(matches: list["_Match | None"]) -> "_Match | None":
    there = [match for match in matches if match is not None and match.common]
    return max(there, key=lambda each: (each.is_whole, each.common, each.column.lower() in FILE_HEADERS), default=None)


def _names_files(match: _Match) -> bool:
    """Whether a column names files, rather than holding labels that look like names of some."""
    share = match.common / max(1, len(match.rows))
    if match.column.lower() in FILE_HEADERS or any(_has_suffix(name) for name in match.rows):
        return share >= NAMING_SHARE or match.common >= NAMING_SHARE * len(match.files)
    # Numbers and short texts may be labels: only a match of all names is no coincidence.
    return match.is_whole or (len(match.rows) == len(match.texts) and share >= NAMING_SHARE and match.common > _SHOWN)


def _match(column: AnyColumn, found: Sequence[str]) -> "_Match | None":
    """The words in which most of a column's texts are files' names."""
    texts = _texts(column)
    assert texts is not None
    if not any(texts):
        return None
    rows, files = [_parts(text) for text in texts], [_parts(path) for path in found]
    best: _Match | None = None
    for words in _words(rows, files):
        named = [words(each) for each in rows]
        places: dict[Parts, list[int]] = {}
        for index, name in enumerate(named):
            if name:
                places.setdefault(name, []).append(index)
        match = _Match(column.name, [words(each, of_file=True) for each in files], places, texts)
        if match.is_whole:
            return match
        if best is None or match.common > best.common:
            best = match
    return best


class _Words:
    """One way to name files.

    Args:
        skipped: folders that rows have above the searched one.
        last: parts of a path that count, from its end; 0 for all.
        bare: without suffix.
        folded: upper and lower case alike.
        as_number: 7 and 007 are the same.
    """

    def __init__(
        self, *, skipped: int = 0, last: int = 0, bare: bool = False, folded: bool = False, as_number: bool = False
    ) -> None:
        self._skipped, self._last, self._bare, self._folded = skipped, last, bare, folded
        self._as_number = as_number

    def __call__(self, parts: Parts, *, of_file: bool = False) -> Parts:
        parts = parts[-self._last :] if self._last else parts[0 if of_file else self._skipped :]
        if not parts:
            return ()
        name = _bare(parts[-1]) if self._bare else parts[-1]
        if self._as_number and name.isdecimal() and len(name) < _LONGEST_NUMBER:
            name = str(int(name))
        parts = (*parts[:-1], name)
        return tuple(part.casefold() for part in parts) if self._folded else parts


_LONGEST_NUMBER = 40  # digits
_DEEPEST = 32  # folders


def _words(rows: Sequence[Parts], files: Sequence[Parts]) -> Iterator[_Words]:
    """Ways to name files, strictest first."""
    depth = min(_DEEPEST, max((len(each) for each in files), default=1))
    shared = min(_DEEPEST, _shared([each[:-1] for each in rows if each]))
    for folded in (False, True):
        for bare in (False, True):
            for skipped in range(shared + 1):
                yield _Words(skipped=skipped, bare=bare, folded=folded)
            for last in range(depth, 0, -1):
                yield _Words(last=last, bare=bare, folded=folded)
    yield _Words(last=1, bare=True, folded=True, as_number=True)


def _shared(paths: Sequence[Parts]) -> int:
    """How many parts at their beginning some paths have in common."""
    if not paths:
        return 0
    first, last = min(paths), max(paths)
    return next((index for index, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))


def _texts(column: AnyColumn) -> list[str] | None:
    """What stands in each row, if it can name files; empty where there is nothing."""
    if isinstance(column, TextColumn):
        levels = [*column.levels, ""]
        return [levels[code] for code in column.codes.tolist()]
    if isinstance(column, TypedColumn) and column.kind == "number" and column.whole:
        return ["" if np.isnan(value) else str(int(value)) for value in column.values.tolist()]
    return None


def _parts(path: str) -> Parts:
    """A path's parts in one form of letters, whatever system wrote it."""
    there = unicodedata.normalize("NFC", path.strip()).replace("\\", "/")
    return tuple(part for part in there.split("/") if part not in ("", "."))


def _bare(name: str) -> str:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    return stem if suffix.lower() in PICTURE_SUFFIXES else name


def _has_suffix(name: Parts) -> bool:
    return bool(name) and _bare(name[-1]) != name[-1]


def _require_one_to_one(table: RawTable, match: _Match, found: Sequence[str]) -> None:
    where = f"column {match.column} of {table.name}"
    several = {name: count for name, count in Counter(match.files).items() if count > 1 and name in match.rows}
    if several:
        name = next(iter(several))
        alike = [path for path, each in zip(found, match.files, strict=True) if each == name][:2]
        raise UserError(
            f"{_counted(len(several), 'name')} in {where} could be of several files",
            found=f"{'/'.join(name)} of {' and '.join(alike)}",
            hint="give their paths below the folder",
        )
    twice = {name: rows for name, rows in match.rows.items() if len(rows) > 1 and name in set(match.files)}
    if twice:
        rows = next(iter(twice.values()))
        raise UserError(
            f"{_counted(len(twice), 'file')} {'is' if len(twice) == 1 else 'are'} named more than once in {where}",
            found=f"{match.texts[rows[0]]} in {table.row_name(rows[0])} and {table.row_name(rows[1])}",
            hint="leave one row for each file",
        )
    without = [path for path, name in zip(found, match.files, strict=True) if name not in match.rows]
    if without:
        is_header = _parts(match.column) in {_parts(path) for path in found}
        raise UserError(
            f"{_counted(len(without), 'file')} of {len(found)} {'has' if len(without) == 1 else 'have'} no row in "
            f"{table.name}",
            found=_shown(without),
            hint="its first line seems to name a file: write a header above it"
            if is_header
            else f"name them in {where}, or take them out of the data",
        )
    known = set(match.files)
    strangers = [row for name, rows in match.rows.items() if name not in known for row in rows]
    strangers += [row for row, text in enumerate(match.texts) if not _parts(text)]
    if strangers:
        rows = sorted(strangers)
        raise UserError(
            f"{_counted(len(rows), 'row')} of {table.name} {'names' if len(rows) == 1 else 'name'} no file of the data",
            found=f"{_shown([match.texts[row] or 'nothing' for row in rows])} in {table.row_name(rows[0])}",
            hint=f"take them out of {where}",
        )


def _refuse_strangers(table: RawTable, found: Sequence[str]) -> None:
    """Refuse a table that names files, but not these."""
    for column in table.columns:
        texts = _texts(column) if isinstance(column, TextColumn) else None
        there = [text for text in texts or () if text]
        pictures = [text for text in there if _has_suffix(_parts(text))]
        if there and len(pictures) > NAMING_SHARE * len(there):
            raise UserError(
                f"Column {column.name} of {table.name} names files, but not those of the data",
                found=f"{_shown(pictures)} where the data hold {_shown(list(found))}",
                hint="give their paths below the folder, or their names",
            )


def _by_position(table: RawTable, found: Sequence[str], log: Callable[[str], None]) -> Order:
    if table.rows != len(found):
        raise UserError(
            f"{table.name} does not hold one row per sample",
            found=f"{table.rows} rows for {len(found)} samples",
            hint="give one row for each picture, with a column that names its file",
        )
    ends = [found[0], *found[1:_SHOWN]]
    log(
        f"{table.name} names no files: its rows are taken in the order of the sorted paths, {', '.join(ends)} ... "
        f"{found[-1]}."
    )
    return Order(np.arange(len(found), dtype=np.int64))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
