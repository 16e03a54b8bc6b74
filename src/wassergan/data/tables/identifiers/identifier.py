"""A column of identifiers: nothing of it is learnt; fresh ones are written, none of which the data have."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.identifiers.patterns import Coded, Numbered, Pattern, pattern_from_state
from wassergan.data.tables.identifiers.permutation import LARGEST, Permutation, key_numbers, mixed
from wassergan.errors import UserError

HOPELESS = 2**80  # texts of a pattern, from where on nobody meets one of the data by chance
BLOCK = 4096  # numbers of a pattern that are tried at once


@dataclass(frozen=True)
class Identifier:
    """How the identifiers of a column are written.

    Args:
        name: of the column.
        before: columns that stand before it in the table.
        patterns: of its values.
        shares: of each pattern among the rows.
        whole: values are whole numbers where types are known.
        missing: share of the rows that have none.
        token: the text that stands for a missing one.
        known: digests of the values in the data that lie in the patterns, ascending; the values are not kept.
    """

    name: str
    before: int
    patterns: tuple[Pattern, ...]
    shares: tuple[float, ...]
    whole: bool = False
    missing: float = 0.0
    token: str = ""
    known: bytes = b""

    @property
    def capacity(self) -> int:
        """How many different values can be written."""
        size = sum(each.whole_size if isinstance(each, Coded) else each.size for each in self.patterns)
        return size - len(self.known) // 8

    @property
    def fits_64_bits(self) -> bool:
        """Whether all are whole numbers of 64 bits."""
        return all(isinstance(each, Numbered) and each.is_bare and each.high < 2**63 for each in self.patterns)

    def require_room(self, count: int) -> None:
        """Refuse more rows than there are fresh values.

        Raises:
            UserError: with the number of those.
        """
        if count > self.capacity:
            raise self.spent(count)

    def spent(self, count: int) -> UserError:
        """That so many rows are too many."""
        return UserError(
            f"Column {self.name} has too few identifiers",
            found=f"{count} asked for, {max(self.capacity, 0)} that are not in the data",
            hint=f'draw fewer rows, or leave the column out: {{"columns": {{"{self.name}": "drop"}}}}',
        )

    def stream(self, seed: int) -> "IdentifierStream":
        """Fresh values, from the first row on."""
        return IdentifierStream(self, seed)

    def told(self) -> str:
        """In words."""
        return "fresh: " + " or ".join(each.told() for each in self.patterns)

    @cached_property
    def known_digests(self) -> NDArray[np.uint64]:
        """Sorted."""
        return np.frombuffer(self.known, np.dtype("<u8")).astype(np.uint64)

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        plain = {name: getattr(self, name) for name in ("name", "before", "whole", "missing", "token")}
        patterns = [each.state() for each in self.patterns]
        known = base64.b64encode(self.known).decode()
        return {**plain, "patterns": patterns, "shares": list(self.shares), "known": known}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Identifier":
        """The inverse of `state`."""
        patterns = tuple(map(pattern_from_state, state["patterns"]))
        known = base64.b64decode(state["known"])
        return cls(**{**state, "patterns": patterns, "shares": tuple(state["shares"]), "known": known})


def digests(texts: Sequence[str]) -> NDArray[np.uint64]:
    """A number for each text, from which it cannot be read."""
    joined = b"".join(hashlib.blake2b(text.encode(), digest_size=8, person=b"wassergan-id").digest() for text in texts)
    return np.frombuffer(joined, np.dtype("<u8")).astype(np.uint64)


class IdentifierStream:
    """Fresh identifiers, row after row; what row i gets is a matter of the seed alone.

    Args:
        identifier: of the column.
        seed: of the sample.
    """

    def __init__(self, identifier: Identifier, seed: int) -> None:
        self._identifier = identifier
        self._key = (seed, identifier.name)
        self._row = 0
        self._tried = [0] * len(identifier.patterns)
        self._ready: list[list[str]] = [[] for _ in identifier.patterns]
        self._orders = [
            None if each.ascending or each.size > LARGEST else Permutation(each.size, number, *self._key)
            for number, each in enumerate(identifier.patterns)
        ]

    def take(self, count: int) -> list[str | None]:
        """The next ones; None where a row has none.

        Raises:
            UserError: there are no more.
        """
        drawn = self._chances("pattern", count)
        gone = self._chances("missing", count) < self._identifier.missing
        pattern = np.searchsorted(np.cumsum(self._identifier.shares)[:-1], drawn, side="right")
        self._row += count
        texts: list[str | None] = [None] * count
        for row in np.flatnonzero(~gone).tolist():
            texts[row] = self._next(int(pattern[row]))
        return texts

    def _chances(self, what: str, count: int) -> NDArray[np.float64]:
        rows = np.arange(self._row, self._row + count, dtype=np.uint64)
        chances: NDArray[np.float64] = mixed(mixed(rows) + key_numbers(what, *self._key, count=1)) / 2.0**64
        return chances

    def _next(self, wanted: int) -> str:
        """One of a pattern; of the next one if there are no more."""
        for turn in range(len(self._ready)):
            number = (wanted + turn) % len(self._ready)
            if self._ready[number] or self._fill(number):
                return self._ready[number].pop()
        raise self._identifier.spent(self._row)

    def _fill(self, number: int) -> bool:
        pattern, order = self._identifier.patterns[number], self._orders[number]
        while self._tried[number] < pattern.size and not self._ready[number]:
            start = self._tried[number]
            end = min(start + BLOCK, pattern.size)
            places = np.arange(start, end)
            texts = pattern.texts(places if order is None else order.at(places), number, *self._key)
            self._tried[number] = end
            self._ready[number] = self._fresh(texts)[::-1]
        return bool(self._ready[number])

    def _fresh(self, texts: list[str]) -> list[str]:
        known = self._identifier.known_digests
        if len(known) == 0:
            return texts
        found = digests(texts)
        near = np.searchsorted(known, found).clip(max=len(known) - 1)
        return [text for text, is_known in zip(texts, known[near] == found, strict=True) if not is_known]
