"""Which columns are identifiers: by their name, and by values that repeat themselves too little for chance."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.distinct import distinct
from wassergan.data.tables.identifiers.identifier import HOPELESS, Identifier, digests
from wassergan.data.tables.identifiers.patterns import Coded, Pattern, numbers_pattern, texts_patterns

FEW_ROWS = 20  # in so few rows, different values everywhere mean nothing
NEARLY = 0.8  # share of different values from which on a column that is called an identifier is one
CHANCE = 14.0  # even numbers that are drawn at random are all different with a chance of exp(-14) at most
ALL_TAKEN = 0.9  # of the numbers between the smallest and the largest: rows that are numbered
LONG = 11  # digits, all of one width, from which on a number is no quantity
MOST_LENGTHS, MOST_LENGTHS_ASKED = 4, 16
LONGEST = 64
LIMITS = (-(10**30), 10**30)
_CERTAIN = {"id", "ids", "uuid", "guid", "identifier", "rowid", "kennung"}
_LAST_WORDS = {"key", "pk", "no", "nr", "num", "number", "rownum", "row", "code", "ref", "serial", "sku", "ssn", "iban"}
_LAST_WORDS |= {"isbn", "account", "card", "phone", "token", "hash", "nummer", "ticket", "invoice", "barcode", "ean"}
_QUANTITIES = {"year", "years", "jahr", "date", "time", "timestamp", "ts", "epoch", "month", "day", "days", "age", "t"}
_QUANTITIES |= {"hour", "minute", "second", "seconds", "step", "place", "rang", "rank", "salary", "price", "amount"}
_QUANTITIES |= {"population", "distance", "income", "total", "sum", "value", "size", "score", "lat", "lon", "x", "y"}
_QUANTITIES |= {"count", "z"}
_INDEX = re.compile(r"|unnamed: ?\d+(_level_\d+)?|index|level_\d+|__index_level_\d+__", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_TEXT = re.compile(r"[A-Za-z0-9]+([-_./:#+ ]{1,2}[A-Za-z0-9]+)*|\{[0-9A-Fa-f-]+\}|\+?\d+([- ]\d+)*")
_EPOCHS = ((3e8, 2.5e9), (3e11, 2.5e12), (3e14, 2.5e15))  # 1979 to 2049, in s, ms, µs


def is_index(name: str) -> bool:
    """Whether a column has the name of the index of a DataFrame."""
    return _INDEX.fullmatch(name) is not None


def key_of_numbers(name: str, numbers: NDArray[Any]) -> str:
    """Why whole numbers (n,), those that are there, are identifiers; nothing where they are not.

    Unique numbers are no quantity if n numbers drawn evenly from their range would repeat themselves: the chance that
    they do not is about exp(-n² / 2R). Uneven ones repeat themselves more.
    """
    count = len(numbers)
    different = distinct(numbers)
    if count < FEW_ROWS or len(different) <= NEARLY * count:
        return ""
    low, high = int(different[0]), int(different[-1])
    if _says_so(name):
        return "its name and its values say so"
    if _is_quantity(name) or len(different) < count:
        return ""
    spread = high - low + 1
    if count >= ALL_TAKEN * spread:
        return "it numbers the rows"
    is_time = any(a <= low and high <= b for a, b in _EPOCHS)
    rising = bool((numbers[1:] > numbers[:-1]).all() or (numbers[1:] < numbers[:-1]).all())
    if is_time or low < 0:
        return ""
    if count * count > 2 * CHANCE * spread and not rising:
        return "no two rows have the same number, which is no chance"
    if len(str(low)) == len(str(high)) >= LONG:
        return f"its numbers have {len(str(low))} digits, and no two rows have the same"
    return ""


def key_of_texts(name: str, texts: Sequence[str], count: int) -> str:
    """Why different texts, those of `count` rows, are identifiers; nothing where they are not."""
    if count < FEW_ROWS or len(texts) <= (NEARLY * count if _says_so(name) else count - 1):
        return ""
    if max(map(len, texts)) > LONGEST or not all(map(_TEXT.fullmatch, texts)):
        return ""
    if sum(any(each.isdigit() for each in text) for text in texts) < 0.99 * len(texts):
        return ""
    patterns = texts_patterns(texts, most=MOST_LENGTHS)
    return "no two rows have the same code" if patterns and all(map(_tells, patterns)) else ""


def _tells(pattern: tuple[Pattern, float]) -> bool:
    """Whether most places of a pattern are either fixed or of one class, as those of a code are."""
    if not isinstance(pattern[0], Coded):
        return True
    odd = sum(len(set(each)) > 1 and not each.isalnum() for each in pattern[0].places)
    return odd == 0


def identifier_of(
    name: str,
    values: NDArray[Any] | Sequence[str],
    *,
    missing: float,
    whole: bool,
    token: str = "",
    limits: tuple[int, int] = LIMITS,
) -> Identifier | None:
    """The identifier of a column; None where its values follow no pattern.

    Args:
        name: of the column.
        values: whole numbers, or different texts, those that are there.
        missing: share of the rows that have none.
        whole: the values are whole numbers of a type that is known.
        token: the text that stands for a missing value.
        limits: the smallest and the largest number of the type.
    """
    texts = list(dict.fromkeys(map(str, values)))
    if _are_numbers(texts):
        patterns: tuple[tuple[Pattern, float], ...] = ((numbers_pattern(list(map(int, texts)), limits), 1.0),)
    else:
        patterns = texts_patterns(texts, most=MOST_LENGTHS_ASKED)
    if not patterns:
        return None
    found, shares = zip(*patterns, strict=True)
    meets = any(not each.ascending and _size(each) < HOPELESS for each in found)
    known = np.unique(digests(texts)).astype("<u8").tobytes() if meets else b""
    return Identifier(name, 0, found, shares, whole, missing, token, known)


def _size(pattern: Pattern) -> int:
    return pattern.whole_size if isinstance(pattern, Coded) else pattern.size


def _are_numbers(texts: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-?(0|[1-9]\d*)", text, re.ASCII) for text in texts)


def _says_so(name: str) -> bool:
    """Whether a name is that of an identifier."""
    words = _words(name)
    last = words[-1] if words else ""
    return bool(set(words) & _CERTAIN) or (last in _LAST_WORDS and not set(words) & _QUANTITIES) or is_index(name)


def _is_quantity(name: str) -> bool:
    return bool(set(_words(name)) & _QUANTITIES)


def _words(name: str) -> list[str]:
    """Of a name in any of the usual cases: `customerID`, `customer_id`, `Customer Id`."""
    return [word.lower() for word in _WORDS.findall(name)]
