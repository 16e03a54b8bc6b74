"""Excel workbooks: a sheet's columns in the types that its cells have."""

import datetime
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from sys import getsizeof
from typing import Any

from wassergan.data.readers.excel_sheet import Marks, marks_of, require_plain, survey_of
from wassergan.data.readers.limits import require_room
from wassergan.data.tables import RawTable, raw_of_arrow
from wassergan.data.tables.columns import raw_cells
from wassergan.data.tables.missing_texts import MISSING_MARKS, MISSING_TEXTS
from wassergan.data.tables.totals import without_total
from wassergan.errors import UserError, parameter, unknown_name
from wassergan.storage.files import reading

SUFFIXES = (".xlsx", ".xlsm")
MOST_ROWS, MOST_COLUMNS = 2**20, 2**14  # of a sheet
BYTES_PER_CELL, BYTES_PER_GAP = 64, 16  # of a value and of none: in a list, and in an array
SHEETS_SHOWN = 10
SHEETS, MOST_PARTS = "xl/worksheets/", 10_000
TIMES_OF_TEXTS, TIMES_OF_OTHERS = 20, 100
LOOSE = 1000  # empty rows one after the other, from where on nothing follows
EXTRA = "install it: pip install 'wassergan[excel]'"
WRONG = object()  # stands where a cell says that an error occurred


def is_excel(path: Path) -> bool:
    """Whether the name is that of an Excel workbook."""
    return path.suffix.lower() in SUFFIXES


def read_excel(path: Path, *, sheet: str | None = None, keeps_totals: bool = True) -> RawTable:
    """The columns of a sheet: its first row names them, formulas count as their values.

    Args:
        path: `.xlsx` or `.xlsm`.
        sheet: its name; the first one that is shown unless given.
        keeps_totals: a line of totals at the end is a row like others.

    Raises:
        UserError: no reader is installed, the file is damaged, there is no such sheet, its first row names nothing, or
            a formula has no value in the file.
    """
    try:
        import openpyxl
        import pyarrow
    except ImportError as error:
        raise UserError(f"Reading {path} needs {error.name}, which is not installed", hint=EXTRA) from error
    parts = _parts(path)
    require_room(sum(size * _times(name) for name, size in parts.items()), path)
    try:
        require_plain(path)
        surveys = {name: survey_of(path, name) for name in parts if name.startswith(SHEETS)}
        require_room(max((each.held_bytes for each in surveys.values()), default=0), path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that do not matter here
            with (
                reading(path) as file,
                closing(openpyxl.load_workbook(file, read_only=True, data_only=True)) as book,
            ):
                names = [each.title for each in book.worksheets]
                if sheet is not None and sheet not in names:
                    raise unknown_name(f"sheet of {path.name}", sheet, names)
                if not names:
                    raise UserError(f"{path} holds no sheet of cells", hint="give a workbook with a table")
                shown = [each.title for each in book.worksheets if each.sheet_state == "visible"]
                chosen = sheet or (shown or names)[0]
                part = book[chosen]._worksheet_path.lstrip("/")
                survey = surveys[part] if part in surveys else survey_of(path, part)
                if survey.rows > MOST_ROWS:
                    raise _too_many_rows(path)
                marks = marks_of(path, part) if survey.has_marks else Marks()
                if marks.uncalculated:
                    raise _no_value(path, chosen, marks)
                header, columns = _read(book[chosen], path)
    except UserError:
        raise
    except Exception as error:  # its reader raises whatever a damaged file leads it to
        reason = (str(error).splitlines() or [""])[0][:200]
        raise UserError(
            f"{path} cannot be read as an Excel workbook",
            found=f"{type(error).__name__}: {reason}",
            hint="save it again",
        ) from error
    name = path.name if sheet is None else f"{path.name}:{sheet}"
    notes = [f"{name}: {note}" for note in marks.notes()]
    if sheet is None and len(names) > 1:
        listed = ", ".join(f"'{each}'{'' if each in shown else ' (hidden)'}" for each in names[:SHEETS_SHOWN])
        more = ", ..." if len(names) > SHEETS_SHOWN else ""
        notes.insert(
            0,
            f"{name} has {len(names)} sheets ({listed}{more}): '{chosen}' is read; {parameter('sheet')} takes another.",
        )
    if not keeps_totals:
        columns = _before_totals(name, header, columns, notes)
    arrays = [_array(column, values, notes) for column, values in zip(header, columns, strict=True)]
    table = raw_of_arrow(pyarrow.table(arrays, names=header), name)
    return RawTable(name, table.columns, table.rows, {}, table.arrow_schema, 2, table.arrow, tuple(notes))


def _no_value(path: Path, sheet: str, marks: Marks) -> UserError:
    return UserError(
        f"{path} holds formulas without a value",
        found=f"cell {marks.uncalculated} of sheet '{sheet}'" + (f", and {marks.more} more" if marks.more else ""),
        hint="open and save it in a spreadsheet program, which calculates them",
    )


def _parts(path: Path) -> dict[str, int]:
    """The parts of a workbook, and the bytes that they say they have; no reader gets more out of them."""
    try:
        with reading(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(
            f"{path} cannot be read as an Excel workbook", found=str(error)[:200], hint="save it again as .xlsx"
        ) from error
    if len(members) > MOST_PARTS:
        raise UserError(
            f"{path} has too many parts", found=f"{len(members)}, at most {MOST_PARTS}", hint="save it again"
        )
    sizes: dict[str, int] = {}
    for each in members:  # of equal names the last is read, but nobody needs them
        sizes[each.filename] = sizes.get(each.filename, 0) + each.file_size
    return sizes


def _times(part: str) -> int:
    """How many times its size the reader makes of a part: sheets are read row by row, all else becomes objects."""
    if part.startswith((SHEETS, "xl/media/")):
        return 1
    return TIMES_OF_TEXTS if part.startswith("xl/sharedStrings") else TIMES_OF_OTHERS


def _too_many_rows(path: Path) -> UserError:
    return UserError(f"{path} has too many rows", found=f"more than {MOST_ROWS}", hint="give a CSV file")


def _read(sheet: Any, path: Path) -> tuple[list[str], list[list[Any]]]:
    """The names of the columns, and their values."""
    if hasattr(sheet, "reset_dimensions"):
        sheet.reset_dimensions()  # what a file says of its size need not be so
    cells = _rows(sheet, path)
    header = _header(next(cells, []), path)
    columns: list[list[Any]] = [[] for _ in header]
    held = empty = count = 0
    for row in cells:
        beyond = [value for value in row[len(header) :] if value is not None]
        if beyond:
            shown = "an error" if beyond[0] is WRONG else f"{beyond[0]!r}"[:60]
            raise UserError(
                f"{path} has a cell beside its columns",
                found=f"{shown} in row {count + 2}",
                hint="name its column in the first row, or clear it",
            )
        empty = 0 if any(value is not None for value in row) else empty + 1
        if empty > LOOSE:
            break
        row = [*row[: len(header)], *[None] * (len(header) - len(row))]
        held += sum(map(_bytes_of, row))
        require_room(held, path)
        count += 1
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    if count <= empty:
        raise UserError(f"{path} holds no rows", found="a header alone", hint="give data")
    kept = count - min(empty, count)
    return header, [column[:kept] for column in columns] if empty else columns


def _bytes_of(value: Any) -> int:
    if value is None:
        return BYTES_PER_GAP
    return BYTES_PER_CELL + (getsizeof(value) if isinstance(value, str) else 0)


def _rows(sheet: Any, path: Path) -> Iterator[list[Any]]:
    for number, row in enumerate(islice(sheet.iter_rows(), MOST_ROWS + 1)):
        if number == MOST_ROWS:
            raise _too_many_rows(path)
        yield [WRONG if getattr(cell, "data_type", "") == "e" else cell.value for cell in row]


def _header(row: Sequence[Any], path: Path) -> list[str]:
    if WRONG in row:
        raise UserError(f"{path} has an error for a name", found="in its first row", hint="name the columns there")
    names = ["" if value is None else str(value).strip() for value in row]
    while names and not names[-1]:
        names.pop()
    if len(names) > MOST_COLUMNS:
        raise UserError(f"{path} has too many columns", found=f"more than {MOST_COLUMNS}", hint="give fewer")
    if not names:
        raise UserError(f"{path} has no header", found="an empty first row", hint="name the columns there")
    empty = [str(number) for number, name in enumerate(names, 1) if not name]
    if empty:
        raise UserError(
            f"{path} has columns without a name",
            found=f"columns {', '.join(empty[:10])}",
            hint="name each in the first row; merged cells name the first of theirs alone",
        )
    return names


def _array(name: str, cells: Sequence[Any], notes: list[str]) -> Any:
    """A column in the type that all its cells have; where some are text, all are."""
    import pyarrow

    values = [None if value is WRONG else value for value in cells]
    errors = sum(value is WRONG for value in cells)
    if errors:
        notes.append(f"Column {name}: {errors} cells hold errors such as #DIV/0!, which count as missing.")
    kinds = {type(value) for value in values if value is not None}
    if str in kinds and len(kinds) > 1:
        nothing = {*MISSING_TEXTS, *MISSING_MARKS}
        if all(value.strip() in nothing for value in values if isinstance(value, str)):
            notes.append(f"Column {name}: text such as {_first_text(values)!r} counts as missing.")
            values = [None if isinstance(value, str) else value for value in values]
            kinds.discard(str)
        else:
            notes.append(
                f"Column {name}: some cells hold text, such as {_first_text(values)!r}; all are taken as text."
            )
            return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
    if not kinds:
        return pyarrow.nulls(len(values))
    if kinds == {int, float}:
        values = [None if value is None else float(value) for value in values]
    elif kinds == {datetime.datetime} and all(value is None or value.time() == datetime.time() for value in values):
        values = [None if value is None else value.date() for value in values]
    elif len(kinds) > 1:
        shown = ", ".join(sorted(each.__name__ for each in kinds))
        notes.append(f"Column {name}: its cells are of several types ({shown}); all are taken as text.")
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
    return pyarrow.array(values)


def _before_totals(name: str, header: Sequence[str], columns: list[list[Any]], notes: list[str]) -> list[list[Any]]:
    """The cells above a line of totals, which is found in the same way as in a file of text."""
    if not any(column[-1] is None or isinstance(column[-1], str) for column in columns):
        return columns
    texts = [[None if cell is None or cell is WRONG else str(cell) for cell in column] for column in columns]
    raw = raw_cells(dict(zip(header, texts, strict=True)), name, first_line=2)
    kept = without_total(raw)
    notes.extend(kept.notes)
    return [column[: kept.rows] for column in columns]


def _first_text(values: Sequence[Any]) -> str:
    return next(value for value in values if isinstance(value, str))[:40]
