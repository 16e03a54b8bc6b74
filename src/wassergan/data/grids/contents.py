"""What a file of named arrays holds: their shapes, the names of their axes and their attributes, before any numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.readers.filearray import FileArray

MOST_VARIABLES = 10_000
LONGEST_TEXT = 2**16  # of an attribute
MOST_NUMBERS = 4096  # of an attribute
Attribute = str | list[str] | NDArray[Any]  # numbers keep their type


@dataclass(frozen=True)
class Variable:
    """A named array.

    Args:
        name: its name, with the groups that it lies in.
        shape: of it.
        dtype: of its numbers; of kind `O` for text and whatever is no array of numbers.
        dims: names of its axes; empty where the file names none.
        attributes: of it, in plain types.
        read: gives the array; it is called for those that are chosen.
        unlimited: names of axes along which it may grow.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    dims: tuple[str, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    read: Callable[[], NDArray[Any] | FileArray] = field(default=lambda: np.empty(0), repr=False)
    unlimited: frozenset[str] = frozenset()

    @property
    def is_numeric(self) -> bool:
        """Whether it holds numbers on axes."""
        return self.dtype.kind in "fiub" and bool(self.shape)

    def __str__(self) -> str:
        sizes = zip(self.dims, self.shape, strict=True) if self.dims else ((None, each) for each in self.shape)
        axes = ", ".join(f"{name}={size}" if name else f"{size}" for name, size in sizes)
        units = self.attributes.get("units")
        return f"{self.name} ({axes}){f' in {units}' if isinstance(units, str) else ''}"[:200]


@dataclass(frozen=True)
class Contents:
    """The arrays of a file.

    Args:
        path: of the file.
        kind: of the file, for messages.
        variables: by name, in their order.
        attributes: of the file.
        passed: sentences about what is not read.
    """

    path: Path
    kind: str
    variables: Mapping[str, Variable]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    passed: tuple[str, ...] = ()


def plain_attribute(value: Any) -> Attribute | None:
    """An attribute in plain types; None for what is neither text nor a few numbers."""
    if isinstance(value, bytes | np.bytes_):
        value = bytes(value).decode("utf-8", "replace").rstrip("\0")
    if isinstance(value, str):
        return str(value)[:LONGEST_TEXT]
    array = np.asarray(value)
    if array.size > MOST_NUMBERS or array.ndim > 1:
        return None
    if array.dtype.kind in "SUO":
        texts = [plain_attribute(each) for each in array.reshape(-1).tolist()]
        if not all(isinstance(each, str) for each in texts):
            return None
        kept = [str(each) for each in texts]
        return kept[0] if array.ndim == 0 or len(kept) == 1 else kept
    if array.dtype.kind not in "fiub":
        return None
    return array.reshape(()) if array.size == 1 else array


def number_of(attributes: Mapping[str, Attribute], name: str) -> float | None:
    """An attribute that is one number, and finite or NaN; None for any other."""
    value = attributes.get(name)
    if not isinstance(value, np.ndarray) or value.ndim:
        return None
    return float(value)


def text_of(attributes: Mapping[str, Attribute], name: str) -> str:
    """An attribute that is text; empty for any other."""
    value = attributes.get(name, "")
    return value if isinstance(value, str) else ""
