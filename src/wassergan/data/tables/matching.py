"""Columns of two tables by name: those that both have, in one order, without what pandas writes beside them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from wassergan.data.tables.columns import RawTable
from wassergan.data.tables.identifiers.recognise import is_index
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.errors import UserError, parameter, unknown_name

NAMES_SHOWN = 10
Log = Callable[[str], None]


def without_bounds(schema: Schema) -> Schema:
    """Kinds and forms alone: bounds and steps say what may be generated."""

    def plain(wish: ColumnSpec) -> ColumnSpec:
        kind = "number" if wish.kind == "angle" else wish.kind
        return replace(wish, kind=kind, low=None, high=None, step=None)

    return replace(schema, columns={name: plain(wish) for name, wish in schema.columns.items()}, rules=())


def without_index(table: RawTable, log: Log) -> RawTable:
    """Without the unnamed index that pandas writes into a file."""
    gone = [each.name for each in table.columns if each.name.strip() == "" or each.name.lower() == "unnamed: 0"]
    if not gone or not all(map(is_index, gone)) or len(table.columns) == len(gone):
        return table
    log(f"Left out the unnamed column of {table.name}: it is the index of a DataFrame.")
    return replace(table, columns=tuple(each for each in table.columns if each.name not in gone))


def matched(a: RawTable, b: RawTable, schema: Schema, wanted: Sequence[str]) -> tuple[RawTable, RawTable]:
    """Both with the same columns in the same order."""
    names = [[each.name for each in table.columns] for table in (a, b)]
    schema.check_names([*names[0], *names[1]])
    for table, own in zip((a, b), names, strict=True):
        if repeated := [name for name in dict.fromkeys(own) if own.count(name) > 1]:
            raise UserError(f"{table.name} has columns of the same name", found=_listed(repeated), hint="rename them")
        for name in wanted:
            if name not in own:
                raise unknown_name(f"column of {table.name}", name, own)
    dropped = {name for name, wish in schema.columns.items() if wish.kind == "drop"}
    if both := [name for name in wanted if name in dropped]:
        raise UserError(f"A column is named by {parameter('columns')} and dropped by the schema", found=_listed(both))
    taken = [set(wanted) or set(own) - dropped for own in names]
    alone = [[name for name in own if name in mine - others]
             for own, mine, others in zip(names, taken, reversed(taken), strict=True)]  # fmt: skip
    if alone[0] or alone[1]:
        parts = [f"{_listed(each)} in {table.name} alone" for each, table in zip(alone, (a, b), strict=True) if each]
        raise UserError(
            f"{a.name} and {b.name} have different columns",
            found=" and ".join(parts),
            hint=f"give tables with the same columns, or name those that both have with {parameter('columns')}",
        )
    order = [name for name in names[0] if name in taken[0]]
    return with_columns(a, order), with_columns(b, order)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {len(names) - NAMES_SHOWN} more" if names[NAMES_SHOWN:] else "")


def with_columns(table: RawTable, names: Sequence[str]) -> RawTable:
    """A table with some of its columns alone, in an order."""
    by_name = {each.name: each for each in table.columns}
    return replace(table, columns=tuple(by_name[name] for name in names))
