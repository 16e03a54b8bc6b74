"""What is said of data that have no such thing is refused, and nothing that is said does nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from PIL import Image

from wassergan.data import open_source
from wassergan.errors import UserError

NUMBERS = np.random.default_rng(0)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    np.save(tmp_path / "fields.npy", NUMBERS.normal(size=(30, 5, 6)))
    np.save(tmp_path / "levels.npy", NUMBERS.integers(0, 256, (30, 5, 6)).astype(np.uint8))
    np.savez(tmp_path / "pairs.npz", fine=NUMBERS.normal(size=(30, 5, 6)), coarse=NUMBERS.normal(size=(30, 20, 9)))
    pandas.DataFrame({"a": NUMBERS.normal(size=30).round(2), "b": ["x", "y", "z"] * 10}).to_csv(
        tmp_path / "table.csv", index=False
    )
    (tmp_path / "photos").mkdir()
    for index in range(12):
        levels = NUMBERS.integers(0, 256, (6, 7)).astype(np.uint8)
        Image.fromarray(levels).save(tmp_path / "photos" / f"{index}.png")
    return {path.stem: str(path) for path in tmp_path.iterdir()} | {"digits": "digits"}


@pytest.mark.parametrize(
    ("name", "asked", "told"),
    [
        ("fields", {"size": (8, 8)}, "`size` is for pictures in folders"),
        ("digits", {"size": (8, 8)}, "`size` is for pictures in folders"),
        ("table", {"colour": "grey"}, "`colour` is for pictures in folders"),
        ("levels", {"skip_unreadable": True}, "`skip_unreadable` is for pictures in folders"),
        ("fields", {"key": "t2m"}, "`key` names an array in a .npz"),
        ("photos", {"key": "t2m"}, "`key` names an array in a .npz"),
        ("fields", {"sheet": "first"}, "`sheet` is for Excel workbooks"),
        ("photos", {"layout": "NHWC"}, "`layout` is for arrays"),
        ("table", {"layout": "NTC"}, "`layout` is for arrays"),
        ("digits", {"layout": "NHW"}, "`layout` is for arrays"),
        ("levels", {"scale": "array"}, "`scale` is for arrays of numbers other than"),
        ("table", {"scale": "feature"}, "`scale` is for arrays of numbers other than"),
    ],
)
def test_what_says_nothing_of_the_data_is_refused(
    files: dict[str, str], name: str, asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told) as refused:
        open_source(files[name], **asked)
    assert refused.value.hint == "leave it out"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("photos", {"size": (8, 9), "colour": "rgb", "skip_unreadable": True}),
        ("fields", {"layout": "NTC", "scale": "feature"}),
        ("levels", {"layout": "NHW"}),
        ("pairs", {"key": "coarse"}),
        ("table", {"layout": "table"}),
    ],
)
def test_what_says_something_is_taken(files: dict[str, str], name: str, asked: dict[str, Any]) -> None:
    assert len(open_source(files[name], **asked)) in (12, 30)


def test_other_samples_are_read_with_what_was_said_of_the_first(files: dict[str, str]) -> None:
    own = open_source(files["pairs"], key="fine")
    assert len(open_source(files["fields"], key="fine", like=own)) == 30


def test_an_array_of_an_archive_is_named_behind_its_path(files: dict[str, str]) -> None:
    assert open_source(f"{files['pairs']}::coarse").shape == (1, 20, 9)
    assert open_source(f"{files['pairs']}::fine", key="fine").shape == (1, 5, 6)
    with pytest.raises(UserError, match="Two arrays are named"):
        open_source(f"{files['pairs']}::coarse", key="fine")
    with pytest.raises(UserError, match="Unknown array in pairs.npz: 'fin'"):
        open_source(f"{files['pairs']}::fin")


def test_a_layout_that_does_not_fit_names_those_that_do(files: dict[str, str]) -> None:
    with pytest.raises(UserError, match="Layout NHWC does not fit fields.npy") as refused:
        open_source(files["fields"], layout="NHWC")
    assert refused.value.hint == "say `layout` NHW or NTC, or leave it out"
