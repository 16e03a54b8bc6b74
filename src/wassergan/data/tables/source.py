"""A table as a source: every column's kind found out, its coding fitted to the training rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.context import Context, Rows
from wassergan.data.source import Source
from wassergan.data.split import HELDOUT_SHARE, SparseSplit, Split, keep_classes, split_rows
from wassergan.data.tables.codec import ColumnCodec, TableCodec
from wassergan.data.tables.column import Column
from wassergan.data.tables.columns import ColumnsToRead, RawTable
from wassergan.data.tables.conditions import ColumnContext
from wassergan.data.tables.containers import ArrowContainer, Container, CsvContainer
from wassergan.data.tables.fitting import Chosen, each_alone, fit_all, fitted_to, of_all_rows
from wassergan.data.tables.formats import LevelForm, Values
from wassergan.data.tables.hidden import CompletionContext
from wassergan.data.tables.identifiers.identifier import Identifier
from wassergan.data.tables.inference import infer_columns
from wassergan.data.tables.margins import fit_margins
from wassergan.data.tables.on_disk import ColumnsOnDisk, RowsOnDisk
from wassergan.data.tables.roundtrip import round_trip
from wassergan.data.tables.rules.book import RuleBook
from wassergan.data.tables.rules.compile import book_of
from wassergan.data.tables.rules.grammar import parse_rules
from wassergan.data.tables.schema import Schema
from wassergan.data.tables.weighting import say_what_weights_do, weights_in, without
from wassergan.data.weights import Weights, are_equal, checked_weights
from wassergan.errors import UserError, unknown_name


class TableReader:
    """Rows of a table in memory or on disk, (k, columns) float64.

    Args:
        rows: all of them.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: Tensor) -> Tensor:
        """Rows (k,) as a new tensor."""
        return torch.from_numpy(self.rows[indices.numpy()])


def table_source(
    table: RawTable,
    *,
    schema: Schema | None = None,
    condition: Sequence[str] = (),
    completion: bool = False,
    heldout: float = HELDOUT_SHARE,
    seed: int = 0,
    log: Callable[[str], None] = lambda message: None,
    into: Container | None = None,
    weight: str | None = None,
    weights: Any = None,
) -> Source:
    """A source over a table with columns of any kind.

    Args:
        table: as it stands in the file; where its columns are read one by one, it takes no rules.
        schema: what the user says about it.
        condition: names of columns under whose values the others are drawn.
        completion: every column is learnt given any others.
        heldout: share held out; 0 to 1.
        seed: chooses the held-out rows.
        log: receives what was left out, and which columns are constant.
        into: what the table came in, if it is no file of text and no Arrow table.
        weight: name of a column that holds the weights of the rows; it is not learnt.
        weights: (rows,) the weights themselves, if no column holds them.

    Raises:
        UserError: no rows, a column that cannot be learnt or would not come back as it is, or nothing that varies.
    """
    if table.rows == 0:
        raise UserError(f"{table.name} holds no rows", hint="give data")
    schema, counted = _weighted(table, schema or Schema(), condition, weight, weights, log)
    identifiers: list[Identifier] = []
    heads, columns = _inferred(table, schema, identifiers, log)
    names = [head.name for head in heads]
    _refuse_identifiers(condition, identifiers)
    _check_condition(table.name, condition, names)
    given = Chosen(columns, [at for at, name in enumerate(names) if name in condition])
    split = _split(table, given, counted, heldout, seed, log)
    _require_learnt(schema, table, names, identifiers)
    book, columns = _ruled(columns, table, schema, split.train.numpy(), condition, counted)
    fitted = fit_all(columns, heads, condition, split.train.numpy(), ruled=book is not None)
    codec = TableCodec(
        fitted,
        dialect=table.dialect,
        arrow_schema=table.arrow_schema,
        given=condition,
        identifiers=identifiers,
        rules=book,
        known=each_alone(columns, split.train.numpy()) if completion else (),
    )
    if codec.width == 0:
        what = "that is no condition " if condition else ""
        raise UserError(f"Every column of {table.name} {what}has one level alone", hint="give data that vary")
    _say_what_never_varies(table.name, columns, fitted, log)
    stored = columns if isinstance(columns, ColumnsOnDisk) else None
    rows: Rows = np.stack([column.values for column in columns], axis=1) if stored is None else stored.rows()
    given_context = _context(fitted, rows, condition) if condition else None
    fit_margins(codec, rows, given_context, split.train.numpy(), counted)
    context: Context | None = given_context
    if completion:
        passed = [name for name in table.names if name not in {each.name for each in codec.written}]
        context = CompletionContext.of(TableCodec(codec.known), rows, split.train.numpy(), schema, passed)
    into = into or (ArrowContainer(table) if table.arrow is not None or stored is not None else CsvContainer(table))
    witnesses = None if stored is None else stored.witnesses
    trip = round_trip(table, codec, rows, split.train.numpy(), schema=schema, into=into, witnesses=witnesses)
    if isinstance(rows, RowsOnDisk):
        rows.settle()
    return Source(
        table.name,
        "table",
        (codec.width,),
        TableReader(rows),
        codec,
        split,
        columns=tuple(column.name for column in codec.written),
        context=context,
        round_trip=trip,
        weights=counted,
    )


def _inferred(
    table: RawTable, schema: Schema, identifiers: list[Identifier], log: Callable[[str], None]
) -> tuple[Sequence[Column], Sequence[Column]]:
    """The columns, which may lack their values, and the same with them: in memory, or read when they are asked for."""
    if not isinstance(table.columns, ColumnsToRead):
        columns = infer_columns(table, schema, log=log, identifiers=identifiers)
        return columns, columns
    stored = ColumnsOnDisk(table.name, table.rows)
    return infer_columns(table, schema, log=log, identifiers=identifiers, keep=stored.take), stored


def _weighted(
    table: RawTable,
    schema: Schema,
    condition: Sequence[str],
    weight: str | None,
    weights: Any,
    log: Callable[[str], None],
) -> tuple[Schema, Weights | None]:
    """What is left of a schema, and the weights of the rows; None where all count alike."""
    counted, name = None, weight or "sample_weight"
    if weight is not None:
        counted = weights_in(table, weight, schema)
        schema = without(schema, weight, condition)
    elif weights is not None:
        counted = checked_weights(weights, count=table.rows, name=name, row_name=table.row_name)
    if counted is None or are_equal(counted):
        return schema, None
    say_what_weights_do(name, counted, log)
    return schema, counted


def _say_what_never_varies(
    table: str, columns: Sequence[Column], fitted: Sequence[ColumnCodec], log: Callable[[str], None]
) -> None:
    """Columns that are empty, constant, or the same as others."""
    empty, alike = [], dict[object, list[str]]()
    for column in columns:
        if np.isnan(column.values).all():
            empty.append(column.name)
        levels = column.form.levels if isinstance(column.form, LevelForm) else type(column.form)
        same = (levels, blake2b(np.ascontiguousarray(column.values).data).digest())
        alike.setdefault(same, []).append(column.name)
    fixed = [column for column in fitted if column.coding.layout.width == 0 and column.name not in empty]
    constant = [column.name for column in fixed if not column.since]
    if empty:
        log(f"Empty in {table}, and written back empty: {', '.join(empty)}.")
    if constant:
        log(f"Constant in {table}, and written back as they are: {', '.join(constant)}.")
    varying = ([name for name in names if name not in (*empty, *constant)] for names in alike.values())
    twins = [names for names in varying if len(names) > 1]
    for names in twins:
        log(f"Equal in every row of {table}: {', '.join(names)}.")
    for each in fixed:
        if each.since and not any({each.name, each.since} <= set(names) for names in twins):
            log(f"Column {each.name} of {table} is always equally long after {each.since}, and written back so.")


def context_of(
    table: RawTable,
    *,
    condition: Sequence[str],
    split: Split | SparseSplit,
    seed: int = 0,
    log: Callable[[str], None],
) -> tuple[ColumnContext, Split | SparseSplit]:
    """Conditions that stand in a table of their own, one row per sample.

    Args:
        table: as it stands in the file.
        condition: names of the columns; all unless given.
        split: of the samples.
        seed: of that split.
        log: receives what was left out.

    Returns:
        The conditions, and the split, changed where it held all samples of a class out.

    Raises:
        UserError: a column cannot be learnt, never varies, or there is none of that name.
    """
    if condition:
        _check_condition(table.name, condition, [column.name for column in table.columns])
        table = replace(table, columns=tuple(each for each in table.columns if each.name in condition))
    columns = infer_columns(table, Schema(), log=log)
    names = list(condition) or _varying(table.name, columns, log)
    _check_condition(table.name, names, [column.name for column in columns])
    given = [column for column in columns if column.name in names]
    _require_levels(table.name, given)
    split = _with_classes(split, given, seed=seed, log=log)
    train = split.train_rows(torch.arange(split.train_count))
    fitted = [fitted_to(of_all_rows(column), (), train.numpy()) for column in columns]
    return _context(fitted, np.stack([column.values for column in columns], axis=1), names), split


def _where(column: Column, taking_part: NDArray[np.bool_] | None) -> Column:
    """A column in the rows that have a weight."""
    return column if taking_part is None else replace(column, values=column.values[taking_part])


def _varies(column: Column) -> bool:
    """Whether two rows differ; a missing value is one, too."""
    values = column.values
    return bool(np.isnan(values).any() and not np.isnan(values).all()) or bool((values != values[0]).any())


def _varying(table: str, columns: Sequence[Column], log: Callable[[str], None]) -> list[str]:
    """Names of the columns that can be conditions; the others are told."""
    constant = [column.name for column in columns if not _varies(column)]
    if constant and len(constant) < len(columns):
        log(f"Constant in {table}, and no conditions: {', '.join(constant)}.")
        return [column.name for column in columns if column.name not in constant]
    return [column.name for column in columns]


def _split(
    table: RawTable,
    given: Iterable[Column],
    weights: Weights | None,
    heldout: float,
    seed: int,
    log: Callable[[str], None],
) -> Split:
    """Training and held-out rows, with a row of each class that is conditioned on in training."""
    taking_part = None if weights is None else weights > 0
    _require_levels(table.name, (_where(column, taking_part) for column in given))
    apart = split_rows(table.rows, heldout=heldout, seed=seed, taking_part=taking_part)
    split = _with_classes(apart, given, seed=seed, log=log)
    assert isinstance(split, Split)
    return split


def _require_levels(table: str, conditions: Iterable[Column]) -> None:
    """Refuse conditions that are the same in all rows."""
    for column in conditions:
        if not _varies(column):
            first = column.values[:1]
            level = "nothing" if np.isnan(first).all() else column.form.texts(first)[0]
            raise UserError(
                f"The condition {column.name} of {table} is the same in all {len(column.values)} rows",
                found=f"'{level}'",
                hint="leave it out: there is nothing to choose",
            )


def _with_classes(
    split: Split | SparseSplit, conditions: Iterable[Column], *, seed: int, log: Callable[[str], None]
) -> Split | SparseSplit:
    """The split, with a row of each class that is conditioned on in training."""
    classes = {}
    for column in conditions:
        if isinstance(column.form, LevelForm):
            missing = np.isnan(column.values)
            classes[column.name] = np.where(missing, len(column.form.levels), column.values).astype(np.int64)
    kept = keep_classes(split, classes, seed=seed)
    if kept is not split:
        log("Some classes have too few samples to hold one out: one stays in training, another sample is held out.")
    return kept


def _context(fitted: Sequence[ColumnCodec], rows: Rows, names: Sequence[str]) -> ColumnContext:
    places = {column.name: index for index, column in enumerate(fitted)}
    chosen = [places[name] for name in names]
    return ColumnContext(TableCodec([fitted[index] for index in chosen]), rows[:, chosen])


def _ruled(
    columns: Sequence[Column],
    table: RawTable,
    schema: Schema,
    train: Any,
    condition: Sequence[str],
    weights: Weights | None,
) -> tuple[RuleBook | None, Sequence[Column]]:
    """The rules of the schema, and the columns as they need them."""
    if not schema.rules:
        return None, columns
    asked = [of_all_rows(column) if column.name in condition else column for column in columns]
    book, found = book_of(schema.rules, asked, table, train=train, given=condition, weights=weights)
    return book, tuple(replace(column, form=each.form) for column, each in zip(columns, found, strict=True))


def _require_learnt(schema: Schema, table: RawTable, names: Sequence[str], identifiers: Sequence[Identifier]) -> None:
    """Refuse rules about columns of the table of which nothing is learnt; names that no column has come later."""
    fresh, there = {each.name for each in identifiers}, set(table.names)
    for rule in parse_rules(schema.rules):
        for name in rule.columns:
            if name not in names and name in fresh | there:
                raise UserError(
                    f"The rule '{rule.text}' is about column {name}",
                    found="an identifier, of which nothing is learnt" if name in fresh else "it is left out",
                    hint="leave the rule out, or, if these are quantities of at most 15 digits, say so: "
                    f'{{"columns": {{"{name}": "number"}}}}',
                )


def _refuse_identifiers(condition: Sequence[str], identifiers: Sequence[Identifier]) -> None:
    for each in identifiers:
        if each.name in condition:
            raise UserError(
                f"Column {each.name} is no condition",
                found="an identifier, of which nothing is learnt",
                hint='choose another column, or say what it is in the schema: {"columns": {"'
                + each.name
                + '": "number"}}',
            )


def _check_condition(table: str, condition: Sequence[str], names: Sequence[str]) -> None:
    for name in condition:
        if name not in names:
            raise unknown_name(f"column of {table} to condition on", name, names)
    if len(set(condition)) < len(condition):
        raise UserError("A column is named twice as a condition", found=", ".join(condition))


def column_facts(codec: TableCodec, rows: Rows) -> list[dict[str, Any]]:
    """What each column of a table holds, and how it is coded: for `wassergan info`."""
    facts = []
    for index, column in enumerate(codec.columns):
        values = rows[:, index]
        there = values[~np.isnan(values)]
        facts.append(
            {
                "name": column.name,
                "kind": column.kind,
                **_range_of(column, there),
                "missing": float(np.isnan(values).mean()),
                "coded": column.coding.told() + (f", since {column.since}" if column.since else ""),
                "width": column.coding.layout.width,
                "written": "" if isinstance(column.form, LevelForm) else column.form.told(float(there.max())),
            }
        )
    for each in codec.identifiers:
        told = {"name": each.name, "kind": "id", "missing": each.missing, "coded": each.told(), "width": 0}
        facts.insert(each.before, told)
    return facts


def _range_of(column: ColumnCodec, there: Values) -> dict[str, Any]:
    if isinstance(column.form, LevelForm):
        return {"levels": len(column.form.levels)}
    low, high = column.form.texts(np.array([there.min(), there.max()]))
    return {"low": low, "high": high}
