"""Two tables read as one: columns matched by name, each of one kind in both, levels matched by their text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from wassergan.data.tables.column import Column
from wassergan.data.tables.columns import AnyColumn, OddColumn, RawTable, TextColumn, TypedColumn
from wassergan.data.tables.common_columns import CommonColumn, as_number, common_column
from wassergan.data.tables.formats import DateForm, LevelForm, NumberForm
from wassergan.data.tables.inference import infer_columns
from wassergan.data.tables.matching import Log, matched, with_columns, without_bounds, without_index
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.data.tables.truths import truths_of
from wassergan.errors import UserError, parameter

GUARD = "\0"  # a column that is always found: tables may have none besides that can be learnt


def columns_together(
    a: RawTable,
    b: RawTable,
    *,
    schema: Schema | None = None,
    columns: Sequence[str] = (),
    log: Log = lambda sentence: None,
) -> tuple[CommonColumn, ...]:
    """The columns of two tables, in the order of the first, each read in one way in both.

    Args:
        a: first table.
        b: second table, with the same columns in any order.
        schema: what the user says about the columns of both.
        columns: names of those that take part; all unless given. A column that is named is no identifier.
        log: receives, in a sentence, what is left out.

    Raises:
        UserError: no rows, a column that one of them lacks or that is of another kind there, or no column is left.
    """
    if a.name == b.name:  # two DataFrames, or files of one name in two folders
        a, b = replace(a, name=f"{a.name} (A)"), replace(b, name=f"{b.name} (B)")
    for table in (a, b):
        if table.rows == 0:
            raise UserError(f"{table.name} holds no rows", hint="give data")
    schema = without_bounds(schema or Schema())
    a, b = matched(without_index(a, log), without_index(b, log), schema, columns)
    pair = _Pair(_Table.read(a, schema, columns), _Table.read(b, schema, columns), _joint(a, b, schema))
    found = [column for each in a.columns if (column := pair.column(each.name, log)) is not None]
    if not found:
        raise UserError(
            f"No column of {a.name} and {b.name} can be compared",
            found="identifiers and text alone",
            hint=f"name columns with {parameter('columns')}, or give their kinds in a {parameter('schema')} file",
        )
    return tuple(found)


@dataclass(frozen=True)
class _Table:
    """A table read by itself: its columns, and why others are left out."""

    name: str
    raw: Mapping[str, AnyColumn]
    columns: Mapping[str, Column]
    reasons: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, table: RawTable, schema: Schema, wanted: Sequence[str]) -> "_Table":
        raw = {each.name: each for each in table.columns}
        if odd := [each.name for each in table.columns if isinstance(each, OddColumn)]:
            infer_columns(with_columns(table, odd[:1]), Schema(), log=lambda sentence: None)  # says what is wrong
        columns, reasons = _inferred(table, schema)
        for name in wanted:
            if name not in columns and schema.columns.get(name, ColumnSpec()).kind is None:
                columns[name] = _forced(with_columns(table, [name]), schema)
        return cls(table.name, raw, columns, reasons)


def _inferred(table: RawTable, schema: Schema) -> tuple[dict[str, Column], dict[str, str]]:
    """Columns by name, and why others are left out."""
    said: list[str] = []
    own = {name: wish for name, wish in schema.columns.items() if name in {each.name for each in table.columns}}
    guard = TypedColumn(GUARD, "number", np.zeros(table.rows))
    guarded = replace(table, columns=(*table.columns, guard), notes=())
    found = infer_columns(guarded, replace(schema, columns=own), log=said.append)
    columns = {each.name: each for each in found if each.name != GUARD}
    return columns, {
        each.name: next((one.partition(f" of {table.name}: ")[2].rstrip(".") for one in said
                         if one.startswith(f"Left out column {each.name} of ")), "it cannot be learnt")
        for each in table.columns if each.name not in columns
    }  # fmt: skip


def _forced(table: RawTable, schema: Schema) -> Column:
    """A column that would be left out, as a number if it can be one, else as a category."""
    (raw,) = table.columns
    for kind in ("number", "category"):
        try:
            (column,) = infer_columns(
                table, replace(schema, columns={raw.name: ColumnSpec(kind)}), log=lambda sentence: None
            )
        except UserError:
            if kind == "category":
                raise
            continue
        return column
    raise AssertionError


def _joint(a: RawTable, b: RawTable, schema: Schema) -> tuple[Mapping[str, Column], int]:
    """The columns of both tables, one below the other, as far as they can be read so; and the rows of the first."""
    own = {name: wish for name, wish in schema.columns.items() if name in {each.name for each in a.columns}}
    stacked = [(each, other) for each, other in zip(a.columns, b.columns, strict=True)]
    alike = bool(a.arrow_schema) == bool(b.arrow_schema)
    columns = [each for one, other in stacked if (each := _stacked(one, other, alike)) is not None]
    whole = RawTable(f"{a.name} and {b.name}", tuple(columns), a.rows + b.rows, a.dialect)
    said = replace(schema, columns=own)
    try:
        return _inferred(whole, said)[0], a.rows
    except UserError:
        pass
    kept = []
    for each in columns:
        try:
            _inferred(replace(whole, columns=(each,)), said)
        except UserError:
            continue
        kept.append(each)
    try:
        return _inferred(replace(whole, columns=tuple(kept)), said)[0], a.rows
    except UserError:
        return {}, a.rows


def _stacked(a: AnyColumn, b: AnyColumn, alike: bool) -> AnyColumn | None:
    """One column below the other, where both are of the same type."""
    if isinstance(a, TextColumn) and isinstance(b, TextColumn) and alike:
        numbers = {level: index for index, level in enumerate(a.levels)}
        own = [numbers.setdefault(level, len(numbers)) for level in b.levels]
        codes = np.array([*own, -1], np.int32)[b.codes]
        return TextColumn(a.name, list(numbers), np.concatenate([a.codes, codes]), declared=a.declared and b.declared)
    if isinstance(a, TypedColumn) and isinstance(b, TypedColumn) and _same_type(a, b):
        exact = None
        if a.exact is not None or b.exact is not None:
            exact = np.concatenate([each.values if each.exact is None else each.exact for each in (a, b)], dtype=object)
            exact = np.array([0 if each != each else int(each) for each in exact], object)
        places = a.places if a.places == b.places else None
        return replace(a, values=np.concatenate([a.values, b.values]), exact=exact, places=places)
    return None


def _same_type(a: TypedColumn, b: TypedColumn) -> bool:
    return all(getattr(a, name) == getattr(b, name) for name in ("kind", "whole", "unit", "zone"))


@dataclass(frozen=True)
class _Pair:
    """Two tables, each by itself, and both as one."""

    a: _Table
    b: _Table
    joint: tuple[Mapping[str, Column], int]

    def column(self, name: str, log: Log) -> CommonColumn | None:
        """A column of both; None where it is left out."""
        for table in (self.a, self.b):
            if name not in table.columns:
                log(f"Left out column {name}: in {table.name}, {table.reasons.get(name, 'it is an identifier')}.")
                return None
        own = self.a.columns[name], self.b.columns[name]
        if truths := truths_of(*own):
            log(f"Column {name}: {_written(own[0])} and {_written(own[1])} are both taken for False and True.")
            return common_column(truths[0], *truths)
        found = self._read(name, own)
        if found.kind == "category" and not _share_levels(found):
            words = [f"'{found.levels[int(each[~np.isnan(each)][0])][:40]}'" for each in (found.x, found.y)]
            log(f"Column {name}: no level of {self.a.name}, such as {words[0]}, is one of {self.b.name}, "
                   f"such as {words[1]}.")  # fmt: skip
        return found

    def _read(self, name: str, own: tuple[Column, Column]) -> CommonColumn:
        self._check_kinds(*own)
        both, rows = self.joint[0].get(name), self.joint[1]
        if both is not None and _agrees(both, own):
            parts = (replace(both, values=values) for values in (both.values[:rows], both.values[rows:]))
            return common_column(both, *parts)
        own = self._filled(*own)
        self._check_forms(*own)
        return common_column(own[0], *own, typed=isinstance(self.a.raw[name], TypedColumn | TextColumn))

    def _filled(self, a: Column, b: Column) -> tuple[Column, Column]:
        """An empty column is of the kind of the other."""
        if _is_empty(a) != _is_empty(b):
            return (replace(b, values=a.values), b) if _is_empty(a) else (a, replace(a, values=b.values))
        return a, b

    def _check_kinds(self, a: Column, b: Column) -> None:
        kinds = [_family(each) for each in (a, b)]
        if kinds[0] == kinds[1] or _is_empty(a) or _is_empty(b) or _are_numbers(a, b):
            return
        entry = json.dumps({"columns": {a.name: "category"}}, ensure_ascii=False)
        raise UserError(
            f"Column {a.name} is of another kind in {self.b.name} than in {self.a.name}",
            found=f"{_shown(b)} against {_shown(a)}",
            hint=f"give its kind in a {parameter('schema')} file ({entry}), or leave it "
            f"out with {parameter('columns')}",
        )

    def _check_forms(self, a: Column, b: Column) -> None:
        """Numbers in one unit, dates on one clock."""
        if isinstance(a.form, NumberForm) and isinstance(b.form, NumberForm):
            worn = [(each.form.dress.prefix.strip(), each.form.dress.suffix.strip())
                    for each in (a, b) if isinstance(each.form, NumberForm)]  # fmt: skip
            if worn[0] != worn[1]:
                raise self._forms(a.name, "other units", ["".join(each) or "none" for each in worn])
        if isinstance(a.form, DateForm) and isinstance(b.form, DateForm):
            if bool(a.form.zone) != bool(b.form.zone):
                words = ["moments" if each.zone else "no time zone" for each in (a.form, b.form)]
                raise self._forms(a.name, "dates of another kind", words)
            if a.form.of_day != b.form.of_day:
                words = ["times of day" if each.of_day else "dates" for each in (a.form, b.form)]
                raise self._forms(a.name, "dates of another kind", words)

    def _forms(self, name: str, what: str, words: Sequence[str]) -> UserError:
        return UserError(
            f"Column {name} has {what} in {self.b.name} than in {self.a.name}",
            found=f"{words[1]} against {words[0]}",
            hint=f"write both in one, or leave it out with {parameter('columns')}",
        )


def _share_levels(column: CommonColumn) -> bool:
    """Whether a level occurs in both samples, or one of them holds none."""
    x, y = ({*np.unique(each[~np.isnan(each)]).tolist()} for each in (column.x, column.y))
    return not x or not y or bool(x & y)


def _written(column: Column) -> str:
    there = np.unique(column.values[~np.isnan(column.values)])
    return "/".join(column.form.texts(there))


def _family(column: Column) -> str:
    return "category" if column.kind == "boolean" else column.kind


def _is_empty(column: Column) -> bool:
    return bool(np.isnan(column.values).all())


def _agrees(both: Column, own: tuple[Column, Column]) -> bool:
    """Whether reading two columns as one gives what each is by itself."""
    kinds = {_family(each) for each in own if not _is_empty(each)}
    missing = sum(int(np.isnan(each.values).sum()) for each in own)
    return (not kinds or _family(both) in kinds) and int(np.isnan(both.values).sum()) <= missing


def _are_numbers(a: Column, b: Column) -> bool:
    """Whether one holds numbers and the other codes of digits, such as 01234: both are codes."""
    kinds = {_family(a), _family(b)}
    codes = next((each.form.levels for each in (a, b) if isinstance(each.form, LevelForm)), ())
    return kinds == {"number", "category"} and all(as_number(level) is not None for level in codes)


def _shown(column: Column) -> str:
    first = column.values[~np.isnan(column.values)][:1]
    return f"a {column.kind} such as '{column.form.texts(first)[0][:40]}'"
