"""What a file of named arrays tells of its samples besides numbers: axes, coordinates, units, attributes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.grids.contents import LONGEST_TEXT, MOST_NUMBERS, Attribute

MOST_ENTRIES, LARGEST_COORDINATE = 1000, 2**22  # attributes and coordinates; numbers of a coordinate
LONGEST_NAME = 1024


@dataclass(frozen=True)
class Coordinate:
    """The positions along an axis, or along several.

    Args:
        dims: names of its axes, all of which a sample has; none for one that holds attributes alone.
        values: numbers or texts, as the file has them.
        attributes: of it.
    """

    dims: tuple[str, ...]
    values: NDArray[Any]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class GridMetadata:
    """What is written back with samples.

    Args:
        name: of the variable.
        dims: names of the axes of a sample, as the file has them.
        sizes: of these axes.
        attributes: of the variable, without those that tell how numbers were packed.
        coordinates: by name.
        file_attributes: of the file.
        fill: number that stands for a missing value in the file; None where it names none.
    """

    name: str
    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    coordinates: Mapping[str, Coordinate] = field(default_factory=dict)
    file_attributes: Mapping[str, Attribute] = field(default_factory=dict)
    fill: int | float | None = None

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return {
            "name": self.name,
            "dims": list(self.dims),
            "sizes": list(self.sizes),
            "attributes": _plain(self.attributes),
            "coordinates": {
                name: {"dims": list(each.dims), "values": _of_array(each.values), "attributes": _plain(each.attributes)}
                for name, each in self.coordinates.items()
            },
            "file_attributes": _plain(self.file_attributes),
            "fill": self.fill,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "GridMetadata":
        """The inverse of `state`.

        Raises:
            ValueError: what no data have.
        """
        coordinates = {
            _text(name): Coordinate(_texts(each["dims"]), _array(each["values"]), _attributes(each["attributes"]))
            for name, each in _few(state["coordinates"]).items()
        }
        sizes, fill = tuple(int(each) for each in state["sizes"]), state["fill"]
        found = cls(
            _text(state["name"]),
            _texts(state["dims"]),
            sizes,
            _attributes(state["attributes"]),
            coordinates,
            _attributes(state["file_attributes"]),
            fill,
        )
        known = dict(zip(found.dims, sizes, strict=True))
        fits = all(tuple(known.get(d) for d in each.dims) == each.values.shape for each in coordinates.values())
        if not fits or (fill is not None and not isinstance(fill, int | float)) or min(sizes, default=1) < 1:
            raise ValueError("coordinates that do not fit their axes")
        return found

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether samples of a shape in the user's layout have these axes, but for those of length 1."""
        return prod(self.sizes) == prod(shape)


def _plain(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str) else _of_array(np.asarray(value)) for name, value in attributes.items()
    }


def _of_array(values: NDArray[Any]) -> dict[str, Any]:
    if values.dtype.kind in "OU":
        return {"dtype": "text", "shape": list(values.shape), "values": [str(each) for each in values.reshape(-1)]}
    own = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return {"dtype": own.dtype.str, "shape": list(own.shape), "values": np.ascontiguousarray(own).tobytes().hex()}


def _array(state: Mapping[str, Any]) -> NDArray[Any]:
    shape = tuple(int(each) for each in state["shape"])
    if len(shape) > 8 or min(shape, default=0) < 0 or prod(shape) > LARGEST_COORDINATE:
        raise ValueError("a coordinate of no shape")
    if state["dtype"] == "text":
        return np.array([_text(each) for each in state["values"]], dtype=object).reshape(shape)
    dtype = np.dtype(_text(state["dtype"]))
    if dtype.kind not in "fiub":
        raise ValueError(f"a coordinate of type {dtype}")
    return np.frombuffer(bytes.fromhex(state["values"]), dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _attributes(state: Mapping[str, Any]) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name, value in _few(state).items():
        if isinstance(value, str):
            found[_text(name)] = _text(value, LONGEST_TEXT)
            continue
        array = _array(value)
        if array.size > MOST_NUMBERS:
            raise ValueError("an attribute of too many numbers")
        found[_text(name)] = [str(each) for each in array] if array.dtype.kind == "O" else array
    return found


def _few(state: Any) -> Mapping[str, Any]:
    if not isinstance(state, dict) or len(state) > MOST_ENTRIES:
        raise ValueError("attributes that are no list of names and values")
    return state


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(_text(each) for each in values)


def _text(value: Any, longest: int = LONGEST_NAME) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError("a name that is no text")
    return value
