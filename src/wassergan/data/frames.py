"""DataFrames of pandas and polars as what a table came in: samples restored to them are compared with their rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.container import Container
from wassergan.data.tables import RawTable, TableCodec, read_frame
from wassergan.data.tables.containers import Rows, Seen


@dataclass(frozen=True)
class FrameContainer:
    """A DataFrame.

    Args:
        frame: of pandas or polars.
        container: how samples become such a frame.
    """

    frame: Any
    container: Container

    def before(self, rows: NDArray[np.int64]) -> Seen:
        """Some of its rows."""
        return _seen(self.frame.iloc[rows] if self.container.kind == "pandas" else self.frame[rows.tolist()])

    def after(self, codec: TableCodec, rows: Rows) -> tuple[Seen, RawTable]:
        """Rows as a DataFrame of the same kind."""
        restored = self.container.rows(rows, codec)
        return _seen(restored), read_frame(restored)


def _seen(frame: Any) -> Seen:
    if not hasattr(frame, "iloc"):
        return Seen({each.name: each.dtype for each in frame}, {each.name: _of_polars(each) for each in frame})
    columns = {str(label): frame.iloc[:, index] for index, label in enumerate(frame.columns)}
    return Seen(
        {name: each.dtype for name, each in columns.items()}, {name: _of_pandas(each) for name, each in columns.items()}
    )


def _of_polars(column: Any) -> list[Any]:
    return list(column.to_physical().to_list() if column.dtype.is_temporal() else column.to_list())


def _of_pandas(column: Any) -> list[Any]:
    """Values; of Python objects their types too, and which of them stands for what is missing."""
    import pandas

    gone = column.isna().to_numpy()
    if column.dtype.kind in "mM" and isinstance(column.dtype, np.dtype | pandas.DatetimeTZDtype):
        column = column.astype("int64")
    values = column.tolist()
    if column.dtype != object:
        return [None if missing else value for value, missing in zip(values, gone, strict=True)]
    plain = (each.item() if isinstance(each, np.generic) else each for each in values)
    return [_mark(each) if missing else (type(each).__name__, each) for each, missing in zip(plain, gone, strict=True)]


def _mark(value: Any) -> Any:
    return value if value is None or isinstance(value, float) else str(value)
