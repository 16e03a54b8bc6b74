"""Files whose content its writer would not have written: damaged, or made by somebody else."""

from collections.abc import Iterator
from contextlib import contextmanager

from wassergan.errors import UserError, WasserganError

# The exceptions of Python and torch for values of the wrong type, number or shape.
_SYMPTOMS = (
    *(KeyError, IndexError, AttributeError, TypeError, ValueError, AssertionError),
    *(RuntimeError, OverflowError, RecursionError, MemoryError, ArithmeticError),
)


@contextmanager
def corruption_errors(name: object, hint: str = "") -> Iterator[None]:
    """Context for building something from a file's content: errors inside are attributed to the content.

    Raises:
        UserError: says so; errors of this library pass unchanged.
    """
    try:
        yield
    except WasserganError:
        raise
    except _SYMPTOMS as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise UserError(
            f"{name} does not hold what it should", found=f"{type(error).__name__}: {reason}", hint=hint
        ) from error
