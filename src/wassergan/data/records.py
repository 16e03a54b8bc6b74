"""Labels in JSON: lines of records, lists of records or pairs, and StyleGAN's `dataset.json`, as tables."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wassergan.data.readers.limits import require_room
from wassergan.data.tables import AnyColumn, RawTable, TextColumn, TypedColumn, raw_array
from wassergan.errors import UserError
from wassergan.storage.files import read_bytes
from wassergan.storage.memory import largest_bytes

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
BYTES_IN_MEMORY = 48  # of a byte of JSON, once it is read: that of an empty list, or of an object in a line
MOST_COLUMNS = 1000
MOST_VALUES = 2**24
LARGEST_WHOLE = 2**53
FILE, LABEL = "file_name", "label"


def read_records(path: Path) -> RawTable:
    """A table of the content of a JSON file, one row per record.

    `.jsonl` holds an object in each line. `.json` holds a list of objects, an object name → label, or, as StyleGAN
    writes it, `{"labels": [[name, label], ...]}`. Fields that are lists or objects themselves are left out.

    Raises:
        UserError: it is too large, or has other content; the line is named.
    """
    require_room(path.stat().st_size * BYTES_IN_MEMORY, path)
    lines = path.suffix.lower() != ".json"
    content = read_bytes(path, at_most=largest_bytes())
    records = _of_lines(content, path) if lines else _of_whole(_parsed(content, str(path)), path)
    if not records:
        raise UserError(f"{path} holds no labels", hint="give one record for each sample")
    return table_of(records, path.name, first_line=1 if lines else 0)


def table_of(records: Sequence[Mapping[str, Any]], name: str, *, first_line: int = 0) -> RawTable:
    """Records as a table; absent fields are missing values. Fields with lists or objects are left out.

    Raises:
        UserError: too many fields.
    """
    names = list(dict.fromkeys(key for record in records for key in record))
    if len(names) > MOST_COLUMNS or len(names) * len(records) > MOST_VALUES:
        raise UserError(f"{name} has too many fields", found=f"{len(names)} in {len(records)} records")
    columns, nested = [], []
    for key in names:
        values = [record.get(key) for record in records]
        if any(isinstance(value, list | dict) for value in values):
            nested.append(key)
        elif any(value is not None for value in values):
            columns.append(_column(key, values))
    notes = (f"Left out of {name}, as they hold lists or objects: {', '.join(nested)}.",) if nested else ()
    return RawTable(name, tuple(columns), len(records), first_line=first_line, notes=notes)


def parsed_object(content: bytes, where: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: it is damaged, or something else.
    """
    value = _parsed(content, where)
    if not isinstance(value, dict):
        raise UserError(f"{where} is no JSON object", found=_kind(value), hint='write it like {"label": 3}')
    return value


def _parsed(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except RecursionError as error:
        raise UserError(f"{where} is no usable JSON", found="lists or objects nested too deep") from error
    except ValueError as error:  # of text encodings, and of whole numbers with thousands of digits, too
        raise UserError(f"{where} is no JSON", found=str(error)[:200], hint="write it again") from error


def _of_lines(content: bytes, path: Path) -> list[dict[str, Any]]:
    lines = content.splitlines()
    return [parsed_object(line, f"Line {number} of {path}") for number, line in enumerate(lines, 1) if line.strip()]


def _of_whole(value: Any, path: Path) -> list[Mapping[str, Any]]:
    if isinstance(value, dict) and isinstance(value.get("labels", ""), list | dict | None):
        if value["labels"] is None:
            raise UserError(f"{path} holds no labels", found='"labels": null', hint="write them into it")
        value = value["labels"]
    if isinstance(value, dict):
        value = list(value.items())
    if not isinstance(value, list):
        raise UserError(f"{path} holds no labels", found=_kind(value), hint='write {"labels": [[name, label], ...]}')
    return _with_vectors([_record(entry, index, path) for index, entry in enumerate(value)])


def _record(entry: Any, index: int, path: Path) -> Mapping[str, Any]:
    if isinstance(entry, dict):
        return entry
    if isinstance(entry, list | tuple) and len(entry) == 2 and isinstance(entry[0], str):
        return {FILE: entry[0], **(entry[1] if isinstance(entry[1], dict) else {LABEL: entry[1]})}
    raise UserError(
        f"Entry {index} of {path} is no label", found=f"{entry!r}"[:80], hint='write ["name.png", label], or an object'
    )


def _with_vectors(records: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Labels that are vectors: the index of the 1 if each is one-hot, else one number per entry."""
    vectors = [record.get(LABEL) for record in records]
    if not records or not all(isinstance(each, list) and each and all(map(_is_number, each)) for each in vectors):
        return records
    if len({len(each) for each in vectors if each}) > 1 or len(vectors[0] or ()) > MOST_COLUMNS:
        return records
    one_hot = all(sorted(each)[-1] == 1 and sum(map(abs, each)) == 1 for each in vectors if each)
    return [
        {**record, LABEL: vector.index(1)}
        if one_hot
        else {**{name: value for name, value in record.items() if name != LABEL}, **_numbered(vector)}
        for record, vector in zip(records, vectors, strict=True)
        if isinstance(vector, list)
    ]


def _numbered(vector: list[float]) -> dict[str, float]:
    return {f"{LABEL}_{index}": value for index, value in enumerate(vector)}


def _column(name: str, values: Sequence[Any]) -> AnyColumn:
    """Values of one kind as what they are; of several, as text."""
    there = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in there):
        return TypedColumn(name, "boolean", _floats(values))
    if all(map(_is_number, there)):
        whole = all(isinstance(value, int) for value in there)
        if whole and len(there) == len(values) and all(abs(value) <= LARGEST_WHOLE for value in there):
            (column,) = raw_array({name: np.array(there, np.int64)}, name).columns
            return column
        if all(abs(value) <= LARGEST_WHOLE or isinstance(value, float) for value in there):
            return TypedColumn(name, "number", _floats(values), whole=whole)
    levels: dict[str, int] = {}
    texts = (None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values)
    codes = [-1 if text is None else levels.setdefault(text, len(levels)) for text in texts]
    return TextColumn(name, list(levels), np.array(codes, np.int32))


def _floats(values: Iterable[Any]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "text", type(None): "null"}.get(
        type(value), "a number or a boolean"
    )
