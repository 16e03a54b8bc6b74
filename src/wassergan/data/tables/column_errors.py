"""What to say of a column that cannot be learnt as it is: where it stands, what was found, what mends it."""

import json
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.columns import OddColumn, RawTable, TextColumn
from wassergan.data.tables.date_finding import Misfit, NoZoneError, most_fit
from wassergan.data.tables.formats import Values
from wassergan.data.tables.schema import ColumnSpec
from wassergan.data.tables.text_columns import different_units
from wassergan.errors import UserError, parameter

MOST_LEVELS = 100_000
FEW_ROWS = 20  # in so few rows, different values everywhere mean nothing
MIXED_SHARE = 0.9  # a column with this share of numbers is one of numbers, with mistakes
DISTINCT_SHARE = 0.8  # text that repeats itself less is no category
DATES_NEEDED = 10  # different texts that are dates, before one that is none is a mistake
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)


class ColumnErrors:
    """Errors about one column of a table.

    Args:
        table: in which it stands.
        name: of the column.
        wish: what the user says of it.
    """

    def __init__(self, table: RawTable, name: str, wish: ColumnSpec) -> None:
        self._table, self._name, self._wish = table, name, wish
        self.where = f"Column {name} of {table.name}"

    def odd(self, raw: OddColumn) -> UserError:
        """What to say of a column of a type that no column can have."""
        return UserError(
            f"{self.where} {raw.what}",
            found=raw.type,
            hint=f"{raw.hint}, or leave it out in a {parameter('schema')} file: "
            f'{{"columns": {{"{self._name}": "drop"}}}}',
        )

    def too_many(self, count: int) -> UserError:
        """So many levels."""
        return UserError(
            f"{self.where} has too many levels",
            found=f"{count}, of at most {MOST_LEVELS}",
            hint=f'merge rare ones, or leave the column out in a {parameter("schema")} file: {{"columns": {{"'
            + self._name
            + '": "drop"}}',
        )

    def no_key(self, found: str) -> UserError:
        """An identifier of no pattern."""
        return UserError(
            f"{self.where} follows no pattern that identifiers have",
            found=found,
            hint=f'leave it out in a {parameter("schema")} file: {{"columns": {{"' + self._name + '": "drop"}}',
        )

    def no_date(self, raw: TextColumn, levels: list[str], fits: NDArray[np.bool_] | None) -> UserError:
        """A text that is no date, where some fit and others do not."""
        wanted = self._wish.format
        if fits is None or not fits.any() or fits.all():
            bad, wanted = levels[0], wanted or "a format that is known"
        else:
            bad = levels[int((~fits).argmax())]
            most = most_fit(levels)
            wanted = wanted or (most.pattern if most else "the format of the others")
        return UserError(
            f"{self.where} does not hold dates alone",
            found=f"{self._first(raw, bad)} is not in {wanted}",
            hint='give their format in the schema: {"kind": "date", "format": "%d.%m.%Y"}, or say "invalid": "missing" '
            "there to take such values as missing",
        )

    def no_number(self, raw: TextColumn, levels: list[str], fits: NDArray[np.bool_] | None) -> UserError:
        """A text that is no number, likewise."""
        bad = levels[0] if fits is None or fits.all() else levels[int((~fits).argmax())]
        return UserError(
            f"{self.where} does not hold numbers alone",
            found=self._first(raw, bad),
            hint="correct the values, or name them under 'missing' in the schema",
        )

    def no_zone(self, error: NoZoneError) -> UserError:
        """Offsets from UTC of no zone."""
        return UserError(
            f"{self.where} holds offsets from UTC that are those of no time zone",
            found=str(error).partition(": ")[2].rstrip("."),
            hint="write its moments in UTC with the offset in a column of its own, or leave it out: "
            + self._in_schema('"drop"'),
        )

    def infinite(self, text: str, row: int) -> UserError:
        """An infinite value, and its row."""
        return UserError(
            f"{self.where} holds infinite values",
            found=f"'{text}', the first in {self._table.row_name(row)}",
            hint=f"correct them, or name them as missing in a {parameter('schema')} file: "
            + self._in_schema(json.dumps({"kind": "number", "missing": [text]})),
        )

    def mixed(self, raw: TextColumn, levels: Sequence[str], numeric: NDArray[np.bool_]) -> UserError:
        """Numbers, and texts that are none."""
        text = levels[int((~numeric).argmax())]
        row = int((raw.codes == raw.levels.index(text)).argmax())
        if INFINITE.fullmatch(text.strip()):
            return self.infinite(text, row)
        return UserError(
            f"{self.where} mixes numbers and text",
            found=self._first(raw, text),
            hint=f'correct it, name it under "missing", or make the column a category in a {parameter("schema")} file',
        )

    def refuse_other_dates(self, raw: TextColumn, levels: list[str]) -> None:
        """Refuse dates of which some are none, or are in another format."""
        most = most_fit(levels)
        if most is None or most.fits.sum() < DATES_NEEDED or most.fits.all():
            return
        bad = [level for level, fits in zip(levels, most.fits, strict=True) if not fits]
        entry = json.dumps({"kind": "date", "format": most.pattern, "invalid": "missing"}, ensure_ascii=False)
        missing = self._in_schema(entry)
        if self._are_mostly_dates(most):
            more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise UserError(
                f"{self.where} holds dates, and what is no date in {most.pattern}",
                found=self._first(raw, bad[0]) + more,
                hint=f"correct it, or take it as missing with a {parameter('schema')} file: {missing}",
            )
        if most.other and most.together >= MIXED_SHARE * len(levels):
            raise UserError(
                f"{self.where} holds dates in two formats",
                found=f"{most.pattern} and {most.other}, such as {self._first(raw, bad[0])}",
                hint=f"write them all in one, or take those in the second as missing with a "
                f"{parameter('schema')} file: {missing}",
            )

    def refuse_other_whole_dates(self, texts: list[str], values: Values) -> None:
        """Refuse whole numbers most of which are dates."""
        most = most_fit(texts)
        if most is None or most.fits.all() or not self._are_mostly_dates(most):
            return
        bad = texts[int((~most.fits).argmax())]
        raise UserError(
            f"{self.where} holds dates, and what is no date in {most.pattern}",
            found=f"{bad} in {self._table.row_name(int((values == float(bad)).argmax()))}",
            hint=f'correct it, or make the column a "number" in a {parameter("schema")} file',
        )

    def refuse_other_units(self, raw: TextColumn, levels: list[str], count: int) -> None:
        """Refuse numbers in different units that would be left out as text."""
        units = different_units(levels)
        if units is None or count < FEW_ROWS or len(levels) <= DISTINCT_SHARE * count:
            return
        raise UserError(
            f"{self.where} holds numbers in different units",
            found=f"{self._first(raw, units.first)}, {self._first(raw, units.other)}",
            hint="put the unit into a column of its own, or leave it out: " + self._in_schema('"drop"'),
        )

    def _are_mostly_dates(self, most: Misfit) -> bool:
        return bool(most.fits.sum() >= DATES_NEEDED and most.fits.mean() >= MIXED_SHARE)

    def _first(self, raw: TextColumn, level: str) -> str:
        """Where a text stands first."""
        return f"'{level[:40]}' in {self._table.row_name(int((raw.codes == raw.levels.index(level)).argmax()))}"

    def _in_schema(self, entry: str) -> str:
        return f'{{"columns": {{{json.dumps(self._name, ensure_ascii=False)}: {entry}}}}}'
