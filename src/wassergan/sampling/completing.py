"""Tables and DataFrames with their missing cells filled."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wassergan.data.files import all_are, files_of
from wassergan.data.readers.columnar import is_columnar
from wassergan.data.readers.marks import unchanging
from wassergan.data.table_files import AS_WRITTEN, table_in
from wassergan.data.tables import RawTable, is_csv, read_frame
from wassergan.data.tables.gaps import (
    arrow_filled,
    frame_filled,
    fresh_identifiers,
    read_gaps,
    write_arrow,
    write_csv,
)
from wassergan.data.tables.writing import table_suffix
from wassergan.errors import UserError
from wassergan.sampling.completion import Completer, completed
from wassergan.storage.files import require_regular, require_writable


def frame_completed(completer: Completer, frame: Any, *, seed: int, draw: int = 0) -> Any:
    """A DataFrame or an Arrow table with its missing cells filled.

    Raises:
        UserError: other columns than the run's.
    """
    table = read_frame(frame)
    given = read_gaps(completer.codec, completer.conditions, table)
    completer.require_possible(given, table.row_name)
    rows = completed(completer, given, seed=seed, draw=draw)
    return frame_filled(completer.codec, frame, rows, given, fresh_identifiers(completer.codec, table, seed=seed))


def file_completed(completer: Completer, path: Path, outs: Sequence[Path], *, seed: int) -> dict[str, int]:
    """Complete a table in a file, once for each file of `outs`, which have its format.

    Returns:
        Rows, cells that were missing, and cells that still are.

    Raises:
        UserError: no such table, other columns than the run's, or another format; nothing was written.
    """
    if not path.exists():
        raise UserError(f"There is no {path}", hint="give a table to complete")
    require_regular(path)
    _require_like(path, outs)
    codec = completer.codec
    files = files_of(str(path))
    with unchanging(files):
        table = _read(path, files, codec.dialect)
        given = read_gaps(codec, completer.conditions, table)
        completer.require_possible(given, table.row_name)
        fresh = fresh_identifiers(codec, table, seed=seed)
        gone, left = int(np.isnan(given).sum()), 0
        for draw, out in enumerate(outs):
            if is_csv(path):
                write_csv(path, out, table, codec, completer.chunks(given, seed=seed, draw=draw), given, fresh)
                continue
            rows = completed(completer, given, seed=seed, draw=draw)
            write_arrow(arrow_filled(codec, table.arrow, rows, given, fresh), out)
    hopeless = [at for at, column in enumerate(codec.columns) if column.coding.told() == "empty"]
    left = int(np.isnan(given[:, hopeless]).sum())
    return {"rows": table.rows, "missing": gone, "left": left}


def _read(path: Path, files: list[Path], dialect: Any) -> RawTable:
    table = table_in(files, path.name, said=replace(AS_WRITTEN, encoding=dialect.get("encoding")))
    if table is None or (table.arrow is None and not is_csv(path)):
        raise UserError(
            f"{path} is no table that can be written back", hint="give a CSV, Parquet, Arrow or Feather file"
        )
    return table


def _require_like(path: Path, outs: Sequence[Path]) -> None:
    """Refuse files of another format, and the table itself."""
    is_text = is_csv(path)
    if not is_text and not all_are(is_columnar, [path]):
        raise UserError(
            f"{path} is no table that can be written back", hint="give a CSV, Parquet, Arrow or Feather file"
        )
    for out in outs:
        suffix = table_suffix(out)
        if not suffix or suffix.startswith((".csv", ".tsv")) != is_text:
            raise UserError(
                f"A completed table has the format of the one that came, {path.suffix}",
                found=f"'{out.name}'",
                hint=f"name it like {path.name}",
            )
        if out.exists() and out.samefile(path):
            raise UserError(f"{out} is the table to complete", hint="name another file")
        require_writable(out)
