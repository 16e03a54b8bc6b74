"""Files whose content is not what its writer would have written: damaged, or made by a stranger."""

from collections.abc import Iterator
from contextlib import contextmanager

from wassergan.errors import UserError, WasserganError

# What plain Python and torch raise when values of the wrong kind, number or shape reach them.
_SYMPTOMS = (
    *(KeyError, IndexError, AttributeError, TypeError, ValueError, AssertionError),
    *(RuntimeError, OverflowError, RecursionError, MemoryError, ArithmeticError),
)


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
