"""The line of totals with which a spreadsheet ends: told by its sums, and by its word or by what it leaves empty."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.columns import ColumnsToRead, RawTable, TextColumn, TypedColumn
from wassergan.data.tables.formats import NumberForm, Values
from wassergan.data.tables.missing_texts import MISSING_MARKS, MISSING_TEXTS
from wassergan.data.tables.schema import ColumnSpec
from wassergan.data.tables.text_columns import decimal_of, numbers_of
from wassergan.errors import parameter

_ENGLISH = ("total", "totals", "subtotal", "subtotals", "sum", "sums", "overall", "all")
_GERMANIC = (
    *("summe", "summen", "gesamt", "gesamtsumme", "gesamtbetrag", "gesamtergebnis", "insgesamt", "endsumme"),
    *("zwischensumme", "teilergebnis", "totaal", "subtotaal", "eindtotaal", "summa", "totalt", "ialt", "sammanlagt"),
)
_ROMANCE = ("totaux", "somme", "ensemble", "totale", "totali", "somma", "totales", "suma", "soma", "totais")
_OTHERS = (
    *("yhteensä", "razem", "ogółem", "łącznie", "celkem", "součet", "spolu", "összesen", "toplam", "jumlah", "tổng"),
    *("итого", "всего", "сумма", "разом", "усього", "σύνολο", "σ", "∑", "सभी", "कुल", "योग", 'סה"כ', "סה״כ", "סך"),
    *("المجموع", "الإجمالي", "مجموع", "合计", "总计", "小计", "合計", "総計", "總計", "小計", "計", "합계", "총계"),
)
WORDS = frozenset((*_ENGLISH, *_GERMANIC, *_ROMANCE, *_OTHERS))
LONGEST_WORD = 40  # of a cell that names a total
NOTHING = frozenset((*MISSING_TEXTS, *MISSING_MARKS))
EMPTY = ("", "-", "--", "\N{EN DASH}", "\N{EM DASH}")
LEAST_ABOVE, LEAST_UNNAMED = 2, 3  # rows that are summed up, where a word says so and where none does
ROUNDED = 0.01  # share of a sum that rounded summands may miss at most
MOST_PLACES = 9
SHOWN = 3


@dataclass(frozen=True)
class Total:
    """A line of totals at the end of a table.

    Args:
        row: in which it stands.
        kept: rows before it, without empty ones that set it apart.
        word: that names it; empty where an empty cell tells it.
        column: that the word stands in, or the empty cell.
        sums: names of the columns of which it holds the sum.
        subtotals: rows above that a word names, too.
    """

    row: int
    kept: int
    word: str
    column: str
    sums: tuple[str, ...]
    subtotals: int = 0

    def told(self, table: RawTable, *, left_out: bool, hint: str) -> str:
        """What it is and what becomes of it, in a sentence or two."""
        why = f"'{self.word}' in column {self.column}" if self.word else f"nothing in column {self.column}"
        shown = ", ".join(self.sums[:SHOWN]) + (f" and {more} more" if (more := len(self.sums) - SHOWN) > 0 else "")
        what = f"the sum of column{'s' * (len(self.sums) > 1)} {shown}"
        fate = "left out" if left_out else "learnt like the rows above"
        name = f"The{table.name[3:]}" if table.name.startswith("the ") else table.name
        told = f"{name} ends with a line of totals ({table.row_name(self.row)}: {why}, {what}), which is {fate}"
        many = self.subtotals > 1
        subtotals = f"{self.subtotals} rows of subtotals above are" if many else "A row of subtotals above it is"
        return f"{told}{hint}." + (f" {subtotals} learnt like the others." if self.subtotals else "")


def without_total(table: RawTable, *, keep: bool = False) -> RawTable:
    """A table of text without the line of totals at its end; a note says what was left out, or that it is kept.

    Args:
        table: whose columns are all of text.
        keep: whatever the last row looks like, it is one.
    """
    if keep:
        return table
    total = total_of(table)
    if isinstance(total, str):
        return replace(table, notes=(*table.notes, total))
    if total is None:
        return table
    hint = f'; {{"totals": "keep"}} in a {parameter("schema")} file keeps it'
    columns = []
    for column in table.columns:
        assert isinstance(column, TextColumn)
        codes = column.codes[: total.kept]
        # Levels stand in the order in which they first occur.
        columns.append(replace(column, codes=codes, levels=column.levels[: int(codes.max(initial=-1)) + 1]))
    lines = None if table.lines is None else table.lines[: total.kept]
    note = total.told(table, left_out=True, hint=hint)
    return replace(table, columns=tuple(columns), rows=total.kept, lines=lines, notes=(*table.notes, note))


def with_total_told(table: RawTable) -> RawTable:
    """A table of which every row stays, with a note if its last one holds totals."""
    total = total_of(table)
    if total is None:
        return table
    hint = ": leave it out unless that is meant"
    note = total if isinstance(total, str) else total.told(table, left_out=False, hint=hint)
    return replace(table, notes=(*table.notes, note))


def total_of(table: RawTable) -> Total | str | None:
    """The line of totals with which a table ends; a sentence for one that only says so; None for neither.

    It has a word for a total in one of its cells, and the sum of the cells above in at least as many columns as it has
    other numbers (means and counts aside). Without a word all its numbers are sums or means, one of them larger than
    every number above it, and a cell is empty that is filled in every row above.
    """
    if isinstance(table.columns, ColumnsToRead) or table.rows <= LEAST_ABOVE:
        return None
    columns = [_Cells(each.name, each) for each in table.columns if isinstance(each, TextColumn | TypedColumn)]
    row = _last(columns, table.rows)
    kept = _last(columns, row) + 1
    if row < 0 or kept < LEAST_ABOVE:
        return None
    named = [column for column in columns if _is_word(column.text(row))]
    blank = [column for column in columns if column.text(row) in EMPTY and column.is_filled(kept)]
    if not named and (not blank or kept < LEAST_UNNAMED):
        return None
    subtotals = np.zeros(table.rows, bool)
    for column in named:
        subtotals |= column.has_words()
    subtotals[kept:] = False
    decimal = decimal_of(table)
    found = {column.name: column.role(row, kept, subtotals, decimal) for column in columns if column not in named}
    sums = tuple(name for name, role in found.items() if role in ("sum", "large sum"))
    others = sum(role == "other" for role in found.values())
    if named and not sums and not others:
        sums = tuple(name for name, role in found.items() if role == "small sum")
    if named and sums and len(sums) >= others:
        return Total(row, kept, named[0].text(row), named[0].name, sums, int(subtotals.sum()))
    if named:
        alone = [column for column in named if _is_word(column.text(row), alone=True)]
        has_numbers = any(found.values()) and not subtotals.any()
        return _no_sums(table, row, alone[0]) if alone and has_numbers else None
    texts = any(column.text(row) not in EMPTY and not found[column.name] for column in columns)
    if "large sum" in found.values() and not others and not texts:
        return Total(row, kept, "", blank[0].name, sums)
    return None


def _no_sums(table: RawTable, row: int, column: "_Cells") -> str:
    return (
        f"The last row of {table.name} says '{column.text(row)}' in column {column.name} ({table.row_name(row)}), but "
        "does not hold the sums of the rows above: it is learnt like them."
    )


def _is_word(text: str, *, alone: bool = False) -> bool:
    """Whether a cell names a total: `Total:`; unless it is to stand alone, `Grand total` and `Summe 2024`, too."""
    if not text or len(text) > LONGEST_WORD:
        return False
    folded = text.casefold()
    return folded.strip(" :.=") in WORDS or not (alone or WORDS.isdisjoint(re.split(r"[\W_]+", folded)))


def _last(columns: Sequence["_Cells"], rows: int) -> int:
    """The last of the first rows in which some cell is filled; -1 for none."""
    if rows > 0 and any(column.text(rows - 1) for column in columns):
        return rows - 1
    return max((column.last(rows) for column in columns), default=-1)


@dataclass(frozen=True, eq=False)
class _Cells:
    """A column of text or numbers, as a line of totals is looked for in it."""

    name: str
    raw: TextColumn | TypedColumn

    def text(self, row: int) -> str:
        """Of a cell; empty where there is nothing."""
        if isinstance(self.raw, TypedColumn):
            value = float(self.raw.values[row])
            return "" if np.isnan(value) else repr(value)
        code = self.raw.codes[row]
        return self.raw.levels[code].strip() if code >= 0 else ""

    def last(self, rows: int) -> int:
        """The last of the first rows in which something stands; -1 for none."""
        return int(np.flatnonzero(~self._lacks(("",), rows)).max(initial=-1))

    def is_filled(self, rows: int) -> bool:
        """Whether no cell of the first rows is empty."""
        return not self._lacks(EMPTY, rows).any()

    def _lacks(self, texts: Sequence[str], rows: int) -> NDArray[np.bool_]:
        if isinstance(self.raw, TypedColumn):
            return np.isnan(self.raw.values[:rows])
        return np.array([*(level.strip() in texts for level in self.raw.levels), True])[self.raw.codes[:rows]]

    def has_words(self) -> NDArray[np.bool_]:
        """Rows in which a word for a total stands."""
        if isinstance(self.raw, TypedColumn):
            return np.zeros(len(self.raw.values), bool)
        return np.array([*(_is_word(level.strip()) for level in self.raw.levels), False])[self.raw.codes]

    def role(self, row: int, kept: int, subtotals: NDArray[np.bool_], decimal: str) -> str:
        """What the number in a row is to those above: a sum, `mean` or `other`; empty where there is none.

        A `large sum` is larger than every number above, a `small sum` that of at most one number besides zeros. `mean`
        stands for counts and for zero as well.
        """
        if self.text(row) in EMPTY:
            return ""
        roles = [
            _role(cells, number)
            for values, number in self._readings(row, kept, decimal)
            for cells in ((values[~subtotals[:kept]], values) if subtotals.any() else (values,))
        ]
        return next((role for role in ("large sum", "sum", "small sum", "mean", "other") if role in roles), "")

    def _readings(self, row: int, kept: int, decimal: str) -> Iterator[tuple[Values, float]]:
        """The numbers above (kept,), NaN where there is none, and the number of the row: in each way to read them."""
        if isinstance(self.raw, TypedColumn):
            if self.raw.kind == "number":
                yield self.raw.values[:kept], float(self.raw.values[row])
            return
        above = np.unique(self.raw.codes[:kept])
        own = self.raw.codes[row]
        levels = {int(code): self.raw.levels[code] for code in above[above >= 0].tolist()}
        levels = {code: level for code, level in levels.items() if level.strip() not in NOTHING}
        for texts in ({**levels, int(own): self.raw.levels[own]}, levels):
            found = numbers_of(list(texts.values()), ColumnSpec(), evidence=decimal) if texts else None
            if found is None or not isinstance(found.form, NumberForm):
                continue
            numbers = np.full(len(self.raw.levels) + 1, np.nan)
            numbers[list(texts)] = found.values
            plain = found.form.dress.bare_text(self.raw.levels[own])
            if plain is not None:
                yield numbers[self.raw.codes[:kept]], float(plain)


def _role(values: Values, number: float) -> str:
    there = values[np.isfinite(values)]
    if np.count_nonzero(there) < LEAST_ABOVE or not np.isfinite(number):
        return "small sum" if number == there.sum() else "other"
    total, places = float(there.sum()), _places(there)
    rounding = 10.0**-places * min(len(there) / 2, 2 * len(there) ** 0.5)
    rounding += 0.5 * 10.0 ** -_places(np.array([number])) if _places(np.array([number])) < places else 0
    exact = 1e-9 * float(np.abs(there).sum())
    if abs(number - total) <= min(rounding, ROUNDED * abs(total)) + exact:
        return "large sum" if abs(number) > np.abs(there).max() else "sum"
    mean, count = total / len(there), len(there)
    half = 0.5 * 10.0 ** -min(_places(np.array([number])), places + 2)
    return "mean" if abs(number - mean) <= half + exact or number in (0, count, len(values)) else "other"


def _places(values: Values) -> int:
    """Digits behind the point of all values, at most nine."""
    for places in range(MOST_PLACES):
        scaled = values * 10.0**places
        if (np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(1, np.abs(scaled))).all():
            return places
    return MOST_PLACES
