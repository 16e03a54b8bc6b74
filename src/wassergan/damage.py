"""Files whose content is not what its writer would have written: damaged, or made by a stranger."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from wassergan.errors import UserError, WasserganError

# What plain Python and torch raise when values of the wrong kind, number or shape reach them.
_SYMPTOMS = (
    *(KeyError, IndexError, AttributeError, TypeError, ValueError, AssertionError),
    *(RuntimeError, OverflowError, RecursionError, MemoryError, ArithmeticError),
)


class Sized(Protocol):
    """What is known of a tensor here."""

    @property
    def shape(self) -> Iterable[int]:
        """Its sides."""


@contextmanager
def undamaged(name: object, mend: str = "") -> Iterator[None]:
    """Inside, something is built from a file's content: what goes wrong is the content's fault.

    Raises:
        UserError: says so; errors of this library pass as they are.
    """
    try:
        yield
    except WasserganError:
        raise
    except _SYMPTOMS as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise UserError(
            f"{name} does not hold what it should", found=f"{type(error).__name__}: {reason}", mend=mend
        ) from error


def require_consistent(sizes: Iterable[object], weights: Mapping[str, Sized], name: object) -> None:
    """Refuse sizes of layers larger than any side of the weights beside them: they would be allocated first.

    Raises:
        UserError: a size is no positive whole number, or larger than all weights.
    """
    largest = max((side for each in weights.values() for side in each.shape), default=0)
    for size in sizes:
        if not isinstance(size, int) or not 0 < size <= max(largest, 1):
            raise UserError(f"{name} does not hold what its settings describe", found=f"a layer of size {size!r}")
