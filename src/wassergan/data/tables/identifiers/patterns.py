"""The patterns of identifiers: what texts there may be, in an order, and how many."""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wassergan.data.tables.identifiers.permutation import LARGEST, key_numbers, mixed

CLASSES = (
    string.digits,
    string.digits + "abcdef",
    string.digits + "ABCDEF",
    string.ascii_lowercase,
    string.ascii_uppercase,
    string.ascii_lowercase + string.digits,
    string.ascii_uppercase + string.digits,
    string.ascii_letters,
    string.ascii_letters + string.digits,
)
SEEN_SHARE = 0.5  # of a class of characters that is seen at a place: then all of it may stand there
LONGEST = 18  # digits of a number that is counted
ROOM = 10  # numbers above the largest, for each row, if others are to follow it
DENSE = 0.01  # of the numbers between the smallest and the largest that are taken: then more follow the largest
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


@dataclass(frozen=True)
class Numbered:
    """A number between two fixed texts.

    Args:
        prefix: before the number.
        suffix: behind it.
        width: digits, with zeros in front; 0 for no such zeros.
        low: the smallest number there may be.
        high: the largest.
        ascending: numbers are taken one after the other; else in an order that looks random.
    """

    kind: ClassVar[str] = "numbered"
    prefix: str
    suffix: str
    width: int
    low: int
    high: int
    ascending: bool

    @property
    def size(self) -> int:
        """How many texts there are."""
        return self.high - self.low + 1

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing but the number."""
        return self.width == 0 and not self.prefix and not self.suffix

    def texts(self, numbers: NDArray[np.int64], *key: object) -> list[str]:
        """The texts with numbers (n,) in 0..size-1."""
        first = self.low
        if self.is_bare:
            return [str(first + number) for number in numbers.tolist()]
        return [f"{self.prefix}{first + number:0{self.width}d}{self.suffix}" for number in numbers.tolist()]

    def told(self) -> str:
        """In words."""
        example = self.texts(np.array([0, self.size - 1]))
        return f"{example[0]}, {self.texts(np.array([1]))[0]}, …" if self.ascending else f"like {example[1]}"

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint; whole numbers beyond 64 bits are text."""
        plain = {name: getattr(self, name) for name in ("prefix", "suffix", "width", "ascending")}
        return {"pattern": self.kind, **plain, "low": str(self.low), "high": str(self.high)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Numbered":
        """The inverse of `state`."""
        plain = {name: state[name] for name in ("prefix", "suffix", "width", "ascending")}
        return cls(**plain, low=int(state["low"]), high=int(state["high"]))


@dataclass(frozen=True)
class Coded:
    """A character of a class at each place.

    Args:
        places: the characters that may stand at each.
    """

    kind: ClassVar[str] = "coded"
    ascending: ClassVar[bool] = False
    places: tuple[str, ...]

    @cached_property
    def _core(self) -> int:
        """The first of the places at the end that are counted; those before it are drawn."""
        size, first = 1, len(self.places)
        while first > 0 and size * len(self.places[first - 1]) <= LARGEST:
            size, first = size * len(self.places[first - 1]), first - 1
        return first

    @property
    def size(self) -> int:
        """How many texts there are; of more than 2^63, how many are told apart by the places that are counted."""
        return prod(len(each) for each in self.places[self._core :])

    @property
    def whole_size(self) -> int:
        """How many texts there are."""
        return prod(map(len, self.places))

    def texts(self, numbers: NDArray[np.int64], *key: object) -> list[str]:
        """The texts with numbers (n,) in 0..size-1; of places that are not counted, what the key and the number say."""
        out = np.empty((len(numbers), len(self.places)), "U1")
        rest = numbers.copy()
        for index in range(len(self.places) - 1, -1, -1):
            characters = np.array(list(self.places[index]))
            if index >= self._core:
                rest, digit = np.divmod(rest, len(characters))
            else:
                drawn = mixed(numbers.astype(np.uint64) ^ key_numbers("place", index, *key, count=1))
                digit = (drawn % np.uint64(len(characters))).astype(np.int64)
            out[:, index] = characters[digit]
        texts: list[str] = np.ascontiguousarray(out).view(f"U{len(self.places)}")[:, 0].tolist()
        return texts

    def told(self) -> str:
        """In words."""
        names = {string.digits: "9", CLASSES[1]: "f", CLASSES[2]: "F", string.ascii_lowercase: "a"}
        names |= {string.ascii_uppercase: "A"}
        shown = "".join(each if len(each) == 1 else names.get(each, "x") for each in self.places)
        return f"like {shown}"

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return {"pattern": self.kind, "places": list(self.places)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Coded":
        """The inverse of `state`."""
        return cls(tuple(state["places"]))


Pattern = Numbered | Coded


def pattern_from_state(state: Mapping[str, Any]) -> Pattern:
    """The inverse of a pattern's `state`."""
    kind: type[Any] = {each.kind: each for each in (Numbered, Coded)}[state["pattern"]]
    pattern: Pattern = kind.from_state(state)
    return pattern


def numbers_pattern(numbers: Sequence[int], limits: tuple[int, int]) -> Pattern:
    """The pattern of whole numbers, between the bounds of their type: dense ones go on, others keep their digits."""
    low, high = min(numbers), max(numbers)
    if _is_dense(len(set(numbers)), low, high) and limits[1] - high > ROOM * len(numbers):
        return Numbered("", "", 0, high + 1, min(limits[1], high + LARGEST), ascending=True)
    digits = list(map(str, numbers))
    if low >= 0 and len(str(low)) == len(str(high)):
        coded = _coded(digits)
        if int("".join(max(each) for each in coded.places)) <= limits[1]:
            return coded
    if low >= 0:
        low = 0 if low == 0 else 10 ** (len(str(low)) - 1)
        high = 10 ** len(str(high)) - 1
    low, high = max(low, limits[0]), min(high, limits[1])
    return Numbered("", "", 0, low, min(high, low + LARGEST - 1), ascending=False)


def texts_patterns(texts: Sequence[str], *, most: int) -> tuple[tuple[Pattern, float], ...]:
    """The patterns of different texts, each with its share; nothing if there are more than `most` lengths."""
    numbered = _numbered(texts)
    if numbered is not None:
        return ((numbered, 1.0),)
    lengths = Counter(map(len, texts))
    if len(lengths) > most or 0 in lengths:
        return ()
    return tuple(
        (_coded([text for text in texts if len(text) == length]), count / len(texts))
        for length, count in sorted(lengths.items())
    )


def _coded(texts: Sequence[str]) -> Coded:
    first, *others = map(_characters, zip(*texts, strict=True))
    if len(first) > 1 and not any(text[0] == "0" for text in texts):
        first = first.replace("0", "")  # numbers without zeros in front
    return Coded((first, *others))


def _characters(seen: Sequence[str]) -> str:
    """What may stand at a place where some characters are seen."""
    there = set(seen)
    if len(there) == 1:
        return seen[0]
    fit = next((each for each in CLASSES if there <= set(each)), None)
    return fit if fit is not None and len(there) > SEEN_SHARE * len(fit) else "".join(sorted(there))


def _numbered(texts: Sequence[str]) -> Numbered | None:
    """Texts that differ in the last number alone."""
    matches = [_NUMBERED.fullmatch(text) for text in texts]
    parts = [match.groups() for match in matches if match]
    if len(parts) < len(texts):
        return None
    prefix = _common_prefix(texts).rstrip(string.digits)
    suffixes = {suffix for _, _, suffix in parts}
    if len(suffixes) > 1 or any(before.rstrip(string.digits) != prefix for before, _, _ in parts):
        return None
    suffix = suffixes.pop()
    digits = [text[len(prefix) : len(text) - len(suffix)] for text in texts]
    if not all(each.isascii() and each.isdigit() for each in digits):
        return None
    widths, numbers = set(map(len, digits)), list(map(int, digits))
    padded = any(each[0] == "0" and each != "0" for each in digits)
    width = min(widths) if padded or len(widths) == 1 else 0
    if padded and any(len(each) > width and each[0] == "0" for each in digits):
        return None  # zeros in front of numbers of several lengths
    low, high = min(numbers), max(numbers)
    largest = 10 ** max(widths) - 1 if width else 10**LONGEST
    if _is_dense(len(set(numbers)), low, high) and largest - high > ROOM * len(numbers):
        return Numbered(prefix, suffix, width, high + 1, largest, ascending=True)
    if len(widths) == 1 or max(widths) > LONGEST:
        return None  # a character of a class at each place
    first = 0 if padded or low == 0 else 10 ** (min(widths) - 1)
    return Numbered(prefix, suffix, width, first, 10 ** max(widths) - 1, ascending=False)


def _common_prefix(texts: Sequence[str]) -> str:
    low, high = min(texts), max(texts)
    same = next(
        (index for index, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return low[:same]


def _is_dense(count: int, low: int, high: int) -> bool:
    return count >= DENSE * (high - low + 1)
