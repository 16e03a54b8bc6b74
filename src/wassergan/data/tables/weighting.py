"""A column of a table that holds the weights of its rows; it is no column of what is learnt."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from wassergan.data.tables.columns import RawTable
from wassergan.data.tables.formats import NumberForm
from wassergan.data.tables.inference import infer_columns
from wassergan.data.tables.rules.grammar import parse_rules
from wassergan.data.tables.schema import ColumnSpec, Schema
from wassergan.data.weights import Weights, checked_weights, effective_count
from wassergan.errors import UserError, unknown_name


def weights_in(table: RawTable, name: str, schema: Schema) -> Weights:
    """The weights that a column holds, (rows,).

    Args:
        table: as it stands in the file.
        name: of the column.
        schema: what the user says about the table: how its numbers are written, what is missing.

    Raises:
        UserError: there is no such column, it holds no numbers, or some are no weights.
    """
    if name not in table.names:
        raise unknown_name(f"column of {table.name} with weights", name, table.names)
    raw = table.columns[table.names.index(name)]
    spec = schema.columns.get(name, ColumnSpec())
    if spec.kind not in (None, "number", "drop"):
        raise UserError(f"Column {name} of {table.name} holds the weights", found=f"it is a {spec.kind} in the schema")
    alone = replace(table, columns=(raw,), notes=())
    wish = replace(schema, columns={name: replace(spec, kind="number", step="none")}, rules=())
    (column,) = infer_columns(alone, wish, log=_refuse)
    if not isinstance(column.form, NumberForm):
        raise UserError(f"Column {name} of {table.name} holds no weights", found=f"a {column.kind}")
    return checked_weights(
        column.values, count=table.rows, name=f"Column {name} of {table.name}", row_name=table.row_name
    )


def _refuse(sentence: str) -> None:
    if "Left out" in sentence or "is an identifier" in sentence:
        raise UserError(sentence.rstrip("."), hint="weights are numbers from 0 on")


def without(schema: Schema, name: str, condition: Sequence[str]) -> Schema:
    """The schema of the other columns.

    Raises:
        UserError: a rule or a condition is about the weights.
    """
    for rule in parse_rules(schema.rules):
        if name in rule.columns:
            raise UserError(f"The rule '{rule.text}' is about column {name}, which holds the weights")
    if name in condition:
        raise UserError(f"Column {name} is no condition: it holds the weights", hint="choose one of the two")
    return replace(schema, columns={**schema.columns, name: ColumnSpec("drop")})


def say_what_weights_do(name: str, weights: Weights, log: Callable[[str], None]) -> None:
    """How many rows take part, and how many they are worth."""
    gone = int((weights == 0).sum())
    log(
        f"{len(weights) - gone} rows with weights tell as much as {effective_count(weights):.0f} of equal weight"
        f" ({name}{f'; {gone} of weight 0 are left out' if gone else ''})."
    )
