"""From columns as they stand in a file to columns of numbers, with the way back: what kind each is, and why."""

from collections.abc import Callable
from dataclasses import replace

from wassergan.data.tables.column import Column
from wassergan.data.tables.column_errors import ColumnErrors
from wassergan.data.tables.column_reader import ColumnReader, IsKey, LeftOut
from wassergan.data.tables.columns import AnyColumn, OddColumn, RawTable, TextColumn, TypedColumn
from wassergan.data.tables.identifiers.identifier import Identifier
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.data.tables.text_columns import decimal_of
from wassergan.data.tables.text_reader import TextReader
from wassergan.data.tables.typed_reader import TypedReader
from wassergan.errors import UserError, parameter


def _as_it_is(raw: AnyColumn, column: Column) -> Column:
    return column


def infer_columns(
    table: RawTable,
    schema: Schema,
    *,
    log: Callable[[str], None],
    identifiers: list[Identifier] | None = None,
    keep: Callable[[AnyColumn, Column], Column] = _as_it_is,
) -> tuple[Column, ...]:
    """Columns of numbers; identifiers and free text are left out, and `log` receives it.

    Args:
        table: as it stands in the file.
        schema: what the user says about it.
        log: receives what is left out.
        identifiers: takes the columns whose values are written fresh; without it they are left out.
        keep: what is kept in memory of each column, by what stands in the file and what was found.

    Raises:
        UserError: a column has no values, mixes numbers and text, has too many levels, or does not fit the schema.
    """
    schema.check_names(table.names)
    for note in table.notes:
        log(note)
    columns: list[Column] = []
    decimal: str | None = None
    for index, name in enumerate(table.names):
        wish = schema.columns.get(name, ColumnSpec())
        if wish.kind == "drop":
            continue
        raw = table.columns[index]
        if decimal is None and isinstance(raw, TextColumn):
            decimal = decimal_of(table)
        if isinstance(raw, OddColumn):
            raise ColumnErrors(table, raw.name, wish).odd(raw)
        kind: type[ColumnReader] = TypedReader if isinstance(raw, TypedColumn) else TextReader
        reader = kind(table, raw.name, wish, schema, decimal or "")
        try:
            columns.append(keep(raw, reader.read(raw)))
        except IsKey as found:
            if identifiers is not None:
                identifiers.append(replace(found.identifier, before=len(columns) + len(identifiers)))
                log(
                    f"Column {raw.name} of {table.name} is an identifier ({found}): its values are not learnt, fresh "
                    f"ones are written. Give its kind in a {parameter('schema')} file to learn it, or drop it there."
                )
            else:
                log(f"Left out column {raw.name} of {table.name}: {found}.")
        except LeftOut as reason:
            log(f"Left out {f'column {raw.name}' if raw.name else 'the unnamed column'} of {table.name}: {reason}.")
        for note in [] if wish.like else dict.fromkeys(reader.notes):
            log(f"Column {raw.name} of {table.name} {note}.")
        del raw  # before the next one is read
    if not columns:
        raise UserError(f"{table.name} has no column to learn", hint=f"name kinds in a {parameter('schema')} file")
    return tuple(columns)
