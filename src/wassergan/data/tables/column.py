"""A column as it is learnt: numbers, and how they are written."""

from dataclasses import dataclass

from wassergan.data.tables.formats import DateForm, LevelForm, NumberForm, Values


@dataclass(frozen=True)
class Column:
    """A column of numbers, and how they are written.

    Args:
        name: of the column.
        kind: `number`, `category`, `boolean` or `date`.
        values: (n,) float64: numbers, level numbers or units of time; NaN where there is nothing.
        form: how values are written.
        low: smallest number to be generated, if the user says so.
        high: largest number to be generated, if the user says so.
        missing: the text that stands for a missing value.
        turn: of angles, the two numbers that mean the same.
        marked: missing values are written as `missing` in columns of text even where the file could say nothing.
    """

    name: str
    kind: str
    values: Values
    form: NumberForm | LevelForm | DateForm
    low: float | None = None
    high: float | None = None
    missing: str = ""
    turn: tuple[float, float] | None = None
    marked: bool = False
