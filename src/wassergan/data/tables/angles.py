"""Numbers that are angles: the two of them that mean the same."""

import math

import numpy as np

from wassergan.data.tables.formats import Values
from wassergan.data.tables.schema import ColumnSpec
from wassergan.errors import UserError

TURNS = ((-math.pi, math.pi), (0.0, 2 * math.pi), (-180.0, 180.0), (0.0, 360.0))
TURN_ROUNDING = 1e-4  # of a turn: π is also written 3.142
TURN_EDGE = 0.01  # of a turn; angles that are even have as large a share of the rows there
TURN_EDGE_SHARE = 0.25  # of that share is seen at both ends, or numbers are no angles
TURN_EDGE_ROWS = 3


def turn_of(values: Values, wish: ColumnSpec, where: str) -> tuple[float, float] | None:
    """The two numbers of a column that mean the same angle; None for other numbers.

    Raises:
        UserError: the user says that they are angles, and they are of no known turn.
    """
    there, low, high = values[~np.isnan(values)], wish.low, wish.high
    if wish.kind == "angle":
        if low is not None and high is not None:
            return float(low), float(high)
        for turn in TURNS:
            if _within(there, turn):
                return turn
        raise UserError(
            f"{where} holds angles of no known turn",
            found=f"{there.min():g} to {there.max():g}",
            hint='say what a turn is, as in {"kind": "angle", "low": 0, "high": 24}',
        )
    if wish.kind is not None or low is not None or high is not None:
        return None
    return next((turn for turn in TURNS if _within(there, turn) and _fills(there, turn)), None)


def _within(values: Values, turn: tuple[float, float]) -> bool:
    slack = TURN_ROUNDING * (turn[1] - turn[0])
    return bool(values.min() >= turn[0] - slack and values.max() <= turn[1] + slack)


def _fills(values: Values, turn: tuple[float, float]) -> bool:
    """Whether as many values as of angles lie at both ends of a turn."""
    edge = TURN_EDGE * (turn[1] - turn[0])
    fewest = max(TURN_EDGE_ROWS, TURN_EDGE_SHARE * TURN_EDGE * len(values))
    return bool(min((values <= turn[0] + edge).sum(), (values >= turn[1] - edge).sum()) >= fewest)
