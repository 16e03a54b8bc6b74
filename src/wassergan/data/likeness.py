"""What the user's samples look like: arrays, tensors and DataFrames come back as what they came."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from wassergan.data.codec import AnyCodec
from wassergan.data.tables import TableCodec, is_frame
from wassergan.data.tables.writing import arrow_table, identifier_streams
from wassergan.errors import UserError


@dataclass(frozen=True)
class Likeness:
    """The kind of object that samples came in.

    Args:
        kind: `array`, `tensor`, `pandas`, `polars` or `arrow`.
        dtypes: names of the types of a DataFrame's columns in pandas, or the one of a tensor.
        labels: of a DataFrame's columns in pandas: text or whole numbers.
    """

    kind: str
    dtypes: tuple[str, ...] = ()
    labels: tuple[Any, ...] = ()

    @classmethod
    def of(cls, data: Any) -> "Likeness":
        """The likeness of some data; anything that is no tensor and no DataFrame counts as an array.

        Raises:
            UserError: columns of a DataFrame with labels that are neither text nor whole numbers, or that repeat.
        """
        if isinstance(data, torch.Tensor):
            return cls("tensor", (str(data.dtype).removeprefix("torch."),))
        if not is_frame(data):
            return cls("array")
        if hasattr(data, "iloc"):
            labels = tuple(data.columns.tolist())
            _check_labels(labels)
            return cls("pandas", tuple(map(str, data.dtypes)), labels)
        return cls("polars" if type(data).__module__.startswith("polars") else "arrow")

    def restore(self, samples: NDArray[Any], codec: AnyCodec, *, without: Sequence[str] = (), seed: int = 0) -> Any:
        """Samples as an object of this kind.

        Args:
            samples: in the user's units, as `Codec.decode_numpy` gives them.
            codec: that decoded them.
            without: columns of a table that were no part of the data.
            seed: of the samples' identifiers.
        """
        if not isinstance(codec, TableCodec):
            return torch.from_numpy(samples).to(getattr(torch, self.dtypes[0])) if self.kind == "tensor" else samples
        table = arrow_table(codec, samples, identifier_streams(codec, seed))
        table = table.drop_columns([name for name in without if name in table.column_names])
        match self.kind:
            case "pandas":
                return self._pandas(table.to_pandas())
            case "polars":
                import polars

                return polars.from_arrow(table)
            case _:
                return table

    def _pandas(self, frame: Any) -> Any:
        """Labels and types that Arrow has no word for, such as text in a column of objects."""
        label = dict(zip(map(str, self.labels), self.labels, strict=True))
        dtype = dict(zip(map(str, self.labels), self.dtypes, strict=True))
        names = list(map(str, frame.columns))
        other = {
            column: dtype[name]
            for column, name in zip(frame.columns, names, strict=True)
            if str(frame[column].dtype) != dtype[name]
        }
        frame = frame.astype(other)
        frame.columns = sys.modules["pandas"].Index([label[name] for name in names])
        return frame

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Likeness":
        """The inverse of `state`."""
        return cls(**state)


def column_names(frame: Any) -> list[str]:
    """Of a DataFrame or an Arrow table, as text."""
    return [str(each) for each in getattr(frame, "column_names", frame.columns)]


def as_array(tensor: torch.Tensor) -> NDArray[Any]:
    """A tensor of any type and place as an array; NumPy has no bfloat16."""
    there = tensor.detach().cpu()
    array: NDArray[Any] = (there.float() if there.dtype == torch.bfloat16 else there).numpy()
    return array


def _check_labels(labels: tuple[Any, ...]) -> None:
    for label in labels:
        if not isinstance(label, str | int):
            raise UserError("Columns are named by text or whole numbers", found=f"{label!r}", mend="rename the column")
    if len(set(map(str, labels))) < len(labels):
        raise UserError(
            "The DataFrame has columns of the same name", found=", ".join(map(str, labels)), mend="rename them"
        )
