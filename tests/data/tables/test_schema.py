import json
from pathlib import Path

import pytest

from wassergan.data import open_source
from wassergan.data.tables.schema import ColumnSpec, read_schema, schema_of
from wassergan.errors import UserError


def test_a_schema_file_says_what_columns_are(tmp_path: Path) -> None:
    content = {
        "columns": {"a": "category", "b": {"kind": "number", "low": 0, "high": 9.5, "missing": ["-"]}},
        "missing": ["?"],
        "delimiter": ";",
        "encoding": "latin-1",
    }
    (tmp_path / "s.json").write_text(json.dumps(content))
    schema = read_schema(tmp_path / "s.json")
    assert schema.columns == {"a": ColumnSpec("category"), "b": ColumnSpec("number", 0, 9.5, None, ("-",))}
    assert (schema.missing, schema.delimiter, schema.encoding) == (("?",), ";", "latin-1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "The schema is not a JSON object"),
        ({"colums": {}}, r"Unknown entry in the schema: 'colums'. Did you mean 'columns'\?"),
        ({"columns": []}, "'columns' of the schema must map names to kinds"),
        ({"columns": {"a": "numbre"}}, r"Unknown kind of column a in the schema: 'numbre'. Did you mean 'number'\?"),
        ({"columns": {"a": {"lower": 1}}}, "Unknown entry in column a in the schema: 'lower'"),
        ({"columns": {"a": {"low": "1"}}}, "The bounds of column a in the schema must be numbers: '1'"),
        (
            {"columns": {"a": {"low": 2, "high": 1}}},
            "lower bound of column a in the schema is not below the upper: 2 and 1",
        ),
        ({"columns": {"a": {"format": "%d"}}}, "'format' of column a in the schema is for dates"),
        (
            {"columns": {"a": {"kind": "date", "format": "%Y-%d-%d"}}},
            "'format' of column a in the schema is none that dates can be read by: it says %d twice",
        ),
        (
            {"columns": {"a": {"kind": "date", "format": "%Y-%v"}}},
            "none that dates can be read by: '%v' is no directive",
        ),
        (
            {"columns": {"a": {"kind": "date", "format": "%Y-%m-%d %I"}}},
            "%I needs %p",
        ),
        ({"missing": "?"}, "'missing' of the schema must be a list of texts"),
        ({"encoding": 8}, "'encoding' of the schema must be text: 8"),
    ],
)
def test_what_is_not_known_is_refused(content: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        schema_of(content)


def test_files_that_are_no_schema_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no schema .*none.json"):
        read_schema(tmp_path / "none.json")
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(UserError, match=r"s.json cannot be read as JSON"):
        read_schema(tmp_path / "s.json")


def test_wishes_for_columns_that_are_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("age,sex\n" + "1,m\n2,f\n" * 20)
    (tmp_path / "s.json").write_text('{"columns": {"aeg": "number"}}')
    with pytest.raises(UserError, match=r"Unknown column in the schema: 'aeg'. Did you mean 'age'\?"):
        open_source(tmp_path / "a.csv", schema=tmp_path / "s.json")


def test_a_schema_for_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(UserError, match=r"A schema is for tables: digits\. Leave `schema` out"):
        open_source("digits", schema=tmp_path / "s.json")
