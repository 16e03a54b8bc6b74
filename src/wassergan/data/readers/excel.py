"""Excel workbooks: a sheet's columns in the types that its cells have."""

import datetime
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from wassergan.data.readers.excel_sheet import Marks, marks_of
from wassergan.data.readers.limits import require_room
from wassergan.data.tables import RawTable, raw_of_arrow
from wassergan.data.tables.inference import MISSING_MARKS, MISSING_TEXTS
from wassergan.errors import UserError, unknown_name
from wassergan.storage.files import reading

SUFFIXES = (".xlsx", ".xlsm")
MOST_ROWS, MOST_COLUMNS = 2**20, 2**14  # of a sheet
BYTES_PER_CELL = 64
SHEETS_SHOWN = 10
TIMES_OF_TEXTS, TIMES_OF_OTHERS = 12, 100
LOOSE = 1000  # empty rows one after the other, from where on nothing follows
EXTRA = "install it: pip install 'wassergan[excel]'"
Cell = tuple[Any, bool]  # what stands there, and whether it says that an error occurred


def is_excel(path: Path) -> bool:
    """Whether the name is that of an Excel workbook."""
    return path.suffix.lower() in SUFFIXES


def read_excel(path: Path, *, sheet: str | None = None) -> RawTable:
    """The columns of a sheet: its first row names them, formulas count as their values.

    Args:
        path: `.xlsx` or `.xlsm`.
        sheet: its name; the first one that is shown unless given.

    Raises:
        UserError: no reader is installed, the file is damaged, there is no such sheet, its first row names nothing, or
            a formula has no value in the file.
    """
    try:
        import openpyxl
        import pyarrow
    except ImportError as error:
        raise UserError(f"Reading {path} needs {error.name}, which is not installed", hint=EXTRA) from error
    require_room(_unpacked(path), path)
    try:
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
                marks = marks_of(path, book[chosen]._worksheet_path)
                if marks.uncalculated:
                    raise _no_value(path, chosen, marks)
                header, rows = _read(book[chosen], path)
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
        notes.insert(0, f"{name} has {len(names)} sheets ({listed}{more}): '{chosen}' is read; --sheet takes another.")
    arrays = [_array(column, [row[index] for row in rows], notes) for index, column in enumerate(header)]
    table = raw_of_arrow(pyarrow.table(arrays, names=header), name)
    return RawTable(name, table.columns, table.rows, {}, table.arrow_schema, 2, table.arrow, tuple(notes))


def _no_value(path: Path, sheet: str, marks: Marks) -> UserError:
    return UserError(
        f"{path} holds formulas without a value",
        found=f"cell {marks.uncalculated} of sheet '{sheet}'" + (f", and {marks.more} more" if marks.more else ""),
        hint="open and save it in a spreadsheet program, which calculates them",
    )


def _unpacked(path: Path) -> int:
    """Bytes that the parts of a workbook say they have; no reader gets more out of them."""
    try:
        with reading(path) as file, zipfile.ZipFile(file) as archive:
            return sum(each.file_size * _times(each.filename) for each in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(
            f"{path} cannot be read as an Excel workbook", found=str(error)[:200], hint="save it again as .xlsx"
        ) from error


def _times(part: str) -> int:
    """How many times its size the reader makes of a part: sheets are read row by row, all else becomes objects."""
    if part.startswith(("xl/worksheets/", "xl/media/")):
        return 1
    return TIMES_OF_TEXTS if part.startswith("xl/sharedStrings") else TIMES_OF_OTHERS


def _read(sheet: Any, path: Path) -> tuple[list[str], list[list[Cell]]]:
    if hasattr(sheet, "reset_dimensions"):
        sheet.reset_dimensions()  # what a file says of its size need not be so
    cells = _rows(sheet, path)
    header = _header(next(cells, []), path)
    rows: list[list[Cell]] = []
    empty = 0
    for row in cells:
        if len(rows) * len(header) * BYTES_PER_CELL > 2**20:
            require_room(len(rows) * len(header) * BYTES_PER_CELL, path)
        beyond = [value for value, _ in row[len(header) :] if value is not None]
        if beyond:
            raise UserError(
                f"{path} has a cell beside its columns",
                found=f"{beyond[0]!r}"[:60] + f" in row {len(rows) + 2}",
                hint="name its column in the first row, or clear it",
            )
        empty = 0 if any(value is not None for value, _ in row) else empty + 1
        if empty > LOOSE:
            break
        rows.append([*row[: len(header)], *[(None, False)] * (len(header) - len(row))])
    rows = rows[: len(rows) - min(empty, len(rows))] if empty else rows
    if not rows:
        raise UserError(f"{path} holds no rows", found="a header alone", hint="give data")
    return header, rows


def _rows(sheet: Any, path: Path) -> Iterator[list[Cell]]:
    for number, row in enumerate(islice(sheet.iter_rows(max_col=MOST_COLUMNS), MOST_ROWS + 1)):
        if number == MOST_ROWS:
            raise UserError(f"{path} has too many rows", found=f"more than {MOST_ROWS}", hint="give a CSV file")
        yield [(cell.value, getattr(cell, "data_type", "") == "e") for cell in row]


def _header(row: Sequence[Cell], path: Path) -> list[str]:
    names = ["" if value is None else str(value).strip() for value, _ in row]
    while names and not names[-1]:
        names.pop()
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


def _array(name: str, cells: Sequence[Cell], notes: list[str]) -> Any:
    """A column in the type that all its cells have; where some are text, all are."""
    import pyarrow

    values = [None if wrong else value for value, wrong in cells]
    errors = sum(wrong for _, wrong in cells)
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


def _first_text(values: Sequence[Any]) -> str:
    return next(value for value in values if isinstance(value, str))[:40]
