"""Rows of text to a CSV file, in the dialect of the one that they are like."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence

Texts = Sequence[str]


class CsvWriter:
    """Writes columns of text.

    Args:
        file: where to.
        names: of the columns.
        dialect: as `Dialect.state` tells it.
        delimiter: instead of the one of the dialect.
        missing: of each column, the text that stands for a missing value.
        cells: what becomes of texts of the header, (n,).
    """

    def __init__(
        self,
        file: io.TextIOBase,
        names: Texts,
        dialect: Mapping[str, str],
        *,
        delimiter: str | None = None,
        missing: Mapping[str, str] | None = None,
        cells: Callable[[Texts], list[str]] = list,
    ) -> None:
        self._file, self._names, self._dialect, self._missing = file, names, dialect, missing or {}
        self._cells = cells
        own = dialect.get("delimiter", ",")
        self._delimiter = delimiter or own
        self._end = dialect.get("terminator", "\n")
        self._gap = self._delimiter + " " * ("spaced" in dialect)
        self._quoted = set(json.loads(dialect.get("quoted", "[]")))
        self._bare = set(json.loads(dialect.get("bare_missing", "[]")))
        self._spare = int(dialect.get("spare", "0"))
        self._is_plain = not (self._quoted or self._spare or "spaced" in dialect)
        self._special = (self._delimiter, '"', "\n", "\r")
        if dialect.get("separator") and self._delimiter == own:
            file.write(dialect["separator"] + self._end)

    def header(self) -> None:
        """Write the names as they stood."""
        shown = json.loads(self._dialect.get("header", "{}"))
        header = self._cells([shown.get(name, name) for name in self._names])
        if "quoted_header" in self._dialect:
            header = [_quoted(name) for name in header]
        elif self._is_plain:
            self._plain([header])
            return
        else:
            header = [self._text(name) for name in header]
        self._line(header, self._spare if self._spare > 0 else 0)

    def rows(self, columns: Sequence[Texts]) -> None:
        """Write columns, (n,) each."""
        if self._is_plain:
            self._plain(zip(*columns, strict=True))
            return
        shown = [list(map(self._field(name), column)) for name, column in zip(self._names, columns, strict=True)]
        for row in zip(*shown, strict=True):
            self._line(row, abs(self._spare))

    def cell(self, name: str, text: str) -> str:
        """A text as a column of that name writes it, quoted where the column's are and where that is needed."""
        return self._field(name)(text)

    def _plain(self, rows: "Sequence[Texts] | zip[tuple[str, ...]]") -> None:
        csv.writer(self._file, delimiter=self._delimiter, lineterminator=self._end).writerows(rows)

    def _line(self, row: Texts, spare: int) -> None:
        self._file.write(self._gap.join(row) + self._delimiter * spare + self._end)

    def _field(self, name: str) -> Callable[[str], str]:
        if name not in self._quoted:
            return self._text
        bare = self._missing.get(name) if name in self._bare else None
        return lambda text: text if text == bare else _quoted(text)

    def _text(self, text: str) -> str:
        blank = "spaced" in self._dialect and text[:1] == " "
        needs = blank or any(sign in text for sign in self._special) or (text == "" and len(self._names) == 1)
        return _quoted(text) if needs else text


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
