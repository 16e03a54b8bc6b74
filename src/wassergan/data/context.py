"""What samples are drawn under: the conditions of rows, as their source and a generator see them."""

from typing import Any, Protocol

from torch import Tensor


class Rows(Protocol):
    """Rows (n, columns) of a table in the user's units, in memory or on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, columns)."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class Conditions(Protocol):
    """Conditions under which samples are drawn, as vectors."""

    @property
    def width(self) -> int:
        """Numbers in a vector."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a condition: (C, H, W) of a field; (width,) of all others."""

    def vectors(self, start: int, count: int, *, seed: int) -> Tensor:
        """Those of samples start..start+count-1, (count, width) float32; they hang on seed and number alone."""

    def state(self) -> dict[str, Any]:
        """Plain types and tensors, for a checkpoint."""


class Context(Protocol):
    """The conditions of every row."""

    @property
    def width(self) -> int:
        """Numbers in a condition's vector."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a condition: (C, H, W) of a field, whose vector is the same numbers in a row; (width,) of all others."""

    @property
    def chances(self) -> int:
        """Random numbers that a row of a training batch takes to hide a part of its vector; 0 for none."""

    def at(self, indices: Tensor) -> Tensor:
        """Vectors of the rows (k,), (k, width) float32, as samples are drawn under by default."""

    def whole(self, indices: Tensor) -> Tensor:
        """Vectors of the rows (k,) as training takes them, before a part is hidden."""

    def hidden(self, vectors: Tensor, chances: Tensor) -> Tensor:
        """Vectors (n, width) with a part hidden, by numbers of U[0, 1) (n, `chances`)."""

    def conditions(self, indices: Tensor) -> Conditions:
        """The distribution of the conditions, as some rows (k,) show it."""

    def require_same(self) -> None:
        """Look at some of the files that conditions are read from, if there are any.

        Raises:
            DataChangedError: one of them is no longer the same.
        """

    def facts(self) -> tuple[Rows, list[str]]:
        """Of all rows (n, columns) in the user's units; the names of columns and levels."""


def context_shape(conditions: Context | Conditions | None) -> tuple[int, ...]:
    """The shape of a condition; () where samples have none."""
    return () if conditions is None else conditions.shape
