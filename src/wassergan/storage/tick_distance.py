"""The distance from held-out samples that a tick logs: its name depends on the class of data."""

from collections.abc import Mapping, Sequence
from typing import Any

PATCHES, VECTORS = "patch_sliced_w1", "sliced_w1"
LABELS = {PATCHES: "Patch-sliced W1", VECTORS: "Sliced W1"}
UNITS = {PATCHES: "standard deviations of each scale", VECTORS: "model units"}


def distance_for(shape: Sequence[int]) -> str:
    """The key for samples of a shape: pictures, fields and volumes are compared by their patches."""
    return PATCHES if len(shape) in (3, 4) else VECTORS


def distance_name(record: Mapping[str, Any]) -> str:
    """The key of the distance in a record or a summary; the floor's is the same with `_floor` behind it."""
    return next((name for name in LABELS if name in record), VECTORS)


def distance_of(record: Mapping[str, Any]) -> tuple[str, float, float]:
    """The label, the value and the floor."""
    name = distance_name(record)
    return LABELS[name], record[name], record[f"{name}_floor"]


def distance_in_short(record: Mapping[str, Any]) -> str:
    """Value and floor in a few words, for a line of progress."""
    label, value, floor = distance_of(record)
    return f"{label[0].lower()}{label[1:]} {value:.4f} (floor {floor:.4f})"


def logged_distance(log: Sequence[Mapping[str, Any]]) -> str:
    """The key of the distance that the last tick of a log has."""
    return distance_name(log[-1]) if log else VECTORS


def scale_names(log: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Keys of the distances at single scales, with the longer side of each, the finest first."""
    start, last = f"{PATCHES}_", log[-1] if log else {}
    sides = {name: name.removeprefix(start) for name in last if name.startswith(start)}
    return dict(
        sorted(((name, int(side)) for name, side in sides.items() if side.isdecimal()), key=lambda each: -each[1])
    )
