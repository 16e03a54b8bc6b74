"""Text that spreadsheet programs would run as a formula when they open a CSV file."""

import re
from collections.abc import Sequence

from wassergan.data.tables.codec import ColumnCodec
from wassergan.data.tables.formats import LevelForm
from wassergan.errors import parameter

PREFIX = "'"
_BLANK = r"[\s\x00-\x20\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]*"  # seen by nobody, and skipped by some programs
_ADDS, _EQUALS = r"+\-＋－﹢﹣−", r"=@＝＠﹦﹫"
_FIGURES = r"\d[\d.,'\u00a0\u202f ]*(?:[eE][+-]?\d+)?\s*%?\s*"
# At the start of a cell every sign counts; behind what another program may take for the end of a cell, those that begin
# neither a number nor a dash in a sentence.
_START = re.compile(rf"{_BLANK}[{_ADDS}{_EQUALS}\t\r\n]")
_INSIDE = re.compile(rf"([,;|\t\r\n\"]{_BLANK})(?=[{_EQUALS}]|[{_ADDS}](?!\s|$|{_FIGURES}(?:[,;|\t\r\n\"]|$)))")
_NUMBER = re.compile(rf"\s*[{_ADDS}]?\s*{_FIGURES}")


def runs(text: str) -> bool:
    """Whether a cell of this text may be run as a formula; numbers and single signs are none.

    >>> [runs(text) for text in ("=1+1", "-3,5", "-", " @SUM(A1)", "a;=1+1", "a - b")]
    [True, False, False, True, True, False]
    """
    return _at_the_start(text) or _INSIDE.search(text) is not None


def safe(text: str) -> str:
    """The same with an apostrophe before what would be run, which makes it text.

    >>> safe("=1+1"), safe("-3"), safe("a;=1+1")
    ("'=1+1", '-3', "a;'=1+1")
    """
    inner = _INSIDE.sub(rf"\1{PREFIX}", text)
    return PREFIX + inner if _at_the_start(text) else inner


def _at_the_start(text: str) -> bool:
    return len(text) > 1 and _START.match(text) is not None and not _NUMBER.fullmatch(text)


class Formulas:
    """Counts cells of text that would be run, header included, and makes them safe if asked to.

    Args:
        prefix: whether to put an apostrophe before them.
    """

    def __init__(self, *, prefix: bool = False) -> None:
        self._prefix = prefix
        self.count = 0
        self.example = ""

    def cells(self, texts: Sequence[str]) -> list[str]:
        """Texts as they are to be written, (n,)."""
        changed = {text: safe(text) for text in set(texts) if runs(text)}
        if not changed:
            return list(texts)
        self.count += sum(text in changed for text in texts)
        self.example = self.example or min(changed)
        return [changed.get(text, text) for text in texts] if self._prefix else list(texts)

    def column(self, column: ColumnCodec, texts: Sequence[str]) -> Sequence[str]:
        """Those of a column that is learnt: numbers and dates are no text, but what stands for a missing one may be."""
        levels = column.form.levels if isinstance(column.form, LevelForm) else ()
        return self.cells(texts) if any(map(runs, (column.missing, *levels))) else texts

    def told(self) -> str:
        """A sentence on what was found; empty if nothing was."""
        if not self.count:
            return ""
        many = "1 cell begins" if self.count == 1 else f"{self.count} cells begin"
        done = (
            "each now has an apostrophe before it"
            if self._prefix
            else f"{parameter('safe_csv', True)} puts an apostrophe before it"
        )
        return f"{many} as a formula does, such as {self.example!r}; spreadsheet programs may run it: {done}."
