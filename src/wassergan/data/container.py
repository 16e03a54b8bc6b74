"""The container of the user's samples: arrays, tensors and DataFrames come back as the same kind of object."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wassergan.data.codec import Codec
from wassergan.data.tables import TableCodec, is_frame
from wassergan.data.tables.arrowfile import checked_labels, pandas_table
from wassergan.data.tables.pandasframe import restored
from wassergan.data.tables.writing import Fresh, arrow_table

KINDS = ("array", "masked", "tensor", "pandas", "polars", "arrow")


@dataclass(frozen=True)
class Container:
    """The kind of object that samples came in.

    Args:
        kind: `array`, `masked`, `tensor`, `pandas`, `polars` or `arrow`.
        dtypes: the name of the type of a tensor or a masked array.
        labels: of a DataFrame's columns in pandas: text or whole numbers; of a masked array its fill value.
        columns: types of a DataFrame's columns in pandas, in plain types; in polars names and values of its Enums.
        title: what pandas calls the columns together.
    """

    kind: str
    dtypes: tuple[str, ...] = ()
    labels: tuple[Any, ...] = ()
    columns: tuple[Any, ...] = ()
    title: str | None = None

    @classmethod
    def of(cls, data: Any) -> "Container":
        """The container of some data; anything that is no tensor and no DataFrame counts as an array.

        Raises:
            UserError: columns of a DataFrame with labels that are neither text nor whole numbers, or that repeat.
        """
        if isinstance(data, torch.Tensor):
            return cls("tensor", (str(data.dtype).removeprefix("torch."),))
        if isinstance(data, np.ma.MaskedArray):
            return cls("masked", (data.dtype.str,), (data.fill_value.item(),))
        if not is_frame(data):
            return cls("array")
        if hasattr(data, "iloc"):
            title = None if data.columns.name is None else str(data.columns.name)
            return cls("pandas", (), checked_labels(data), tuple(pandas_table(data)[1]), title)
        if type(data).__module__.startswith("polars"):
            return cls("polars", columns=_enums(data.schema))
        return cls("arrow")

    def numbers(self, samples: NDArray[Any], codec: Codec) -> Any:
        """Samples of an array or a tensor as an object of this kind.

        Args:
            samples: in the user's units, as `Codec.decode_numpy` gives them.
            codec: that decoded them.
        """
        match self.kind:
            case "masked":
                return self._masked(samples, codec.missing(samples))
            case "tensor":
                return torch.from_numpy(samples).to(getattr(torch, self.dtypes[0]))
            case _:
                return samples

    def rows(
        self, samples: NDArray[Any], codec: TableCodec, *, without: Sequence[str] = (), identifiers: Fresh | None = None
    ) -> Any:
        """Rows of a table as a DataFrame of this kind, or an Arrow table.

        Args:
            samples: in the user's units, as `TableCodec.decode_numpy` gives them.
            codec: that decoded them.
            without: columns that were not part of the data.
            identifiers: streams of fresh ones, of which earlier samples took theirs; as of seed 0 unless given.
        """
        table = arrow_table(codec, samples, identifiers)
        table = table.drop_columns([name for name in without if name in table.column_names])
        match self.kind:
            case "pandas":
                return self._pandas(table)
            case "polars":
                import polars

                made: Any = polars.from_arrow(table)
                made.columns = table.column_names  # it gives a column without a name one of its own
                kept = {name: polars.Enum(values) for name, values in self.columns if name in made.columns}
                return made.cast(kept) if kept else made  # polars 1.0 reads an Enum of Arrow as Categorical
            case _:
                return table

    def _masked(self, samples: NDArray[Any], missing: NDArray[np.bool_]) -> Any:
        """With the fill value below the mask, in the original type."""
        dtype, fill = np.dtype(self.dtypes[0]), self.labels[0]
        below = np.array(fill).astype(dtype)  # NumPy's own fill value of small whole numbers does not fit them
        values = np.where(missing, below, samples.astype(dtype)).astype(dtype)
        return np.ma.masked_array(values, missing, fill_value=fill if below == fill else None)

    def _pandas(self, table: Any) -> Any:
        """Labels and types that Arrow cannot express, such as text in a column of objects."""
        import pandas

        index = {str(label): at for at, label in enumerate(self.labels)}
        states = self.columns or tuple({"how": "dtype", "dtype": each} for each in self.dtypes)  # before there were
        columns = [
            restored(array.combine_chunks(), states[index[name]])
            for name, array in zip(table.column_names, table.columns, strict=True)
        ]
        frame = pandas.concat(columns, axis=1)
        frame.columns = pandas.Index([self.labels[index[name]] for name in table.column_names], name=self.title)
        return frame

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Container":
        """The inverse of `state`; a ValueError if the kind is unknown, or the values of an Enum are none."""
        container = cls(**state)
        types = [getattr(torch, str(each), None) for each in container.dtypes] if container.kind == "tensor" else []
        if container.kind not in KINDS or not all(isinstance(each, torch.dtype) for each in types):
            raise ValueError(f"samples of kind {container.kind!r}")
        if container.kind == "polars" and not all(map(_is_enum, container.columns)):
            raise ValueError("values of a column of polars")
        return container


def _enums(schema: Mapping[str, Any]) -> tuple[tuple[str, list[str]], ...]:
    """The columns of a frame of polars whose values are listed, with these."""
    return tuple((name, kind.categories.to_list()) for name, kind in schema.items() if str(kind).startswith("Enum"))


def _is_enum(said: Any) -> bool:
    """Whether this is a name and its values, as `_enums` tells them."""
    match said:
        case (str(), [*values]):
            return all(isinstance(each, str) for each in values) and len(set(values)) == len(values)
    return False


def column_names(frame: Any) -> list[str]:
    """Of a DataFrame or an Arrow table, as text."""
    return [str(each) for each in getattr(frame, "column_names", frame.columns)]


def index_words(frame: Any) -> str:
    """What a row index of pandas holds, if it is more than row numbers; else nothing."""
    index = getattr(frame, "index", None)
    if index is None or not hasattr(frame, "iloc"):
        return ""
    names = [str(name) for name in index.names if name is not None]
    return ", ".join(names) or (
        "" if getattr(index.dtype, "kind", "O") in "iu" else f"values such as {index[0]!r}"[:80]
    )


def as_array(tensor: torch.Tensor) -> NDArray[Any]:
    """A tensor of any type and place as an array; NumPy has no bfloat16."""
    there = tensor.detach().cpu()
    array: NDArray[Any] = (there.float() if there.dtype == torch.bfloat16 else there).numpy()
    return array
